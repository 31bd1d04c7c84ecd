/*
 * check_fold_random.c: properties of the fold that must hold for any run: a workflow that decides
 *by a hash of what it saw, and events in a random order of those that may come.
 *
 *	- a snapshot, restored, is the same fold, and goes on the same way
 *	- the log, applied anew, gives the same fold
 *	- a step is completed once, and nothing is open when the run has ended well
 *	- an Interrupted comes exactly when nothing else can happen
 */
/* before check.h, whose macro fail() would change the SDK's table */
#include "runs_api.h"

#include <check.h>
#include <stdlib.h>

#include "plugins/runs/fold.h"

#define RUNS 400
#define EVENTS_MAX 300

static uint64_t seed;

static unsigned
draw(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed >> 20) % n;
}

static uint32_t
hash(const char *p)
{
	uint32_t h = 2166136261u;

	for (; *p != '\0'; p++)
		h = (h ^ (unsigned char)*p) * 16777619u;
	return h ^ h >> 15;
}

static json_t *
command(uint32_t h, int64_t n)
{
	static const char *const classes[] = { "idempotent", "effect", "local" };
	char name[16];

	snprintf(name, sizeof name, "n%u", h % 5);
	switch (h / 7 % 8) {
	case 0: return json_pack("{s:s, s:i}", "timer", name, "after_ms", (int)(h % 500));
	case 1: return json_pack("{s:s}", "wait", name);
	case 2: return json_pack("{s:s, s:i}", "wait", name, "timeout_ms", (int)(h % 300));
	case 3: return json_pack("{s:s, s:i}", "interrupt", name, "value", (int)n);
	default:
		return json_pack("{s:s, s:s, s:{s:I}}", "step", name, "class", classes[h % 3],
		    "input", "n", (json_int_t)n);
	}
}

/* Pure: what it does follows from the count in its state and the event. */
static int
advance(ins_ctx *ctx, void *self, const json_t *state, const json_t *event, json_t **ret)
{
	json_int_t n = json_integer_value(json_object_get(state, "n")) + 1;
	json_int_t open = json_integer_value(json_object_get(state, "open"));
	const char *type = json_string_value(json_object_get(event, "type"));
	char *text = json_dumps(event, JSON_COMPACT | JSON_SORT_KEYS);
	json_t *commands = json_array();
	uint32_t h = hash(text) + (uint32_t)n * 2654435761u;
	unsigned i, add = n > 40 ? 0 : h % 4;

	(void)ctx;
	(void)self;
	if (strcmp(type, "RunStarted") != 0 && strcmp(type, "Patched") != 0)
		open--;
	if (open <= 0 && add == 0 && n <= 40)
		add = 1;
	for (i = 0; i < add; i++)
		json_array_append_new(commands, command(hash(text) + i * 977 + (uint32_t)n, n));
	open += add;
	if (open <= 0)
		json_array_append_new(
		    commands, json_pack("{s:s, s:{s:I}}", "end", "completed", "output", "n", n));
	*ret = json_pack("{s:{s:I, s:I, s:i}, s:o}", "state", "n", n, "open", open, "h",
	    (int)(h & 0xffff), "commands", commands);
	free(text);
	return 0;
}

static const ins_workflow workflow = {
	.size = sizeof workflow, .name = "w", .version = "1", .advance = advance
};

struct log {
	struct run_event *ev[EVENTS_MAX + 8];
	unsigned n;
};

static char *
text_of(const struct fold *f)
{
	json_t *j = fold_snapshot(f);
	char *text = json_dumps(j, JSON_COMPACT | JSON_SORT_KEYS);

	json_decref(j);
	return text;
}

/* Both are the same; what the engine itself marks apart. */
static void
same(const struct fold *a, const struct fold *b)
{
	char *x = text_of(a), *y = text_of(b);

	ck_assert_str_eq(x, y);
	free(x);
	free(y);
}

static void
restored_is_the_same(const struct fold *f)
{
	struct fold g;
	json_t *snapshot = fold_snapshot(f);

	fold_init(&g, &f->limits);
	ck_assert_int_eq(fold_restore(&g, snapshot), 0);
	same(f, &g);
	json_decref(snapshot);
	fold_fini(&g);
}

/* Applies ev and what follows from it. */
static void
record(struct fold *f, struct log *log, struct run_event *ev, int64_t ms)
{
	ev->ts_us = f->last_us + ms * 1000;
	while (ev != NULL) {
		ck_assert_uint_lt(log->n, EVENTS_MAX + 8);
		ev->seq = f->next_seq;
		ck_assert_int_eq(fold_apply(f, NULL, &workflow, ev), 0);
		if (ev->type == EV_INTERRUPTED)
			ck_assert(fold_waits(f) && fold_interrupted(f));
		log->ev[log->n++] = ev;
		ev = fold_derive(f);
		if (ev != NULL)
			ev->ts_us = f->last_us;
	}
	ck_assert(f->ended || f->n_open > 0);
	ck_assert(f->ended || !fold_waits(f) || !fold_interrupted(f) || f->stopped);
}

/* One of the things that may happen now. */
static struct run_event *
happens(struct fold *f)
{
	struct fold_step *s = &f->open[draw((unsigned)f->n_open)];
	struct run_event *ev;
	char signal[16];

	if (draw(200) == 0)
		return run_event_new(EV_CANCEL_REQUESTED, -1, 0, NULL, json_object());
	if (draw(12) == 0) {
		snprintf(signal, sizeof signal, "n%u", draw(5));
		return run_event_new(EV_SIGNAL_RECEIVED, -1, 0, NULL,
		    json_pack("{s:s, s:i}", "signal", signal, "payload", (int)draw(100)));
	}
	switch (s->kind) {
	case OPEN_STEP:
		if (s->class == STEP_EFFECT && draw(4) == 0)
			return run_event_new(
			    EV_STEP_SCHEDULED, s->id, s->attempt + 1, s->name, json_object());
		return draw(8) == 0
		    ? run_event_new(EV_STEP_FAILED, s->id, 1, s->name,
			  json_pack("{s:{s:s, s:s}}", "error", "code", "timeout", "message", "x"))
		    : run_event_new(EV_STEP_COMPLETED, s->id, 1, s->name,
			  json_pack(
			      "{s:{s:{s:i}}}", "output", "usage", "prompt_tokens", (int)draw(9)));
	case OPEN_WAIT:
		return run_event_new(EV_SIGNAL_RECEIVED, -1, 0, NULL,
		    json_pack("{s:s, s:i}", "signal", s->name, "payload", (int)draw(100)));
	case OPEN_INTERRUPT:
		return run_event_new(
		    EV_RESUMED, -1, 0, NULL, json_pack("{s:i}", "value", (int)draw(100)));
	default:
		ev = fold_due(f, fold_due_us(f));
		ck_assert_ptr_nonnull(ev);
		return ev;
	}
}

/* The log from its beginning, from what it holds alone. */
static void
replayed_is_the_same(const struct fold *f, const struct log *log)
{
	struct fold g;
	unsigned i;

	fold_init(&g, &f->limits);
	for (i = 0; i < log->n; i++)
		ck_assert_int_eq(fold_apply(&g, NULL, &workflow, log->ev[i]), 0);
	same(f, &g);
	fold_fini(&g);
}

static void
no_step_ends_twice(const struct log *log)
{
	char ended[2000] = "";
	unsigned i;

	for (i = 0; i < log->n; i++) {
		const struct run_event *ev = log->ev[i];

		if (ev->type != EV_STEP_COMPLETED && ev->type != EV_STEP_FAILED)
			continue;
		ck_assert_int_lt(ev->step_id, (int)sizeof ended);
		ck_assert_int_eq(ended[ev->step_id], 0);
		ended[ev->step_id] = 1;
	}
}

static void
a_run(const struct fold_limits *limits)
{
	struct log log = { .n = 0 };
	struct fold f;
	unsigned i;

	fold_init(&f, limits);
	record(&f, &log,
	    run_event_new(EV_RUN_STARTED, -1, 0, NULL,
		json_pack("{s:i, s:[s]}", "input", (int)draw(1000), "interrupt_before", "n3")),
	    1000000);
	while (!f.ended && log.n < EVENTS_MAX) {
		record(&f, &log, happens(&f), draw(50));
		if (draw(5) == 0)
			restored_is_the_same(&f);
	}
	restored_is_the_same(&f);
	replayed_is_the_same(&f, &log);
	no_step_ends_twice(&log);
	for (i = 0; i < log.n; i++)
		run_event_free(log.ev[i]);
	fold_fini(&f);
}

START_TEST(any_run_is_what_its_log_says)
{
	static const struct fold_limits none, some = { .steps = 25, .visits = 12, .tokens = 60 };
	int i;

	for (i = 0; i < RUNS; i++) {
		seed = 0x9e3779b97f4a7c15u * (uint64_t)(i + 1);
		a_run(i % 4 == 3 ? &some : &none);
	}
}
END_TEST

/* From each state of a run, a fork ends too, and is a run like others. */
START_TEST(any_state_can_be_gone_on_from)
{
	static const struct fold_limits none;
	struct log log = { .n = 0 }, forked = { .n = 0 };
	static struct fold f, g; /* two at once are much for a stack frame */
	unsigned i, at;

	seed = 42;
	fold_init(&f, &none);
	record(&f, &log, run_event_new(EV_RUN_STARTED, -1, 0, NULL, json_object()), 1);
	for (at = 0; !f.ended && at < 60; at++) {
		fold_init(&g, &none);
		record(&g, &forked,
		    run_event_new(EV_RUN_STARTED, -1, 0, NULL,
			json_pack("{s:o, s:{}}", "snapshot", fold_snapshot_for_fork(&f), "base")),
		    1000000);
		ck_assert(g.ended || g.n_open == f.n_open);
		ck_assert_int_eq(g.steps, 0);
		while (!g.ended && forked.n < EVENTS_MAX)
			record(&g, &forked, happens(&g), 1);
		replayed_is_the_same(&g, &forked);
		for (i = 0; i < forked.n; i++)
			run_event_free(forked.ev[i]);
		forked.n = 0;
		fold_fini(&g);
		record(&f, &log, happens(&f), 1);
	}
	for (i = 0; i < log.n; i++)
		run_event_free(log.ev[i]);
	fold_fini(&f);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("fold_random");
	TCase *tc = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, any_run_is_what_its_log_says);
	tcase_add_test(tc, any_state_can_be_gone_on_from);
	suite_add_tcase(suite, tc);
	r = srunner_create(suite);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
