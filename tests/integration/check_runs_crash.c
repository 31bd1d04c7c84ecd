/*
 * check_runs_crash.c: random runs, and hosts that die at each place where it could matter. Whatever
 * happens: logs have no gap, a step ends once, an effect goes out only after it is written down and
 * with one key, and the state is what the log says.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "tests/lib/runner.h"

#include <check.h> /* last: its macro `fail` is a name of ours */

#define RUNS 12
#define WAIT_S 60

static uint64_t seed;
static char ids[RUNS][40];
static int n_ids;

static unsigned
draw(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed >> 20) % n;
}

/* One thing of a plan. */
static json_t *
item(int i)
{
	static const char *const classes[] = { "idempotent", "effect", "local" };
	char name[16];

	snprintf(name, sizeof name, "s%d", i);
	switch (draw(8)) {
	case 0: return json_pack("{s:s, s:i}", "timer", name, "after_ms", (int)draw(80));
	case 1: return json_pack("{s:s, s:i}", "wait", "never", "timeout_ms", (int)draw(60));
	case 2:
		return json_pack("{s:s, s:s, s:i, s:i, s:i}", "name", name, "class", "idempotent",
		    "fail", 13 /* INS_EUPSTREAM */, "times", 1, "max_attempts", 9);
	default:
		return json_pack("{s:s, s:s, s:i}", "name", name, "class", classes[draw(3)], "ms",
		    (int)draw(30));
	}
}

/* A plan whose items are one after the other or several at once, and may come round. */
static char *
input(void)
{
	json_t *plan = json_array(), *j, *at_once;
	int i, k, n = 2 + (int)draw(5);
	char *text;

	for (i = 0; i < n; i++) {
		if (draw(4) != 0) {
			json_array_append_new(plan, item(i));
			continue;
		}
		at_once = json_array();
		for (k = 0; k < 2 + (int)draw(3); k++)
			json_array_append_new(at_once, item(10 * (i + 1) + k));
		json_array_append_new(plan, at_once);
	}
	j = json_pack("{s:o, s:i}", "plan", plan, "again", (int)draw(5));
	text = json_dumps(j, JSON_COMPACT);
	json_decref(j);
	return text;
}

/* Begins a run; which of them the host accepted is in ids. A host that dies meanwhile may have. */
static void
try_begin(void)
{
	char *in = input(), body[4096], line[60];
	const struct reply *r;

	snprintf(body, sizeof body, "{\"workflow\": \"stepper\", \"input\": %s}", in);
	snprintf(line, sizeof line, "Idempotency-Key: %llx", (unsigned long long)seed);
	client_header(c, line);
	r = client_post(c, "/v1/runs", body);
	client_header(c, NULL);
	if (r->status == 202)
		snprintf(ids[n_ids++], sizeof ids[0], "%s", text(r->json, "run_id"));
	free(in);
}

static void
die_at(const char *failpoint)
{
	if (setenv("RUNS_FAILPOINT", failpoint, 1) != 0)
		abort(); /* also called outside of a test */
}

static void
next_host(void)
{
	client_free(c);
	c = NULL;
	if (!house_ended())
		house_kill(SIGKILL);
	if (house_may_start() == 0)
		c = house_client(0);
}

static void
until_all_end(void)
{
	int64_t late = base_mono_us() + WAIT_S * INT64_C(1000000);

	while (strcmp(servers_sql_super("SELECT count(*) FROM agent_runs WHERE ended_at IS NULL"),
		   "0") != 0) {
		ck_assert_msg(base_mono_us() < late, "%s runs do not end",
		    servers_sql_super("SELECT count(*) FROM agent_runs WHERE ended_at IS NULL"));
		ck_assert_msg(!house_ended(), "the host ended by itself");
		nap();
	}
}

/* How often stepper was called with this key. */
static int
calls(const char *run_id, int step)
{
	char line[200], key[80], name[80], mine[80];
	FILE *f = fopen(trace, "re");
	int n = 0;

	snprintf(mine, sizeof mine, "%s:%d", run_id, step);
	while (f != NULL && fgets(line, sizeof line, f) != NULL)
		n += sscanf(line, "%79s %79s", key, name) == 2 && strcmp(key, mine) == 0;
	if (f != NULL)
		fclose(f);
	return n;
}

/* What the values must say was seen, from the events alone. */
static void
state_is_the_fold_of_the_log(const char *id)
{
	const json_t *events, *ev;
	json_t *want = json_array(), *got;
	char path[600];
	size_t i;

	events = json_object_get(get(id), "events");
	json_array_foreach(events, i, ev)
	{
		if (strcmp(text(ev, "type"), "StepCompleted") == 0)
			json_array_append_new(want, json_string(text(ev, "name")));
		else if (strcmp(text(ev, "type"), "TimerFired") == 0)
			json_array_append_new(want, json_sprintf("timer %s", text(ev, "name")));
	}
	snprintf(path, sizeof path, "/v1/runs/%s/state", id);
	got = json_object_get(json_object_get(client_get(c, path)->json, "values"), "seen");
	ck_assert_msg(json_equal(want, got), "run %s: %s, by its log %s", id,
	    json_dumps(got, JSON_COMPACT), json_dumps(want, JSON_COMPACT));
	json_decref(want);
}

/* An effect went out as often as the log says that it would, at most. */
static void
effects_are_written_ahead(const char *id)
{
	const json_t *events, *ev;
	int scheduled[200] = { 0 }, step;
	size_t i;

	events = json_object_get(get(id), "events");
	json_array_foreach(events, i, ev)
	{
		if (strcmp(text(ev, "type"), "StepScheduled") != 0)
			continue;
		step = (int)number(ev, "step");
		ck_assert_int_lt(step, 200);
		if (strcmp(text(ev, "class"), "effect") == 0 || scheduled[step] > 0)
			scheduled[step]++;
	}
	for (step = 0; step < 200; step++)
		if (scheduled[step] > 0)
			ck_assert_int_le(calls(id, step), scheduled[step]);
}

static void
everything_holds(void)
{
	int i;

	ck_assert_str_eq(
	    servers_sql_super("SELECT count(*) FROM agent_runs AS r WHERE r.next_seq <> (SELECT "
			      "count(*) FROM run_events AS e WHERE e.run_id = r.run_id) OR "
			      "r.next_seq <> (SELECT max(seq) + 1 FROM run_events AS e WHERE "
			      "e.run_id = r.run_id)"),
	    "0");
	ck_assert_str_eq(
	    servers_sql_super("SELECT count(*) FROM (SELECT 1 FROM run_events WHERE type IN "
			      "('StepCompleted', 'StepFailed') GROUP BY run_id, step_id HAVING "
			      "count(*) > 1) AS twice"),
	    "0");
	ck_assert_str_eq(
	    /* NATS is away: what was to be told waits here */
	    servers_sql_super("SELECT count(*) FROM agent_runs AS r WHERE (SELECT count(*) FROM "
			      "outbox WHERE envelope ->> 'run_id' = r.run_id::text AND subject "
			      "LIKE 't.%%.agent.run.completed') <> 1"),
	    "0");
	for (i = 0; i < n_ids; i++) {
		ck_assert_str_eq(text(get(ids[i]), "status"), "completed");
		state_is_the_fold_of_the_log(ids[i]);
		effects_are_written_ahead(ids[i]);
	}
}

/* A host dies at `where` while runs begin and go on; the next perhaps while it takes over. */
static void
story(const char *where, unsigned after, int dies_again)
{
	char failpoint[40];
	int i;

	n_ids = 0;
	snprintf(failpoint, sizeof failpoint, "%s:%u", where, after);
	die_at(failpoint);
	next_host();
	ck_assert_ptr_nonnull(c);
	for (i = 0; i < RUNS && !house_ended(); i++)
		try_begin();
	for (i = 0; i < 200 && !house_ended(); i++)
		nap(); /* a few die later, or never: then it is killed */
	die_at(dies_again ? "takeover:2" : "");
	next_host();
	for (i = 0; dies_again && c != NULL && i < 100 && !house_ended(); i++)
		nap();
	die_at("");
	if (dies_again)
		next_host();
	ck_assert_ptr_nonnull(c);
	until_all_end();
	everything_holds();
}

static const char *const places[] = { "before_commit", "mid_batch", "after_commit",
	"after_dispatch", "after_step" };

START_TEST(nothing_is_lost_or_done_twice_wherever_a_host_dies)
{
	seed = 0x9e3779b97f4a7c15u * (uint64_t)(_i + 1);
	story(places[_i % 5], 1 + draw(40), _i % 3 == 2);
}
END_TEST

int
main(void)
{
	static const char plugins[] =
	    "  auth: {}\n  runs: {config: {failpoint: \"${RUNS_FAILPOINT}\"}}\n"
	    "  stepper: {config: {trace: %s}}\n";
	const char *long_form = getenv("INSULA_CRASHES");
	int n = long_form == NULL ? 5 : atoi(long_form);
	Suite *suite = suite_create("runs_crash");
	TCase *t = tcase_create("runs_crash");
	char yaml[1000], dir[64];
	SRunner *runner;
	int failed;

	snprintf(dir, sizeof dir, "%s", servers_temp_dir());
	snprintf(trace, sizeof trace, "%s/trace", dir);
	snprintf(yaml, sizeof yaml, plugins, trace);
	die_at("");
	house_start(yaml, NULL, SERVERS_PG);
	tcase_set_timeout(t, 240);
	tcase_add_loop_test(t, nothing_is_lost_or_done_twice_wherever_a_host_dies, 0, n);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	/* in a fork the host would be nobody's child, and could not be waited for */
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	client_free(c);
	house_stop();
	servers_remove(dir);
	return failed != 0;
}
