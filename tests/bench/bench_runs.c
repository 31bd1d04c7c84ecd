/*
 * bench_runs: durable runs of three steps through a whole host: HTTP, commit batches, PostgreSQL
 * with fsync. Prints the latency of POST /v1/runs?wait=true at concurrency 1 and the runs per
 * second at 64.
 *
 * Needs PostgreSQL's package; starts a private one. The floor of the latency is checked; a busy
 * machine fails it, so this is no part of `make check`.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"
#include "tests/lib/house.h"

#define WARM 200
#define SINGLE 1000
#define THREADS 64
#define EACH 40
#define FLOOR_P50_MS 10.0

static const char three[] = "{\"workflow\": \"stepper\", \"input\": {\"plan\": [{\"name\": \"a\"}, "
			    "{\"name\": \"b\"}, {\"name\": \"c\"}]}}";
static int failures;

/* Milliseconds. */
static double
one(struct client *c)
{
	int64_t begin = base_mono_us();
	const struct reply *r = client_post(c, "/v1/runs?wait=true", three);

	if (r->status != 200)
		__atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);
	return (double)(base_mono_us() - begin) / 1000;
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void *
many(void *arg)
{
	struct client *c = house_client(0);
	double *ms = arg;
	int i;

	for (i = 0; i < EACH; i++)
		ms[i] = one(c);
	client_free(c);
	return NULL;
}

int
main(void)
{
	static double ms[SINGLE], all[THREADS * EACH];
	pthread_t thread[THREADS];
	struct client *c;
	int64_t begin;
	double s, p50;
	int i;

	house_start("  auth: {}\n  runs: {}\n  stepper: {}\n", NULL, SERVERS_PG);
	c = house_client(0);
	for (i = 0; i < WARM; i++)
		one(c);
	for (i = 0; i < SINGLE; i++)
		ms[i] = one(c);
	client_free(c);
	qsort(ms, SINGLE, sizeof *ms, by_value);
	p50 = ms[SINGLE / 2];
	printf("runs of 3 steps, concurrency 1: p50 %.2f ms, p99 %.2f ms (floor: p50 <= %.0f ms)\n",
	    p50, ms[SINGLE * 99 / 100], FLOOR_P50_MS);
	begin = base_mono_us();
	for (i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, many, all + i * EACH);
	for (i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	s = (double)(base_mono_us() - begin) / 1e6;
	qsort(all, THREADS * EACH, sizeof *all, by_value);
	printf("runs of 3 steps, concurrency %d: %.0f runs/s, p50 %.1f ms, p99 %.1f ms\n", THREADS,
	    THREADS * EACH / s, all[THREADS * EACH / 2], all[THREADS * EACH * 99 / 100]);
	if (failures > 0)
		printf("%d runs failed\n", failures);
	house_stop();
	return failures > 0 || p50 > FLOOR_P50_MS;
}
