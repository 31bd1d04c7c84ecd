/* runs.h: "ins.runs/1": starts durable runs of workflows and watches them. */
#ifndef INSULA_RUNS_H
#define INSULA_RUNS_H

#include <insula/insula.h>

#define INS_RUNS_IFACE "ins.runs/1"

typedef struct ins_watch ins_watch; /* one watcher of one run; ends with the task that made it */

typedef struct {
	uint32_t size;
	void *self;
	/* The workflows: [{"name", "version"}], a new reference. */
	int (*workflows)(ins_ctx *, void *self, json_t **ret_out);
	/*
	 * Commits RunStarted in the ctx's tenant and watches the run from its start. ret_run_id:
	 * uuid text in the task's arena. The run goes on when the watcher leaves. -INS_EMODEL (no
	 * such workflow), -INS_EUNAVAILABLE (no database), -INS_ELIMIT.
	 */
	INS_AWAITS
	int (*start)(ins_ctx *, void *self, const char *workflow, const json_t *input,
	    const char **ret_run_id, ins_watch **ret_watch);
	/*
	 * The next thing that happens in the run, a new reference; 1 = got one, 0 = the run is over
	 * and everything was told.
	 * {"seq", "type": "RunStarted" | "StepScheduled" | "StepCompleted" | "StepFailed" |
	 * "RunEnded", ...} are recorded events;
	 * {"type": "delta", "seq", "delta": {...}} are pieces of a step's stream. RunEnded has
	 * "status", "output" or "error".
	 */
	INS_AWAITS
	int (*next)(ins_ctx *, void *self, ins_watch *watch, json_t **ret_event);
} ins_runs;

#endif
