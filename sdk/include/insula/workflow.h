/*
 * workflow.h: "ins.workflow/1": a durable workflow as a plugin.
 *
 * The run engine keeps a log of events for each run. advance() is the pure core: it looks at the
 * state and at the event that was just recorded and says what to do next. The engine records each
 * step's result before it calls advance() with it, so a restart goes on from the log and no
 * finished step runs again.
 */
#ifndef INSULA_WORKFLOW_H
#define INSULA_WORKFLOW_H

#include <insula/insula.h>
#include <insula/model.h>

#define INS_WORKFLOW_IFACE "ins.workflow/1"

typedef struct {
	uint32_t size;
	void *self;
	const char *name; /* "faq_workflow"; also a model name in the OpenAI API */
	const char
	    *version; /* a run is finished by the version that began it, or fails saying so */
	/*
	 * Deterministic; never suspends, never looks at a clock, random numbers or anything but its
	 * arguments. state: what the last call left (JSON null at first). event: {"type":
	 * "RunStarted", "input": {...}} | {"type": "StepCompleted", "step": id, "name", "output":
	 * {...}} |
	 *        {"type": "StepFailed", "step": id, "name", "error": {"code", "message"}}
	 * out:   {"state": any, "commands": [
	 *           {"step": name, "input": {...}, "class": "idempotent" | "effect" | "local",
	 * "max_attempts": 3, "timeout_ms": 30000} |
	 *           {"end": "completed", "output": {...}} | {"end": "failed", "error": {"code",
	 * "message"}}]} A negative return fails the run.
	 */
	int (*advance)(
	    ins_ctx *, void *self, const json_t *state, const json_t *event, json_t **ret_out);
	/*
	 * Does one step, in the run's tenant. May suspend. What it streams through the sink reaches
	 * those who watch the run and is not recorded; what it returns is. key ("<run id>:<step
	 * id>") is the same for every attempt: send it as Idempotency-Key with effects. A retryable
	 * error is tried again up to max_attempts; others fail the step. Counted against the run's
	 * limits when out has "usage": {"prompt_tokens", "completion_tokens", "cost_nanos"?}.
	 */
	INS_AWAITS
	int (*step)(ins_ctx *, void *self, const char *name, const char *key, const json_t *in,
	    const ins_sink *sink, json_t **ret_out);
} ins_workflow;

#endif
