/*
 * fold.h: the pure core of a run: what its events mean.
 *
 * A fold is the state of one run as its log says it. fold_apply() takes the next event;
 * fold_derive() says which events follow from those so far (an effect is written ahead, a limit was
 * hit, everything waits for somebody, the run ends) and must be recorded with them. Nothing here
 * does I/O, looks at a clock or draws a number: times come with the events. A restart therefore
 * applies the recorded events and stands where the run stood; a snapshot is a fold written down.
 *
 *	fold.c          events
 *	fold_event.c    an event by itself: make, free, show
 *	fold_decide.c   the workflow's commands, and limits
 *	fold_wait.c     timers, signals, interrupts
 *	fold_state.c    snapshots, and what the world sees
 */
#ifndef RUNS_FOLD_H
#define RUNS_FOLD_H

#include <insula/insula.h>
#include <insula/workflow.h>

#define FOLD_NAME_MAX 64u
#define FOLD_OPEN_MAX                                                               \
	64u /* steps, timers, waits and interrupts of one run that are open at once \
	     */
#define FOLD_ATTEMPTS_MAX 100u /* what a workflow may ask for */
#define FOLD_TIMEOUT_MAX_MS (24 * 3600 * INT64_C(1000))
#define FOLD_TIMER_MAX_MS (366 * 24 * 3600 * INT64_C(1000))
#define FOLD_SIGNALS_MAX 256u /* signals that came and that nothing waited for yet */

enum event_type {
	EV_RUN_STARTED,
	EV_STEP_SCHEDULED,
	EV_STEP_COMPLETED,
	EV_STEP_FAILED,
	EV_TIMER_FIRED,
	EV_SIGNAL_RECEIVED,
	EV_INTERRUPTED,
	EV_RESUMED,
	EV_CANCEL_REQUESTED,
	EV_BUDGET_HIT,
	EV_RUN_ENDED,
	EV_TYPES
};
extern const char *const event_type_names[EV_TYPES];
/* EV_TYPES when unknown. */
enum event_type event_type_parse(const char *name);

/*
 * data: RunStarted {"input", "values", "context", "interrupt_before", "interrupt_after", "hold",
 *		"command": {"resume", "update", "as_node", "goto"}, "base": {"run_id", "seq"},
 *		"snapshot"}: with a snapshot the run goes on from there, otherwise from its input
 *	StepScheduled {"class"}, StepCompleted {"output"}, StepFailed {"error"}, TimerFired {}
 *	SignalReceived {"signal", "payload", "msg_id"}, Resumed {"value", "msg_id"}
 *	Interrupted {"interrupts": [{"id", "name", "value", "when"}]}
 *	CancelRequested {"msg_id"}
 *	BudgetHit {"limit", "allowed", "used"}
 *	RunEnded {"status", "output" | "error", "usage"}
 */
struct run_event {
	struct run_event *next;
	int64_t seq, ts_us;
	enum event_type type;
	int32_t step_id; /* -1 = none */
	int32_t attempt; /* 0 = none */
	char node[FOLD_NAME_MAX + 1];
	json_t *data;
	size_t bytes; /* of data as text */
};
/* Takes data (may be NULL when memory was out: then so is the result). */
struct run_event *run_event_new(
    enum event_type, int32_t step_id, int32_t attempt, const char *node, json_t *data);
void run_event_free(struct run_event *);
/* What API and watchers see: {"seq", "type", "step", "name", "attempt", "ts", and data's members,
 * but for a fork's snapshot}. A new reference. */
json_t *run_event_json(const struct run_event *);
/* RFC 3339 with microseconds, UTC. */
void fold_time_text(int64_t us, char out[40]);
/* Of such a text; 0 when it is none. */
int64_t fold_time_parse(const char *);

/* 0 = no limit. */
struct fold_limits {
	int64_t steps, visits, time_ms, tokens, cost_nanos;
};
json_t *fold_limits_json(const struct fold_limits *);
void fold_limits_parse(struct fold_limits *, const json_t *);

enum open_kind { OPEN_STEP, OPEN_TIMER, OPEN_WAIT, OPEN_INTERRUPT, OPEN_KINDS };
enum step_class { STEP_IDEMPOTENT, STEP_EFFECT, STEP_LOCAL };
enum step_state {
	STEP_NEW,       /* decided; not yet dispatched by this process */
	STEP_DISPATCHED /* the engine's own mark, as is delay_ms: the fold never sets them */
};
/* Why a step that is decided may not go out before somebody resumes the run. */
enum step_held { HELD_NO, HELD_BEFORE, HELD_AFTER, HELD_EDIT };

/* What is open: a step, or something that a run waits for. */
struct fold_step {
	int32_t id;
	enum open_kind kind;
	int32_t attempt; /* of the last dispatch that the log knows; 0 = none */
	enum step_class class;
	enum step_state state;
	enum step_held held;
	int32_t max_attempts;
	int64_t timeout_ms, delay_ms;
	int64_t fire_at_us; /* of timers, and of waits with a time limit; 0 = never */
	int64_t seq;        /* of the event that decided on it, or of its last StepScheduled */
	int scheduled;      /* an effect's StepScheduled for `attempt` is recorded */
	char name[FOLD_NAME_MAX + 1];
	json_t *input; /* of an interrupt: its value */
};

struct fold {
	struct fold_limits limits;
	json_t *state; /* the workflow's */
	int64_t next_seq, started_us, last_us;
	int32_t next_step;
	struct fold_step open[FOLD_OPEN_MAX];
	size_t n_open;
	json_t *visits;  /* name -> count */
	json_t *signals; /* [{"signal", "payload"}] that came before anything waited for them */
	json_t *before, *after; /* names of steps to stop at, "*", or NULL */
	int hold;               /* an edit: no step may run */
	int64_t steps, prompt_tokens, completion_tokens, cached_tokens, tool_calls, cost_nanos;
	json_t *models;  /* name -> the same counts */
	const char *hit; /* the limit that was hit, by its name in the configuration */
	int64_t hit_allowed, hit_used;
	int hit_recorded;
	int stopped;        /* Interrupted was recorded, and nothing happened since */
	int64_t stopped_us; /* when */
	int64_t paused_us;  /* time that it was stopped before; does not count as the run's */
	int32_t hold_after; /* while an event is applied: what opens is held */
	const char *source; /* of the newest state: input, loop, update, fork */
	int64_t values_seq; /* the event that last changed the state */
	int64_t prev_seq;   /* the one that changed it before; -1 = none in this log */
	json_t *base;       /* {"run_id", "seq"}: the state that it goes on from, or NULL */
	json_t *end;        /* RunEnded's data, once it is decided */
	int ended;          /* RunEnded was applied */
};

void fold_init(struct fold *, const struct fold_limits *);
void fold_fini(struct fold *);
/*
 * Applies an event whose seq is fold->next_seq. wf may be NULL only for events after which nothing
 * is decided. -INS_EINVAL when the event does not fit (a step that is not open, a seq out of
 * order): a damaged log; the fold is then as it was. What the workflow does wrong ends the run
 * instead.
 */
int fold_apply(struct fold *, ins_ctx *, const ins_workflow *wf, const struct run_event *);
/* The next event that follows from those applied, or NULL when there is none; the caller gives it a
 * seq and a time, records and applies it, and asks again. */
struct run_event *fold_derive(const struct fold *);
struct fold_step *fold_find(struct fold *, int32_t step_id);

/* When the next timer, wait or the run's time limit is due; 0 = never. */
int64_t fold_due_us(const struct fold *);
/* The event for what is due at now_us; NULL when nothing is. Ask again after it was applied. */
struct run_event *fold_due(const struct fold *, int64_t now_us);
/* 1 when nothing can happen before a timer or a message: no step is open that may run. */
int fold_waits(const struct fold *);
/* 1 when a resume would do something. */
int fold_interrupted(const struct fold *);

/* The fold as JSON, between two events; NULL = no memory. */
json_t *fold_snapshot(const struct fold *);
/* The same for a new run that goes on from here: nothing is spent, and each open step is tried
 * anew.
 */
json_t *fold_snapshot_for_fork(const struct fold *);
/* Into a fold that was just initialized, with its limits. -INS_EINVAL: no snapshot. */
int fold_restore(struct fold *, const json_t *snapshot);
/* As ins_runs.state() describes, but for run_id and parent; NULL = no memory. */
json_t *fold_state_json(const struct fold *, ins_ctx *, const ins_workflow *wf);
/* The values alone; a new reference. */
json_t *fold_values(const struct fold *, ins_ctx *, const ins_workflow *wf);
/* [{"id", "name", "value", "when"}] */
json_t *fold_interrupts(const struct fold *);

/* {"code", "message"} */
json_t *fold_error(const char *code, const char *message);
/* The name of an INS_E* code as errors of steps carry it. */
const char *fold_code_name(int code);
int fold_code_retryable(int code);

#endif
