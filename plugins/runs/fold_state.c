/*
 * fold_state.c: a fold written down and read again, and what the world sees of it.
 *
 * A snapshot holds everything but the limits, which stand in the run's row. The one that a fork
 * begins from lacks what belongs to the old log alone: seqs, attempts, what was spent.
 */
#include <stdlib.h>

#include "fold_int.h"

#define SNAPSHOT_VERSION 1

static const char *const kinds[OPEN_KINDS] = { "step", "timer", "wait", "interrupt" };

static json_t *
open_json(const struct fold_step *s)
{
	json_t *j = json_pack("{s:i, s:s, s:s, s:I, s:O?}", "id", (int)s->id, "kind",
	    kinds[s->kind], "name", s->name, "seq", (json_int_t)s->seq, "input", s->input);

	if (s->kind == OPEN_STEP) {
		json_object_set_new(j, "class", json_integer(s->class));
		json_object_set_new(j, "attempt", json_integer(s->attempt));
		json_object_set_new(j, "scheduled", json_integer(s->scheduled));
		json_object_set_new(j, "held", json_integer(s->held));
		json_object_set_new(j, "max_attempts", json_integer(s->max_attempts));
		json_object_set_new(j, "timeout_ms", json_integer(s->timeout_ms));
	}
	if (s->fire_at_us != 0)
		json_object_set_new(j, "fire_at", json_integer(s->fire_at_us));
	return j;
}

json_t *
fold_snapshot(const struct fold *f)
{
	json_t *open = json_array(), *j;
	size_t i;

	for (i = 0; i < f->n_open; i++)
		json_array_append_new(open, open_json(&f->open[i]));
	j = json_pack("{s:i, s:I, s:i, s:I, s:I, s:O, s:o, s:O, s:O, s:O, s:s, s:I, s:I}",
	    "version", SNAPSHOT_VERSION, "next_seq", (json_int_t)f->next_seq, "next_step",
	    (int)f->next_step, "started", (json_int_t)f->started_us, "last", (json_int_t)f->last_us,
	    "state", f->state, "open", open, "visits", f->visits, "signals", f->signals, "models",
	    f->models, "source", f->source, "values_seq", (json_int_t)f->values_seq, "prev_seq",
	    (json_int_t)f->prev_seq);
	if (j == NULL)
		return NULL;
	json_object_set_new(j, "used",
	    json_pack("[IIIIII]", (json_int_t)f->steps, (json_int_t)f->prompt_tokens,
		(json_int_t)f->completion_tokens, (json_int_t)f->cached_tokens,
		(json_int_t)f->tool_calls, (json_int_t)f->cost_nanos));
	json_object_set_new(j, "pause",
	    json_pack("[iII]", f->stopped, (json_int_t)f->stopped_us, (json_int_t)f->paused_us));
	if (f->before != NULL)
		json_object_set(j, "before", f->before);
	if (f->after != NULL)
		json_object_set(j, "after", f->after);
	if (f->base != NULL)
		json_object_set(j, "base", f->base);
	if (f->hold)
		json_object_set_new(j, "hold", json_true());
	return j;
}

static int
open_restore(struct fold_step *s, const json_t *j)
{
	const char *kind = json_string_value(json_object_get(j, "kind"));
	const char *name = json_string_value(json_object_get(j, "name"));
	int k;

	for (k = 0; kind != NULL && k < OPEN_KINDS; k++)
		if (strcmp(kind, kinds[k]) == 0)
			break;
	if (kind == NULL || k == OPEN_KINDS || name == NULL || strlen(name) > FOLD_NAME_MAX)
		return -INS_EINVAL;
	memset(s, 0, sizeof *s);
	s->kind = (enum open_kind)k;
	snprintf(s->name, sizeof s->name, "%s", name);
	s->id = (int32_t)fold_int(j, "id", 0);
	s->seq = fold_int(j, "seq", 0);
	s->attempt = (int32_t)fold_int(j, "attempt", 0);
	s->scheduled = (int)fold_int(j, "scheduled", 0);
	s->max_attempts = (int32_t)fold_int(j, "max_attempts", 1);
	s->timeout_ms = fold_int(j, "timeout_ms", 0);
	s->fire_at_us = fold_int(j, "fire_at", 0);
	s->class = (enum step_class)(fold_int(j, "class", 0) % (STEP_LOCAL + 1));
	s->held = (enum step_held)(fold_int(j, "held", 0) % (HELD_EDIT + 1));
	s->input = json_incref(json_object_get(j, "input"));
	return 0;
}

static void
take(json_t **at, const json_t *from, const char *name)
{
	json_t *v = json_object_get(from, name);

	if (v == NULL)
		return;
	json_decref(*at);
	*at = json_deep_copy(v);
}

static const char *
source_of(const json_t *j)
{
	static const char *const known[] = { "input", "loop", "update", "fork" };
	const char *z = json_string_value(json_object_get(j, "source"));
	size_t i;

	for (i = 0; z != NULL && i < sizeof known / sizeof *known; i++)
		if (strcmp(z, known[i]) == 0)
			return known[i];
	return "loop";
}

int
fold_restore(struct fold *f, const json_t *j)
{
	const json_t *open = json_object_get(j, "open"), *used = json_object_get(j, "used");
	const json_t *pause = json_object_get(j, "pause"), *o;
	size_t i;

	if (fold_int(j, "version", 0) != SNAPSHOT_VERSION || !json_is_array(open) ||
	    json_array_size(open) > FOLD_OPEN_MAX)
		return -INS_EINVAL;
	json_array_foreach(open, i, o)
	{
		if (open_restore(&f->open[i], o) != 0)
			return -INS_EINVAL;
		f->n_open = i + 1;
	}
	take(&f->state, j, "state");
	take(&f->visits, j, "visits");
	take(&f->signals, j, "signals");
	take(&f->models, j, "models");
	take(&f->before, j, "before");
	take(&f->after, j, "after");
	take(&f->base, j, "base");
	f->hold = json_is_true(json_object_get(j, "hold"));
	f->next_seq = fold_int(j, "next_seq", 0);
	f->next_step = (int32_t)fold_int(j, "next_step", 0);
	f->started_us = fold_int(j, "started", 0);
	f->last_us = fold_int(j, "last", 0);
	f->values_seq = fold_int(j, "values_seq", -1);
	f->prev_seq = fold_int(j, "prev_seq", -1);
	f->source = source_of(j);
	f->steps = json_integer_value(json_array_get(used, 0));
	f->prompt_tokens = json_integer_value(json_array_get(used, 1));
	f->completion_tokens = json_integer_value(json_array_get(used, 2));
	f->cached_tokens = json_integer_value(json_array_get(used, 3));
	f->tool_calls = json_integer_value(json_array_get(used, 4));
	f->cost_nanos = json_integer_value(json_array_get(used, 5));
	f->stopped = (int)json_integer_value(json_array_get(pause, 0));
	f->stopped_us = json_integer_value(json_array_get(pause, 1));
	f->paused_us = json_integer_value(json_array_get(pause, 2));
	return 0;
}

/* A run that completed has nothing to go on with; one that failed or was cancelled may have. */
static int
done(const struct fold *f)
{
	const char *status = json_string_value(json_object_get(f->end, "status"));

	return f->ended && status != NULL && strcmp(status, "completed") == 0;
}

json_t *
fold_snapshot_for_fork(const struct fold *f)
{
	json_t *j = fold_snapshot(f), *o;
	size_t i;

	if (j == NULL)
		return NULL;
	if (done(f))
		json_object_set_new(j, "open", json_array());
	/* The new run has its own limits, and tries each open step anew. */
	json_object_set_new(j, "visits", json_object());
	json_object_set_new(j, "models", json_object());
	json_object_set_new(j, "used", json_array());
	json_object_set_new(j, "pause", json_array());
	json_object_set_new(j, "next_seq", json_integer(0));
	json_object_del(j, "before");
	json_object_del(j, "after");
	json_object_del(j, "base");
	json_object_del(j, "hold");
	json_array_foreach(json_object_get(j, "open"), i, o)
	{
		json_object_set_new(o, "attempt", json_integer(0));
		json_object_set_new(o, "scheduled", json_integer(0));
		json_object_set_new(o, "seq", json_integer(0));
	}
	return j;
}

json_t *
fold_values(const struct fold *f, ins_ctx *ctx, const ins_workflow *wf)
{
	json_t *values = NULL;

	if (wf == NULL || wf->size <= offsetof(ins_workflow, values) || wf->values == NULL)
		return json_incref(f->state);
	if (wf->values(ctx, wf->self, f->state, &values) != 0 || values == NULL) {
		ins_clear_error(ctx);
		json_decref(values);
		return json_null();
	}
	return values;
}

/* [{"id", "name", "interrupts"}]: what is open, one task each. */
static json_t *
tasks_json(const struct fold *f)
{
	json_t *all = json_array(), *of;
	const struct fold_step *s;
	char id[24];
	size_t i;

	for (i = 0; i < f->n_open; i++) {
		s = &f->open[i];
		of = json_array();
		if (s->kind == OPEN_INTERRUPT) {
			char interrupt[FOLD_NAME_MAX + 16];

			snprintf(interrupt, sizeof interrupt, "%s:%d", s->name, (int)s->id);
			json_array_append_new(
			    of, json_pack("{s:s, s:O}", "id", interrupt, "value", s->input));
		}
		snprintf(id, sizeof id, "%d", (int)s->id);
		json_array_append_new(all,
		    json_pack("{s:s, s:s, s:s, s:o}", "id", id, "name", s->name, "kind",
			kinds[s->kind], "interrupts", of));
	}
	return all;
}

json_t *
fold_state_json(const struct fold *f, ins_ctx *ctx, const ins_workflow *wf)
{
	json_t *next = json_array(), *interrupts = json_array(), *all, *v;
	char ts[40];
	size_t i;

	if (!done(f)) {
		for (i = 0; i < f->n_open; i++)
			json_array_append_new(next, json_string(f->open[i].name));
		all = fold_interrupts(f);
		json_array_foreach(all, i, v)
		{
			if (strcmp(json_string_value(json_object_get(v, "when")), "node") == 0)
				json_array_append(interrupts, v);
		}
		json_decref(all);
	}
	fold_time_text(f->last_us, ts);
	return json_pack("{s:I, s:s, s:o, s:o, s:o, s:o, s:s, s:I}", "seq",
	    (json_int_t)f->values_seq, "ts", ts, "values", fold_values(f, ctx, wf), "next", next,
	    "tasks", done(f) ? json_array() : tasks_json(f), "interrupts", interrupts, "source",
	    f->source, "step", (json_int_t)f->steps);
}
