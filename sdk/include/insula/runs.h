/*
 * runs.h: "ins.runs/1": starts durable runs of workflows, speaks to them, reads and watches them.
 *
 * Everything happens in the tenant of the ctx: a run of another tenant is -INS_ENOTFOUND. A state
 * of a run is named by the run's id and the seq of the event that made it; so is a checkpoint.
 *
 * Runs may share a thread. At most one of them is running; the others are pending, in the order of
 * their ids. A run takes over where the run before it stopped: with new input it gets the values
 * that run left; with a resume value, an update or no input it goes on from its state.
 */
#ifndef INSULA_RUNS_H
#define INSULA_RUNS_H

#include <insula/insula.h>

#define INS_RUNS_IFACE "ins.runs/1"

typedef struct ins_watch ins_watch; /* one watcher of one run; ends with the task that made it */

/* What happens when the thread has a run that is not over. */
enum {
	INS_MULTITASK_ENQUEUE,   /* the new run waits for it */
	INS_MULTITASK_REJECT,    /* -INS_ECONFLICT */
	INS_MULTITASK_INTERRUPT, /* it is cancelled, and what it did is kept */
	INS_MULTITASK_ROLLBACK,  /* it is cancelled and deleted */
};

typedef struct {
	uint32_t size;
	uint32_t multitask;    /* INS_MULTITASK_* */
	const char *workflow;  /* its name */
	const json_t *input;   /* NULL or null: goes on from the thread's state; {} without one */
	const char *thread_id; /* uuid of a row of threads, or NULL */
	const char *assistant_id; /* uuid, kept with the run; or NULL */
	/* The same key in the same tenant means the same run, for ever: a second start finds the
	 * first. Up to 255 bytes; NULL = none. */
	const char *idem_key;
	/*
	 * NULL or an object; unknown members are kept and mean nothing here:
	 * "context": any                  handed to advance() with RunStarted
	 * "command": {"resume": any, "update": any, "as_node": name, "goto": name}
	 * "checkpoint": {"run_id", "seq"} where to go on, instead of the thread's newest state
	 * "interrupt_before", "interrupt_after": "*" or a list of names of steps
	 * "hold": true                    after the command: no step runs, the run ends there
	 */
	const json_t *options;
	const json_t *metadata; /* an object, or NULL */
	int64_t after_ms;       /* begins so much later */
	int64_t deadline_ms;    /* from its begin; it is then stopped. 0 = the engine's limit */
	uint32_t watch_flags;   /* INS_WATCH_*, for ret_watch */
} ins_run_request;

/* Kinds of messages. */
#define INS_MESSAGE_SIGNAL "signal" /* name, payload */
#define INS_MESSAGE_RESUME "resume" /* payload: the value, or {interrupt id: value, ...} */
#define INS_MESSAGE_CANCEL "cancel" /* the run ends as cancelled; steps under way are told */
#define INS_MESSAGE_DELETE "delete" /* cancelled if it is not over, then deleted */

#define INS_WATCH_STATE 1u /* recorded events carry the state that they made, see state() */

typedef struct {
	uint32_t size;
	void *self;
	/* The workflows: [{"name", "version"}], a new reference. */
	int (*workflows)(ins_ctx *, void *self, json_t **ret_out);
	/* What a workflow says of itself, with "name" and "version"; -INS_EMODEL when there is
	 * none. */
	int (*describe)(ins_ctx *, void *self, const char *workflow, json_t **ret_out);
	/*
	 * Commits the run in the ctx's tenant. Returns 1 = a new run, 0 = idem_key is known and
	 * ret_run_id is the run it named. ret_run_id: uuid text in the task's arena. ret_watch,
	 * when not NULL: watches from its first event. The run goes on when the watcher leaves.
	 * -INS_EMODEL (no such workflow), -INS_ENOTFOUND (no such thread or checkpoint),
	 * -INS_ECONFLICT (rejected by multitask), -INS_EINVAL, -INS_ETOOBIG, -INS_EUNAVAILABLE (no
	 * database), -INS_ELIMIT.
	 */
	INS_AWAITS
	int (*start)(ins_ctx *, void *self, const ins_run_request *req, const char **ret_run_id,
	    ins_watch **ret_watch);
	/* Watches from the event after `after` on (-1 = all); INS_WATCH_*. Follows the run wherever
	 * it executes. A run that is over tells its events and is over. */
	INS_AWAITS
	int (*watch)(ins_ctx *, void *self, const char *run_id, int64_t after, uint32_t flags,
	    ins_watch **ret_watch);
	/*
	 * The next thing that happens in the run, a new reference; 1 = got one, 0 = the run is over
	 * or was interrupted, and everything was told.
	 * {"seq", "type", "ts", ...} are recorded events: RunStarted, StepScheduled, StepCompleted,
	 * StepFailed, TimerFired, SignalReceived, Interrupted {"interrupts": [{"id", "name",
	 * "value", "when": "node" | "before" | "after" | "edit"}]}, Resumed, CancelRequested,
	 * BudgetHit and RunEnded
	 * {"status", "output" | "error", "usage"}; with INS_WATCH_STATE also "state", and
	 * with StepCompleted "update" when its workflow says what a step wrote.
	 * {"type": "delta", "seq", "step", "name", "attempt", "delta": {...}} are pieces of a
	 * step's stream, after the event `seq`. {"type": "cut", "step", "name"}: pieces of this
	 * step were said that its next attempt will not stand by.
	 */
	INS_AWAITS
	int (*next)(ins_ctx *, void *self, ins_watch *watch, json_t **ret_event);
	/*
	 * Brings a message to a run: INS_MESSAGE_*. 1 = it is new, 0 = this msg_id was brought
	 * before (nothing happens again). It is recorded when this returns and acted upon soon
	 * after; what the run can't take then (a second resume, more than 256 signals that nothing
	 * waits for) is dropped, with a line in the log. name and payload may be NULL.
	 * -INS_ENOTFOUND, -INS_ECONFLICT (the run is over, or a resume while nothing is
	 * interrupted), -INS_ETOOBIG.
	 */
	INS_AWAITS
	int (*send)(ins_ctx *, void *self, const char *run_id, const char *kind, const char *msg_id,
	    const char *name, const json_t *payload);
	/*
	 * The state after the event `seq` (-1 = the last):
	 * {"run_id", "seq", "ts", "values", "next": [names of open steps], "tasks": [{"id", "name",
	 * "interrupts": [{"id", "value"}], "error"?}], "interrupts": [{"id", "value", "name",
	 * "when"}], "source": "input" | "loop" | "update" | "fork", "step": n,
	 * "parent": {"run_id", "seq"} or null}
	 */
	INS_AWAITS
	int (*state)(ins_ctx *, void *self, const char *run_id, int64_t seq, json_t **ret_state);
	/* States that differ in values, newest first, from the event before `seq` (-1 = the end)
	 * backwards, through the runs that this one goes on from; at most limit (<= 1000). */
	INS_AWAITS
	int (*history)(ins_ctx *, void *self, const char *run_id, int64_t seq, uint32_t limit,
	    json_t **ret_states);
} ins_runs;

#endif
