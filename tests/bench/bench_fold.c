/*
 * bench_fold: how fast a run's log is replayed and a run is forked, without the database: events a
 * second through the fold, with and without the parsing of their data, and forks a second from a
 * state in the middle (snapshot for a fork, as text, back into a fold).
 */
/* first, as in the unit tests: the functions of the SDK that the fold calls */
#include "tests/unit/runs_api.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "plugins/runs/fold.h"

#define STEPS 20000
#define ROUNDS 5
#define FORKS 2000

static const char output[] =
    "{\"output\": {\"text\": \"what a step found out, a line or two of it, as a model or a "
    "tool says it\", \"usage\": {\"prompt_tokens\": 120, \"completion_tokens\": 30}}}";

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* One step after the other; the state counts them. */
static int
advance(ins_ctx *ctx, void *self, const json_t *state, const json_t *event, json_t **ret)
{
	json_int_t n = json_integer_value(json_object_get(state, "n"));

	(void)ctx;
	(void)self;
	(void)event;
	*ret = json_pack("{s:{s:I}, s:[{s:s, s:{s:I}}]}", "state", "n", n + 1, "commands", "step",
	    "s", "input", "n", n);
	return *ret == NULL ? -INS_ENOMEM : 0;
}

static const ins_workflow workflow = {
	.size = sizeof workflow, .name = "w", .version = "1", .advance = advance
};

static struct run_event *
event_at(int i)
{
	struct run_event *ev = i == 0
	    ? run_event_new(EV_RUN_STARTED, -1, 0, NULL, json_loads("{\"input\": {}}", 0, NULL))
	    : run_event_new(EV_STEP_COMPLETED, i - 1, 1, "s", json_loads(output, 0, NULL));

	if (ev == NULL)
		exit(1);
	ev->seq = i;
	ev->ts_us = 1700000000000000 + i;
	return ev;
}

static void
apply(struct fold *f, const struct run_event *ev)
{
	if (fold_apply(f, NULL, &workflow, ev) != 0) {
		fprintf(stderr, "bench_fold: event %lld does not fit\n", (long long)ev->seq);
		exit(1);
	}
}

int
main(void)
{
	static const struct fold_limits none;
	static struct fold f, g;
	struct run_event **log = calloc(STEPS + 1, sizeof *log);
	double t, with = 0, alone = 0, forks;
	json_t *snapshot;
	char *z;
	int i, k;

	if (log == NULL)
		return 1;
	for (k = 0; k < ROUNDS; k++) {
		fold_init(&f, &none);
		t = now();
		for (i = 0; i <= STEPS; i++) {
			run_event_free(log[i]);
			log[i] = event_at(i);
			apply(&f, log[i]);
		}
		with += now() - t;
		fold_fini(&f);
		fold_init(&f, &none);
		t = now();
		for (i = 0; i <= STEPS; i++)
			apply(&f, log[i]);
		alone += now() - t;
		if (k < ROUNDS - 1)
			fold_fini(&f);
	}
	t = now();
	for (i = 0; i < FORKS; i++) {
		snapshot = fold_snapshot_for_fork(&f);
		z = json_dumps(snapshot, JSON_COMPACT);
		json_decref(snapshot);
		snapshot = json_loads(z, 0, NULL);
		fold_init(&g, &none);
		if (fold_restore(&g, snapshot) != 0)
			return 1;
		fold_fini(&g);
		json_decref(snapshot);
		free(z);
	}
	forks = now() - t;
	printf("replay: %.0f events/s, with the parsing of their data %.0f (a log of %d events, "
	       "one step each); forks of its state: %.0f/s\n",
	    ROUNDS * STEPS / alone, ROUNDS * STEPS / with, STEPS, FORKS / forks);
	for (i = 0; i <= STEPS; i++)
		run_event_free(log[i]);
	free(log);
	fold_fini(&f);
	return 0;
}
