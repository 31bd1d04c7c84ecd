/*
 * fold_wait.c: what a run waits for: timers, signals, people. See workflow.h for the commands.
 *
 * A signal that comes before anything waits for it is kept, in order, and the first wait of its
 * name takes it. An interrupt, and a step that is held before or after a name that the start named,
 * wait for a resume.
 */
#include <stdlib.h>

#include "fold_int.h"

static const char *const held_names[] = { "no", "before", "after", "edit" };

int
fold_named(const json_t *names, const char *name)
{
	const json_t *v;
	size_t i;

	if (json_is_string(names))
		return strcmp(json_string_value(names), "*") == 0 ||
		    strcmp(json_string_value(names), name) == 0;
	json_array_foreach(names, i, v)
	{
		if (json_is_string(v) && strcmp(json_string_value(v), name) == 0)
			return 1;
	}
	return 0;
}

/* A time from now, in the command's member `key`; 0 = it has none. */
static int64_t
fire_at(struct fold *f, const json_t *cmd, const char *key, const char *name)
{
	const json_t *v = json_object_get(cmd, key);
	int64_t ms = json_integer_value(v);

	if (v == NULL)
		return 0;
	if (!json_is_integer(v) || ms < 0 || ms > FOLD_TIMER_MAX_MS) {
		fold_fail(f, "%s: %s must be a number of milliseconds, a year at most", name, key);
		return 0;
	}
	return f->last_us + ms * 1000;
}

static void
command_timer(struct fold *f, const json_t *cmd, const char *name)
{
	struct fold_step *s = fold_open(f, OPEN_TIMER, name);

	if (s == NULL)
		return;
	s->fire_at_us = fire_at(f, cmd, "after_ms", name);
	if (s->fire_at_us == 0)
		fold_fail(f, "timer %s: after_ms is missing", name);
}

static void
command_wait(struct fold *f, const json_t *cmd, const char *name)
{
	struct fold_step *s = fold_open(f, OPEN_WAIT, name);

	if (s != NULL)
		s->fire_at_us = fire_at(f, cmd, "timeout_ms", name);
}

static void
command_interrupt(struct fold *f, const json_t *cmd, const char *name)
{
	json_t *value = json_object_get(cmd, "value");
	struct fold_step *s = fold_open(f, OPEN_INTERRUPT, name);

	if (s != NULL)
		s->input = value == NULL ? json_null() : json_incref(value);
}

int
fold_command_wait(struct fold *f, const json_t *cmd)
{
	const char *name;

	if ((name = json_string_value(json_object_get(cmd, "timer"))) != NULL)
		command_timer(f, cmd, name);
	else if ((name = json_string_value(json_object_get(cmd, "wait"))) != NULL)
		command_wait(f, cmd, name);
	else if ((name = json_string_value(json_object_get(cmd, "interrupt"))) != NULL)
		command_interrupt(f, cmd, name);
	else
		return 0;
	return 1;
}

struct fold_step *
fold_match(const struct fold *f, size_t *ret_signal)
{
	const json_t *signal;
	size_t i, k;

	json_array_foreach(f->signals, k, signal)
	{
		const char *name = json_string_value(json_object_get(signal, "signal"));

		for (i = 0; name != NULL && i < f->n_open; i++)
			if (f->open[i].kind == OPEN_WAIT && strcmp(f->open[i].name, name) == 0) {
				*ret_signal = k;
				return (struct fold_step *)(uintptr_t)&f->open[i];
			}
	}
	return NULL;
}

/* Each match opens at most what advance() asks for, and that counts as steps: a limit ends it. */
void
fold_take_signals(struct fold *f, ins_ctx *ctx, const ins_workflow *wf)
{
	struct fold_step *s;
	json_t *signal, *seen;
	size_t k;

	if (json_array_size(f->signals) == 0 || (s = fold_match(f, &k)) == NULL)
		return;
	signal = json_array_get(f->signals, k);
	seen = json_pack("{s:s, s:s, s:O?}", "type", "SignalReceived", "signal", s->name, "payload",
	    json_object_get(signal, "payload"));
	json_array_remove(f->signals, k);
	fold_close(f, s);
	fold_advance(f, ctx, wf, seen);
}

void
fold_signal(struct fold *f, ins_ctx *ctx, const ins_workflow *wf, const struct run_event *ev)
{
	size_t k;

	if (json_array_size(f->signals) >= FOLD_SIGNALS_MAX)
		return; /* the engine refuses what would come here */
	json_array_append_new(f->signals,
	    json_pack("{s:O?, s:O?}", "signal", json_object_get(ev->data, "signal"), "payload",
		json_object_get(ev->data, "payload")));
	if (fold_match(f, &k) == NULL)
		return;
	if (f->stopped)
		f->paused_us += f->last_us - f->stopped_us;
	f->stopped = 0;
	fold_take_signals(f, ctx, wf);
}

void
fold_timer_fired(struct fold *f, ins_ctx *ctx, const ins_workflow *wf, struct fold_step *s)
{
	json_t *seen = json_pack("{s:s, s:s}", "type", "TimerFired", "timer", s->name);

	fold_close(f, s);
	fold_advance(f, ctx, wf, seen);
}

static void
interrupt_id(const struct fold_step *s, char out[FOLD_NAME_MAX + 16])
{
	snprintf(out, FOLD_NAME_MAX + 16, "%s:%d", s->name, (int)s->id);
}

static struct fold_step *
find_interrupt(struct fold *f, const char *id)
{
	char mine[FOLD_NAME_MAX + 16];
	size_t i;

	for (i = 0; i < f->n_open; i++) {
		if (f->open[i].kind != OPEN_INTERRUPT)
			continue;
		interrupt_id(&f->open[i], mine);
		if (id == NULL || strcmp(mine, id) == 0)
			return &f->open[i];
	}
	return NULL;
}

static void
answer(struct fold *f, ins_ctx *ctx, const ins_workflow *wf, struct fold_step *s, json_t *value)
{
	json_t *seen = json_pack(
	    "{s:s, s:s, s:O}", "type", "Resumed", "interrupt", s->name, "value", value);

	fold_close(f, s);
	fold_advance(f, ctx, wf, seen);
}

/* 1 when every member is named after an open interrupt. */
static int
by_id(struct fold *f, const json_t *value)
{
	const char *id;
	json_t *v;

	if (json_object_size(value) == 0)
		return 0;
	json_object_foreach(
	    (json_t *)(uintptr_t)value, id, v) if (find_interrupt(f, id) == NULL) return 0;
	return 1;
}

void
fold_release(struct fold *f)
{
	size_t i;

	for (i = 0; i < f->n_open; i++) {
		if (f->open[i].held != HELD_NO)
			f->open[i].seq = f->next_seq - 1;
		f->open[i].held = HELD_NO;
	}
}

void
fold_resumed(struct fold *f, ins_ctx *ctx, const ins_workflow *wf, const json_t *value)
{
	json_t *v, *all = json_incref((json_t *)(uintptr_t)value);
	struct fold_step *s;
	const char *id;

	fold_release(f);
	if (by_id(f, value)) {
		json_object_foreach(all, id, v) if ((s = find_interrupt(f, id)) != NULL)
		    answer(f, ctx, wf, s, v);
	} else if ((s = find_interrupt(f, NULL)) != NULL) {
		answer(f, ctx, wf, s, all == NULL ? json_null() : all);
	}
	json_decref(all);
}

void
fold_patched(struct fold *f, ins_ctx *ctx, const ins_workflow *wf, const json_t *command)
{
	struct fold_step old[FOLD_OPEN_MAX];
	size_t i, n = f->n_open;

	memcpy(old, f->open, n * sizeof *old);
	f->n_open = 0;
	fold_advance(f, ctx, wf,
	    json_pack("{s:s, s:O?, s:O?, s:O?}", "type", "Patched", "values",
		json_object_get(command, "update"), "as_node", json_object_get(command, "as_node"),
		"goto", json_object_get(command, "goto")));
	/* With commands, what was open is over: they say what is next. */
	if (f->n_open == 0 && f->end == NULL) {
		memcpy(f->open, old, n * sizeof *old);
		f->n_open = n;
		return;
	}
	for (i = 0; i < n; i++)
		json_decref(old[i].input);
}

int
fold_waits(const struct fold *f)
{
	size_t i;

	for (i = 0; i < f->n_open; i++)
		if (f->open[i].kind == OPEN_STEP && f->open[i].held == HELD_NO)
			return 0;
	return 1;
}

int
fold_interrupted(const struct fold *f)
{
	size_t i;

	for (i = 0; i < f->n_open; i++)
		if (f->open[i].kind == OPEN_INTERRUPT || f->open[i].held != HELD_NO)
			return 1;
	return 0;
}

json_t *
fold_interrupts(const struct fold *f)
{
	json_t *all = json_array();
	char id[FOLD_NAME_MAX + 16];
	size_t i;

	for (i = 0; i < f->n_open; i++) {
		const struct fold_step *s = &f->open[i];

		interrupt_id(s, id);
		if (s->kind == OPEN_INTERRUPT)
			json_array_append_new(all,
			    json_pack("{s:s, s:s, s:O, s:s}", "id", id, "name", s->name, "value",
				s->input, "when", "node"));
		else if (s->held != HELD_NO)
			json_array_append_new(all,
			    json_pack("{s:s, s:s, s:n, s:s}", "id", id, "name", s->name, "value",
				"when", held_names[s->held]));
	}
	return all;
}

int64_t
fold_due_us(const struct fold *f)
{
	int64_t at = 0;
	size_t i;

	if (f->limits.time_ms != 0 && !f->stopped && !f->hit_recorded)
		at = f->started_us + f->paused_us + f->limits.time_ms * 1000 + 1000;
	for (i = 0; i < f->n_open; i++)
		if (f->open[i].fire_at_us != 0 && (at == 0 || f->open[i].fire_at_us < at))
			at = f->open[i].fire_at_us;
	return at;
}

struct run_event *
fold_due(const struct fold *f, int64_t now_us)
{
	const struct fold_step *s = NULL;
	int64_t used;
	size_t i;

	if (f->ended || f->next_seq == 0)
		return NULL;
	for (i = 0; i < f->n_open; i++)
		if (f->open[i].fire_at_us != 0 && f->open[i].fire_at_us <= now_us &&
		    (s == NULL || f->open[i].fire_at_us < s->fire_at_us))
			s = &f->open[i];
	if (s != NULL)
		return run_event_new(EV_TIMER_FIRED, s->id, 0, s->name, json_object());
	used = (now_us - f->started_us - f->paused_us) / 1000;
	if (f->limits.time_ms == 0 || f->stopped || f->hit != NULL || used <= f->limits.time_ms)
		return NULL;
	return run_event_new(EV_BUDGET_HIT, -1, 0, NULL,
	    json_pack("{s:s, s:I, s:I}", "limit", "time_ms", "allowed",
		(json_int_t)f->limits.time_ms, "used", (json_int_t)used));
}
