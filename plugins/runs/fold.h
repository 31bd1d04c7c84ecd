/*
 * fold.h: the pure core of a run: what its events mean.
 *
 * A fold is the state of one run as its log says it. fold_apply() takes the next event;
 * fold_derive() says which events follow from those so far (an effect is written ahead, a limit was
 * hit, the run ends) and must be recorded with them. Nothing here does I/O, looks at a clock or
 * draws a number: times come with the events. A restart therefore applies the recorded events and
 * stands where the run stood.
 */
#ifndef RUNS_FOLD_H
#define RUNS_FOLD_H

#include <insula/insula.h>
#include <insula/workflow.h>

#define FOLD_NAME_MAX 64u
#define FOLD_OPEN_MAX 64u      /* steps of one run that are open at once */
#define FOLD_ATTEMPTS_MAX 100u /* what a workflow may ask for */
#define FOLD_TIMEOUT_MAX_MS (24 * 3600 * INT64_C(1000))

enum event_type {
	EV_RUN_STARTED,
	EV_STEP_SCHEDULED,
	EV_STEP_COMPLETED,
	EV_STEP_FAILED,
	EV_BUDGET_HIT,
	EV_RUN_ENDED,
	EV_TYPES
};
extern const char *const event_type_names[EV_TYPES];
/* EV_TYPES when unknown. */
enum event_type event_type_parse(const char *name);

/* data: RunStarted {"input"}, StepScheduled {"class"}, StepCompleted {"output"},
 * StepFailed {"error"}, BudgetHit {"limit", "allowed", "used"}, RunEnded {"status", "output" |
 * "error", "usage"}. */
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
/* What API and watchers see: {"seq", "type", "step", "name", "attempt", "ts", and data's members}.
 * A new reference. */
json_t *run_event_json(const struct run_event *);

/* 0 = no limit. */
struct fold_limits {
	int64_t steps, visits, time_ms, tokens, cost_nanos;
};
json_t *fold_limits_json(const struct fold_limits *);
void fold_limits_parse(struct fold_limits *, const json_t *);

enum step_class { STEP_IDEMPOTENT, STEP_EFFECT, STEP_LOCAL };
enum step_state {
	STEP_NEW,       /* decided; not yet dispatched by this process */
	STEP_DISPATCHED /* the engine's own mark, as is delay_ms: the fold never sets them */
};

struct fold_step {
	int32_t id;
	int32_t attempt; /* of the last dispatch that the log knows; 0 = none */
	enum step_class class;
	enum step_state state;
	int32_t max_attempts;
	int64_t timeout_ms, delay_ms;
	int64_t seq;   /* of the event that decided on it, or of its last StepScheduled */
	int scheduled; /* an effect's StepScheduled for `attempt` is recorded */
	char name[FOLD_NAME_MAX + 1];
	json_t *input;
};

struct fold {
	struct fold_limits limits;
	json_t *state; /* the workflow's */
	int64_t next_seq, started_us, last_us;
	int32_t next_step;
	struct fold_step open[FOLD_OPEN_MAX];
	size_t n_open;
	json_t *visits; /* name -> count */
	int64_t steps, prompt_tokens, completion_tokens, cost_nanos;
	const char *hit; /* the limit that was hit, by its name in the configuration */
	int64_t hit_allowed, hit_used;
	int hit_recorded;
	json_t *end; /* RunEnded's data, once it is decided */
	int ended;   /* RunEnded was applied */
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

/* {"code", "message"} */
json_t *fold_error(const char *code, const char *message);
/* The name of an INS_E* code as errors of steps carry it. */
const char *fold_code_name(int code);
int fold_code_retryable(int code);

#endif
