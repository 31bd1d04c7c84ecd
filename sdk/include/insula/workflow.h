/*
 * workflow.h: "ins.workflow/1": a durable workflow as a plugin.
 *
 * The run engine keeps a log of events for each run. advance() is the pure core: it looks at the
 * state and at the event that was just recorded and says what to do next. The engine records each
 * step's result before it calls advance() with it, so a restart goes on from the log and no
 * finished step runs again.
 *
 * Events, as advance() sees them:
 *
 *	{"type": "RunStarted", "input": any, "values": any, "context": {...}}
 *		values: what the thread's runs before this one left; null at first and without a
 *thread
 *	{"type": "StepCompleted", "step": id, "name", "output": any}
 *	{"type": "StepFailed", "step": id, "name", "error": {"code", "message"}}
 *	{"type": "TimerFired", "timer": name}           a timer, or a wait that timed out
 *	{"type": "SignalReceived", "signal": name, "payload": any}
 *	{"type": "Resumed", "interrupt": name, "value": any}
 *	{"type": "Patched", "values": any, "as_node": name or null, "goto": name or null}
 *		somebody edits the state between two steps. Commands replace what is open; without
 *		any it stays
 *
 * Commands:
 *
 *	{"step": name, "input": {...}, "class": "idempotent" | "effect" | "local",
 *	 "max_attempts": 3, "timeout_ms": 30000}
 *	{"timer": name, "after_ms": n}
 *	{"wait": signal, "timeout_ms": n?}              a signal that came earlier is taken at once
 *	{"interrupt": name, "value": any}               stops until somebody resumes with a value
 *	{"end": "completed", "output": any} | {"end": "failed", "error": {"code", "message"}}
 *
 * A run that has nothing open and did not end fails.
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
	/* a run is finished by the version that began it, or fails saying so */
	const char *version;
	/*
	 * Deterministic; never suspends, never looks at a clock, random numbers or anything but its
	 * arguments. state: what the last call left (JSON null at first).
	 * out: {"state": any, "commands": [...]}. A negative return fails the run.
	 */
	int (*advance)(
	    ins_ctx *, void *self, const json_t *state, const json_t *event, json_t **ret_out);
	/*
	 * Does one step, in the run's tenant. May suspend. What it streams through the sink reaches
	 * those who watch the run and is not recorded; what it returns is. A piece's "content"
	 * (text) is a chunk of an answer, under its "id" or else the step's key; "custom" is an
	 * event of its own. key ("<run id>:<step id>") is the same for every attempt: send it as
	 * Idempotency-Key with effects. A retryable error is tried again up to max_attempts; others
	 * fail the step. Counted against the run's limits, and metered, when out has "usage":
	 * {"model"?, "prompt_tokens", "completion_tokens", "cached_tokens"?, "tool_calls"?,
	 * "cost_nanos"?}.
	 */
	INS_AWAITS
	int (*step)(ins_ctx *, void *self, const char *name, const char *key, const json_t *in,
	    const ins_sink *sink, json_t **ret_out);
	/*
	 * The rest may be NULL, and size may end before it.
	 *
	 * What the world sees of a state: the LangGraph API's "values", and what the next run of a
	 * thread gets. Pure as advance(). NULL: the state itself.
	 */
	int (*values)(ins_ctx *, void *self, const json_t *state, json_t **ret_values);
	/* What a step wrote, as the stream mode "updates" shows it. Pure. NULL: its output. */
	int (*update)(
	    ins_ctx *, void *self, const char *name, const json_t *output, json_t **ret_update);
	/*
	 * {"description", "nodes": [{"id", "type"?, "data"?}], "edges": [{"source", "target",
	 * "conditional"?: true}], "input_schema", "output_schema", "state_schema",
	 * "context_schema"}, the schemas as JSON Schema; every member may be absent.
	 */
	int (*describe)(ins_ctx *, void *self, json_t **ret);
} ins_workflow;

#endif
