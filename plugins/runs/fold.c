/* fold.c: see fold.h. Limits and workflow commands are fold_decide.c's. */
#include "fold.h"

#include <stdlib.h>
#include <time.h>

#include "fold_int.h"

const char *const event_type_names[EV_TYPES] = { "RunStarted", "StepScheduled", "StepCompleted",
	"StepFailed", "BudgetHit", "RunEnded" };

enum event_type
event_type_parse(const char *name)
{
	int i;

	for (i = 0; i < EV_TYPES; i++)
		if (name != NULL && strcmp(name, event_type_names[i]) == 0)
			break;
	return (enum event_type)i;
}

struct run_event *
run_event_new(
    enum event_type type, int32_t step_id, int32_t attempt, const char *node, json_t *data)
{
	struct run_event *ev = calloc(1, sizeof *ev);

	if (ev == NULL || data == NULL) {
		json_decref(data);
		free(ev);
		return NULL;
	}
	ev->type = type;
	ev->step_id = step_id;
	ev->attempt = attempt;
	snprintf(ev->node, sizeof ev->node, "%s", node == NULL ? "" : node);
	ev->data = data;
	ev->bytes = json_dumpb(data, NULL, 0, JSON_COMPACT);
	return ev;
}

void
run_event_free(struct run_event *ev)
{
	if (ev == NULL)
		return;
	json_decref(ev->data);
	free(ev);
}

json_t *
run_event_json(const struct run_event *ev)
{
	json_t *j = json_object();
	time_t s = (time_t)(ev->ts_us / 1000000);
	char ts[40];
	struct tm tm;
	size_t n;

	gmtime_r(&s, &tm);
	n = strftime(ts, sizeof ts, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(ts + n, sizeof ts - n, ".%06dZ", (int)(ev->ts_us % 1000000));
	json_object_set_new(j, "seq", json_integer(ev->seq));
	json_object_set_new(j, "type", json_string(event_type_names[ev->type]));
	if (ev->step_id >= 0) {
		json_object_set_new(j, "step", json_integer(ev->step_id));
		json_object_set_new(j, "name", json_string(ev->node));
		json_object_set_new(j, "attempt", json_integer(ev->attempt));
	}
	json_object_set_new(j, "ts", json_string(ts));
	json_object_update(j, ev->data);
	return j;
}

json_t *
fold_error(const char *code, const char *message)
{
	json_t *j = json_pack("{s:s, s:s}", "code", code, "message", message);

	/* A text that is not UTF-8 must not make the error disappear. */
	return j != NULL ? j
			 : json_pack("{s:s, s:s}", "code", code, "message", "(unreadable message)");
}

const char *
fold_code_name(int code)
{
	switch (code < 0 ? -code : code) {
#define INS_X(name, number, status, type, text, retry) \
	case number: return text != NULL ? text : "invalid_request";
		INS_ERRORS(INS_X)
#undef INS_X
	default: return "internal_error";
	}
}

int
fold_code_retryable(int code)
{
	switch (code < 0 ? -code : code) {
#define INS_X(name, number, status, type, text, retry) \
	case number: return retry;
		INS_ERRORS(INS_X)
#undef INS_X
	default: return 0;
	}
}

static int64_t
int_of(const json_t *j, const char *name, int64_t dflt)
{
	const json_t *v = json_object_get(j, name);

	return json_is_integer(v) ? json_integer_value(v) : dflt;
}

json_t *
fold_limits_json(const struct fold_limits *l)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "steps", (json_int_t)l->steps, "visits",
	    (json_int_t)l->visits, "time_ms", (json_int_t)l->time_ms, "tokens",
	    (json_int_t)l->tokens, "cost_nanos", (json_int_t)l->cost_nanos);
}

void
fold_limits_parse(struct fold_limits *l, const json_t *j)
{
	l->steps = int_of(j, "steps", l->steps);
	l->visits = int_of(j, "visits", l->visits);
	l->time_ms = int_of(j, "time_ms", l->time_ms);
	l->tokens = int_of(j, "tokens", l->tokens);
	l->cost_nanos = int_of(j, "cost_nanos", l->cost_nanos);
}

void
fold_init(struct fold *f, const struct fold_limits *limits)
{
	memset(f, 0, sizeof *f);
	f->limits = *limits;
	f->state = json_null();
	f->visits = json_object();
}

void
fold_fini(struct fold *f)
{
	size_t i;

	for (i = 0; i < f->n_open; i++)
		json_decref(f->open[i].input);
	json_decref(f->state);
	json_decref(f->visits);
	json_decref(f->end);
	memset(f, 0, sizeof *f);
}

struct fold_step *
fold_find(struct fold *f, int32_t step_id)
{
	size_t i;

	for (i = 0; i < f->n_open; i++)
		if (f->open[i].id == step_id)
			return &f->open[i];
	return NULL;
}

static void
close_step(struct fold *f, struct fold_step *s)
{
	size_t i = (size_t)(s - f->open);

	json_decref(s->input);
	f->n_open--;
	memmove(s, s + 1, (f->n_open - i) * sizeof *s);
}

static void
count_usage(struct fold *f, const json_t *output)
{
	const json_t *u = json_object_get(output, "usage");

	f->prompt_tokens += int_of(u, "prompt_tokens", 0);
	f->completion_tokens += int_of(u, "completion_tokens", 0);
	f->cost_nanos += int_of(u, "cost_nanos", 0);
}

/* What the workflow sees of an event. */
static json_t *
for_workflow(const struct run_event *ev)
{
	switch (ev->type) {
	case EV_RUN_STARTED:
		return json_pack("{s:s, s:O?}", "type", "RunStarted", "input",
		    json_object_get(ev->data, "input"));
	case EV_STEP_COMPLETED:
		return json_pack("{s:s, s:i, s:s, s:O?}", "type", "StepCompleted", "step",
		    (int)ev->step_id, "name", ev->node, "output",
		    json_object_get(ev->data, "output"));
	default:
		return json_pack("{s:s, s:i, s:s, s:O?}", "type", "StepFailed", "step",
		    (int)ev->step_id, "name", ev->node, "error",
		    json_object_get(ev->data, "error"));
	}
}

static int
fits(struct fold *f, const struct run_event *ev)
{
	if (ev->seq != f->next_seq || f->ended || (ev->seq == 0) != (ev->type == EV_RUN_STARTED))
		return 0;
	if (ev->type == EV_STEP_SCHEDULED || ev->type == EV_STEP_COMPLETED ||
	    ev->type == EV_STEP_FAILED)
		return fold_find(f, ev->step_id) != NULL;
	return ev->type != EV_TYPES;
}

int
fold_apply(struct fold *f, ins_ctx *ctx, const ins_workflow *wf, const struct run_event *ev)
{
	struct fold_step *s;
	json_t *seen;

	if (!fits(f, ev))
		return -INS_EINVAL;
	f->next_seq++;
	f->last_us = ev->ts_us;
	s = fold_find(f, ev->step_id);
	switch (ev->type) {
	case EV_RUN_STARTED: f->started_us = ev->ts_us; break;
	case EV_STEP_SCHEDULED:
		s->attempt = ev->attempt;
		s->scheduled = 1;
		s->seq = ev->seq;
		s->state = STEP_NEW;
		return 0;
	case EV_STEP_COMPLETED:
		count_usage(f, json_object_get(ev->data, "output"));
		close_step(f, s);
		break;
	case EV_STEP_FAILED: close_step(f, s); break;
	case EV_BUDGET_HIT: f->hit_recorded = 1; return 0;
	case EV_RUN_ENDED:
		f->ended = 1;
		json_decref(f->end);
		f->end = json_incref(ev->data);
		return 0;
	case EV_TYPES: return -INS_EINVAL;
	}
	fold_check_totals(f);
	if (f->hit != NULL || f->end != NULL)
		return 0;
	seen = for_workflow(ev);
	fold_advance(f, ctx, wf, seen);
	json_decref(seen);
	return 0;
}

/* Tokens and money as RunEnded reports them. */
static json_t *
usage_json(const struct fold *f)
{
	return json_pack("{s:I, s:I, s:I, s:I}", "prompt_tokens", (json_int_t)f->prompt_tokens,
	    "completion_tokens", (json_int_t)f->completion_tokens, "cost_nanos",
	    (json_int_t)f->cost_nanos, "steps", (json_int_t)f->steps);
}

static struct run_event *
derive_end(const struct fold *f)
{
	json_t *data;
	char text[200];

	if (f->end != NULL) {
		data = json_copy(f->end);
	} else if (f->hit != NULL) {
		snprintf(text, sizeof text,
		    "the run was stopped: its limit of %lld %s is used up (%lld)",
		    (long long)f->hit_allowed, f->hit, (long long)f->hit_used);
		data = json_pack(
		    "{s:s, s:o}", "status", "failed", "error", fold_error("budget_exceeded", text));
	} else {
		data = json_pack("{s:s, s:o}", "status", "failed", "error",
		    fold_error("workflow_error", "the workflow stopped without a step or an end"));
	}
	json_object_set_new(data, "usage", usage_json(f));
	return run_event_new(EV_RUN_ENDED, -1, 0, NULL, data);
}

struct run_event *
fold_derive(const struct fold *f)
{
	const struct fold_step *s;
	size_t i;

	if (f->ended || f->next_seq == 0)
		return NULL;
	if (f->hit != NULL && !f->hit_recorded)
		return run_event_new(EV_BUDGET_HIT, -1, 0, NULL,
		    json_pack("{s:s, s:I, s:I}", "limit", f->hit, "allowed",
			(json_int_t)f->hit_allowed, "used", (json_int_t)f->hit_used));
	if (f->hit != NULL || f->end != NULL || f->n_open == 0)
		return derive_end(f);
	for (i = 0; i < f->n_open; i++) {
		s = &f->open[i];
		if (s->class == STEP_EFFECT && !s->scheduled)
			return run_event_new(EV_STEP_SCHEDULED, s->id, s->attempt + 1, s->name,
			    json_pack("{s:s}", "class", "effect"));
	}
	return NULL;
}
