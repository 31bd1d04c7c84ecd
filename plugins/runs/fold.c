/* fold.c: see fold.h. */
#include "fold.h"

#include <stdlib.h>

#include "fold_int.h"

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
	l->steps = fold_int(j, "steps", l->steps);
	l->visits = fold_int(j, "visits", l->visits);
	l->time_ms = fold_int(j, "time_ms", l->time_ms);
	l->tokens = fold_int(j, "tokens", l->tokens);
	l->cost_nanos = fold_int(j, "cost_nanos", l->cost_nanos);
}

void
fold_init(struct fold *f, const struct fold_limits *limits)
{
	memset(f, 0, sizeof *f);
	f->limits = *limits;
	f->state = json_null();
	f->visits = json_object();
	f->signals = json_array();
	f->models = json_object();
	f->source = "input";
	f->values_seq = f->prev_seq = -1;
}

void
fold_fini(struct fold *f)
{
	size_t i;

	for (i = 0; i < f->n_open; i++)
		json_decref(f->open[i].input);
	json_decref(f->state);
	json_decref(f->visits);
	json_decref(f->signals);
	json_decref(f->models);
	json_decref(f->before);
	json_decref(f->after);
	json_decref(f->base);
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

void
fold_close(struct fold *f, struct fold_step *s)
{
	size_t i = (size_t)(s - f->open);

	json_decref(s->input);
	f->n_open--;
	memmove(s, s + 1, (f->n_open - i) * sizeof *s);
}

/* Into {"prompt_tokens", ...} of one model. */
static void
count_model(struct fold *f, const char *model, const json_t *usage)
{
	static const char *const names[] = { "prompt_tokens", "completion_tokens", "cached_tokens",
		"tool_calls", "cost_nanos" };
	json_t *m = json_object_get(f->models, model);
	size_t i;

	if (m == NULL) {
		m = json_object();
		json_object_set_new(f->models, model, m);
	}
	for (i = 0; i < sizeof names / sizeof *names; i++)
		if (json_object_get(usage, names[i]) != NULL)
			json_object_set_new(m, names[i],
			    json_integer(fold_int(m, names[i], 0) + fold_int(usage, names[i], 0)));
}

static void
count_usage(struct fold *f, const json_t *output)
{
	const json_t *u = json_object_get(output, "usage");
	const char *model = json_string_value(json_object_get(u, "model"));

	if (u == NULL)
		return;
	f->prompt_tokens += fold_int(u, "prompt_tokens", 0);
	f->completion_tokens += fold_int(u, "completion_tokens", 0);
	f->cached_tokens += fold_int(u, "cached_tokens", 0);
	f->tool_calls += fold_int(u, "tool_calls", 0);
	f->cost_nanos += fold_int(u, "cost_nanos", 0);
	if (model == NULL)
		model = json_string_value(json_object_get(output, "model"));
	if (model != NULL)
		count_model(f, model, u);
}

/* What stays of RunStarted. */
static void
started(struct fold *f, const struct run_event *ev)
{
	f->started_us = ev->ts_us;
	f->values_seq = ev->seq;
	f->prev_seq = -1;
	json_decref(f->before);
	f->before = json_incref(json_object_get(ev->data, "interrupt_before"));
	json_decref(f->after);
	f->after = json_incref(json_object_get(ev->data, "interrupt_after"));
	f->hold = json_is_true(json_object_get(ev->data, "hold"));
	json_decref(f->base);
	f->base = json_incref(json_object_get(ev->data, "base"));
}

static json_t *
seen_start(const struct run_event *ev)
{
	return json_pack("{s:s, s:O?, s:O?, s:O?}", "type", "RunStarted", "input",
	    json_object_get(ev->data, "input"), "values", json_object_get(ev->data, "values"),
	    "context", json_object_get(ev->data, "context"));
}

static void
begin(struct fold *f, ins_ctx *ctx, const ins_workflow *wf, const struct run_event *ev)
{
	const json_t *command = json_object_get(ev->data, "command");
	const json_t *resume = json_object_get(command, "resume");
	int edit = json_object_get(command, "update") != NULL ||
	    json_object_get(command, "goto") != NULL;
	size_t i;

	started(f, ev);
	if (json_object_get(ev->data, "snapshot") == NULL && !f->hold)
		fold_advance(f, ctx, wf, seen_start(ev));
	if (edit)
		fold_patched(f, ctx, wf, command);
	if (resume != NULL)
		fold_resumed(f, ctx, wf, resume);
	else
		fold_release(f);
	for (i = 0; f->hold && i < f->n_open; i++)
		if (f->open[i].kind == OPEN_STEP)
			f->open[i].held = HELD_EDIT;
	if (json_object_get(ev->data, "error") != NULL && f->end == NULL)
		f->end = json_pack(
		    "{s:s, s:O}", "status", "failed", "error", json_object_get(ev->data, "error"));
	f->source = f->hold                                 ? "update"
	    : json_object_get(ev->data, "snapshot") != NULL ? "fork"
							    : "input";
}

static json_t *
seen_step(const struct run_event *ev)
{
	const char *key = ev->type == EV_STEP_COMPLETED ? "output" : "error";

	return json_pack("{s:s, s:i, s:s, s:O?}", "type", event_type_names[ev->type], "step",
	    (int)ev->step_id, "name", ev->node, key, json_object_get(ev->data, key));
}

static int
fits(struct fold *f, const struct run_event *ev)
{
	const struct fold_step *s = fold_find(f, ev->step_id);

	if (ev->seq != f->next_seq || f->ended || (ev->seq == 0) != (ev->type == EV_RUN_STARTED))
		return 0;
	if (ev->type == EV_STEP_SCHEDULED || ev->type == EV_STEP_COMPLETED ||
	    ev->type == EV_STEP_FAILED)
		return s != NULL && s->kind == OPEN_STEP;
	if (ev->type == EV_TIMER_FIRED)
		return s != NULL && s->kind != OPEN_STEP && s->fire_at_us != 0;
	return ev->type != EV_TYPES;
}

/* The run goes on after it was stopped. */
static void
moves(struct fold *f)
{
	if (f->stopped)
		f->paused_us += f->last_us - f->stopped_us;
	f->stopped = 0;
}

static void
step_over(struct fold *f, ins_ctx *ctx, const ins_workflow *wf, const struct run_event *ev)
{
	struct fold_step *s = fold_find(f, ev->step_id);

	if (ev->type == EV_STEP_COMPLETED)
		count_usage(f, json_object_get(ev->data, "output"));
	f->hold_after = fold_named(f->after, s->name);
	fold_close(f, s);
	fold_advance(f, ctx, wf, seen_step(ev));
	f->hold_after = 0;
}

static void
budget_hit(struct fold *f, const json_t *data)
{
	f->hit_recorded = 1;
	if (f->hit != NULL)
		return;
	f->hit = "time_ms"; /* the only one that needs no other event to be hit */
	f->hit_allowed = fold_int(data, "allowed", 0);
	f->hit_used = fold_int(data, "used", 0);
}

int
fold_apply(struct fold *f, ins_ctx *ctx, const ins_workflow *wf, const struct run_event *ev)
{
	struct fold_step *s;
	const json_t *snapshot;

	if (!fits(f, ev))
		return -INS_EINVAL;
	if (ev->type == EV_RUN_STARTED &&
	    (snapshot = json_object_get(ev->data, "snapshot")) != NULL &&
	    fold_restore(f, snapshot) != 0)
		return -INS_EINVAL;
	f->next_seq = ev->seq + 1;
	f->last_us = ev->ts_us;
	switch (ev->type) {
	case EV_RUN_STARTED: begin(f, ctx, wf, ev); break;
	case EV_STEP_SCHEDULED:
		s = fold_find(f, ev->step_id);
		s->attempt = ev->attempt;
		s->scheduled = 1;
		s->seq = ev->seq;
		s->state = STEP_NEW;
		break;
	case EV_STEP_COMPLETED:
	case EV_STEP_FAILED:
		moves(f);
		step_over(f, ctx, wf, ev);
		break;
	case EV_TIMER_FIRED:
		moves(f);
		fold_timer_fired(f, ctx, wf, fold_find(f, ev->step_id));
		break;
	case EV_SIGNAL_RECEIVED: fold_signal(f, ctx, wf, ev); break;
	case EV_INTERRUPTED:
		f->stopped = 1;
		f->stopped_us = ev->ts_us;
		break;
	case EV_RESUMED:
		moves(f);
		fold_resumed(f, ctx, wf, json_object_get(ev->data, "value"));
		break;
	case EV_CANCEL_REQUESTED:
		moves(f);
		json_decref(f->end);
		f->end = json_pack("{s:s}", "status", "cancelled");
		break;
	case EV_BUDGET_HIT: budget_hit(f, ev->data); break;
	case EV_RUN_ENDED:
		moves(f);
		f->ended = 1;
		json_decref(f->end);
		f->end = json_incref(ev->data);
		break;
	case EV_TYPES: return -INS_EINVAL;
	}
	return 0;
}

/* Tokens and money as RunEnded reports them. */
static json_t *
usage_json(const struct fold *f)
{
	json_t *u = json_pack("{s:I, s:I, s:I, s:I}", "prompt_tokens", (json_int_t)f->prompt_tokens,
	    "completion_tokens", (json_int_t)f->completion_tokens, "cost_nanos",
	    (json_int_t)f->cost_nanos, "steps", (json_int_t)f->steps);

	if (f->cached_tokens != 0)
		json_object_set_new(u, "cached_tokens", json_integer(f->cached_tokens));
	if (f->tool_calls != 0)
		json_object_set_new(u, "tool_calls", json_integer(f->tool_calls));
	if (json_object_size(f->models) != 0)
		json_object_set_new(u, "models", json_deep_copy(f->models));
	return u;
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
		json_object_set_new(json_object_get(data, "error"), "limit", json_string(f->hit));
	} else if (f->hold || (f->source[0] == 'f' && f->next_seq == 1)) {
		/* an edit, or a fork, of a state in which everything was done */
		data = json_pack("{s:s}", "status", "completed");
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
		if (s->kind == OPEN_STEP && s->class == STEP_EFFECT && !s->scheduled &&
		    s->held == HELD_NO)
			return run_event_new(EV_STEP_SCHEDULED, s->id, s->attempt + 1, s->name,
			    json_pack("{s:s}", "class", "effect"));
	}
	if (!f->stopped && fold_waits(f) && fold_interrupted(f))
		return run_event_new(EV_INTERRUPTED, -1, 0, NULL,
		    json_pack("{s:o}", "interrupts", fold_interrupts(f)));
	return NULL;
}
