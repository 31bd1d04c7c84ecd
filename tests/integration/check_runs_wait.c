/*
 * check_runs_wait.c: what runs wait for (timers, signals, people, the run before them in a thread),
 * what is said to them, and going on from their states.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "tests/lib/runner.h"

#include <check.h> /* last: its macro `fail` is a name of ours */

/* An input: a plan of one to three items. */
#define PLAN(...) PLAN_(__VA_ARGS__, PLAN3, PLAN2, PLAN1, )(__VA_ARGS__)
#define PLAN_(a, b, c, plan, ...) plan
#define PLAN1(a) "{\"plan\": [" a "]}"
#define PLAN2(a, b) PLAN1(a ", " b)
#define PLAN3(a, b, c) PLAN1(a ", " b ", " c)
#define STEP(name) "{\"name\": \"" name "\"}"

static void
setup(void)
{
	c = house_client(0);
}

static void
teardown(void)
{
	client_free(c);
}

/* POST to a run; the answer must have this status. */
static const json_t *
post(const char *id, const char *what, const char *body, int status)
{
	char path[120];
	const struct reply *r;

	snprintf(path, sizeof path, "/v1/runs/%s/%s", id, what);
	r = client_post(c, path, body);
	ck_assert_msg(r->status == status, "%s: %d %s", path, r->status, r->body);
	return r->json;
}

static const struct reply *
post_with_key(const char *path, const char *key, const char *body)
{
	char line[80];
	const struct reply *r;

	snprintf(line, sizeof line, "Idempotency-Key: %s", key);
	client_header(c, line);
	r = client_post(c, path, body);
	client_header(c, NULL);
	return r;
}

/* POST /v1/runs with this body. */
static const json_t *
start(const char *body, int status)
{
	const struct reply *r = client_post(c, "/v1/runs", body);

	ck_assert_msg(r->status == status, "%d %s", r->status, r->body);
	return r->json;
}

static void
keep(char id[40], const json_t *j)
{
	snprintf(id, 40, "%s", text(j, "run_id"));
	ck_assert_uint_eq(strlen(id), 36);
}

static const json_t *
state(const char *id, const char *query)
{
	char path[120];
	const struct reply *r;

	snprintf(path, sizeof path, "/v1/runs/%s/%s", id, query);
	r = client_get(c, path);
	ck_assert_msg(r->status == 200, "%s: %d %s", path, r->status, r->body);
	return r->json;
}

/* values.seen of a state, as "a b c". */
static const char *
seen(const json_t *j)
{
	static char all[400];
	const json_t *list = json_object_get(json_object_get(j, "values"), "seen"), *v;
	size_t i;

	all[0] = '\0';
	json_array_foreach(list, i, v)
	{
		snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", i == 0 ? "" : " ",
		    json_string_value(v));
	}
	return all;
}

/* Waits for what the database says; the text that it must say. */
static void
until_sql(const char *want, const char *sql, const char *id)
{
	int64_t late = base_mono_us() + 20 * INT64_C(1000000);
	const char *got;

	while (strcmp(got = servers_sql_super(sql, id), want) != 0) {
		ck_assert_msg(base_mono_us() < late, "%s is %s, not %s", sql, got, want);
		nap();
	}
}

static const char asleep[] =
    "SELECT CASE WHEN wake_at IS NULL THEN 'awake' ELSE 'asleep' END FROM agent_runs"
    " WHERE run_id = '%s'";

/* ---------------------------------------------------------------- timers, signals */

START_TEST(a_timer_fires_and_the_run_goes_on)
{
	char id[40];

	keep(id, run(PLAN("{\"timer\": \"t\", \"after_ms\": 30}", STEP("a"))));
	ck_assert_str_eq(types(get(id)), "RunStarted TimerFired StepCompleted RunEnded");
	ck_assert_str_eq(seen(state(id, "state")), "timer t a");
}
END_TEST

START_TEST(a_signal_is_taken_once_however_often_it_is_sent)
{
	char id[40];
	const struct reply *r;
	char path[100];

	keep(id,
	    start("{\"workflow\": \"stepper\", \"input\": " PLAN("{\"wait\": \"go\"}") "}", 202));
	until_sql("asleep", asleep, id);
	snprintf(path, sizeof path, "/v1/runs/%s/signals", id);
	r = post_with_key(path, "one", "{\"name\": \"go\", \"payload\": {\"n\": 1}}");
	ck_assert_msg(r->status == 202, "%d %s", r->status, r->body);
	ck_assert(json_is_true(json_object_get(r->json, "new")));
	until(id, "completed");
	r = post_with_key(path, "one", "{\"name\": \"go\"}");
	ck_assert_msg(r->status == 202, "%d %s", r->status, r->body);
	ck_assert(json_is_false(json_object_get(r->json, "new")));
	ck_assert_str_eq(types(get(id)), "RunStarted SignalReceived RunEnded");
	ck_assert_int_eq(
	    number(json_object_get(json_object_get(get(id), "output"), "last"), "n"), 1);
	post(id, "signals", "{\"name\": \"go\"}", 409);
}
END_TEST

START_TEST(a_signal_that_comes_early_is_kept)
{
	char id[40];

	snprintf(id, sizeof id, "%s",
	    begin(PLAN("{\"name\": \"slow\", \"ms\": 300}", "{\"wait\": \"go\"}", STEP("a"))));
	post(id, "signals", "{\"name\": \"go\"}", 202);
	until(id, "completed");
	ck_assert_str_eq(seen(state(id, "state")), "slow signal go a");
}
END_TEST

START_TEST(a_wait_has_a_time_limit)
{
	char id[40];

	keep(id, run(PLAN("{\"wait\": \"never\", \"timeout_ms\": 30}")));
	ck_assert_str_eq(types(get(id)), "RunStarted TimerFired RunEnded");
}
END_TEST

START_TEST(a_run_that_sleeps_is_woken_after_kill_9)
{
	char id[40];

	snprintf(id, sizeof id, "%s", begin(PLAN("{\"wait\": \"go\"}", STEP("a"))));
	until_sql("asleep", asleep, id);
	crash();
	post(id, "signals", "{\"name\": \"go\"}", 202);
	until(id, "completed");
	ck_assert_str_eq(types(get(id)), "RunStarted SignalReceived StepCompleted RunEnded");
	ck_assert_int_eq(called(id, "a"), 1);
	until_sql("0", "SELECT count(*) FROM run_ready WHERE run_id = '%s'", id);
}
END_TEST

START_TEST(a_run_that_waits_for_ever_ends_at_its_deadline)
{
	const json_t *j;
	char id[40];

	keep(id,
	    start("{\"workflow\": \"stepper\", \"deadline_ms\": 200, \"input\": " PLAN(
		      "{\"wait\": \"never\"}") "}",
		202));
	j = until(id, "failed");
	ck_assert_str_eq(text(json_object_get(j, "error"), "limit"), "time_ms");
	ck_assert_str_eq(types(j), "RunStarted BudgetHit RunEnded");
}
END_TEST

/* ---------------------------------------------------------------- people */

START_TEST(an_interrupt_is_resumed_with_a_value)
{
	char id[40];
	const json_t *j = run(
	    PLAN(STEP("a"), "{\"interrupt\": \"ask\", \"value\": \"sure?\"}", STEP("b")));

	keep(id, j);
	ck_assert_str_eq(text(j, "status"), "interrupted");
	ck_assert_str_eq(
	    text(json_array_get(json_object_get(j, "interrupts"), 0), "value"), "sure?");
	ck_assert_str_eq(types(get(id)), "RunStarted StepCompleted Interrupted");
	post(id, "resume", "{\"value\": \"yes\"}", 202);
	until(id, "completed");
	ck_assert_str_eq(
	    types(get(id)), "RunStarted StepCompleted Interrupted Resumed StepCompleted RunEnded");
	ck_assert_str_eq(seen(state(id, "state")), "a interrupt ask b");
	post(id, "resume", "{\"value\": \"again\"}", 409);
}
END_TEST

START_TEST(an_interrupted_run_survives_kill_9)
{
	char id[40];

	keep(id, run(PLAN("{\"interrupt\": \"ask\"}", STEP("b"))));
	crash();
	post(id, "resume", "{\"value\": 1}", 202);
	until(id, "completed");
	ck_assert_int_eq(called(id, "b"), 1);
}
END_TEST

START_TEST(a_run_that_waits_for_nobody_is_not_resumed)
{
	char id[40];

	snprintf(id, sizeof id, "%s", begin(PLAN("{\"name\": \"slow\", \"ms\": 500}")));
	post(id, "resume", "{\"value\": 1}", 409);
	until(id, "completed");
}
END_TEST

START_TEST(a_run_stops_before_and_after_the_steps_that_its_start_names)
{
	char id[40];
	const char *body =
	    "{\"workflow\": \"stepper\", \"options\": {\"interrupt_before\": [\"b\"], "
	    "\"interrupt_after\": [\"b\"]}, \"input\": " PLAN(STEP("a"), STEP("b"), STEP("c")) "}";

	keep(id, start(body, 202));
	until(id, "interrupted");
	ck_assert_int_eq(called(id, "b"), 0);
	ck_assert_str_eq(
	    json_string_value(json_array_get(json_object_get(state(id, "state"), "next"), 0)), "b");
	post(id, "resume", "{}", 202);
	until_called(id, "b", 1);
	until_sql("6", "SELECT count(*) FROM run_events WHERE run_id = '%s'", id);
	until(id, "interrupted");
	ck_assert_int_eq(called(id, "c"), 0);
	post(id, "resume", "{}", 202);
	until(id, "completed");
	ck_assert_str_eq(seen(state(id, "state")), "a b c");
}
END_TEST

/* ---------------------------------------------------------------- states and forks */

START_TEST(a_fork_goes_on_from_any_state)
{
	char id[40], other[40];
	const json_t *j;

	keep(id, run(PLAN(STEP("a"), STEP("b"), STEP("c"))));
	ck_assert_str_eq(seen(state(id, "state?seq=1")), "a");
	ck_assert_str_eq(seen(state(id, "state?seq=2")), "a b");
	keep(other, post(id, "fork", "{\"seq\": 1}", 202));
	j = until(other, "completed");
	ck_assert_str_eq(types(j), "RunStarted StepCompleted StepCompleted RunEnded");
	ck_assert_str_eq(text(json_object_get(j, "base"), "run_id"), id);
	ck_assert_int_eq(number(json_object_get(j, "base"), "seq"), 1);
	ck_assert_str_eq(seen(state(other, "state")), "a b c");
	ck_assert_int_eq(called(other, "a"), 0);
	ck_assert_int_eq(called(other, "b"), 1);
	ck_assert_int_eq(called(id, "b"), 1);
}
END_TEST

START_TEST(a_fork_may_change_the_state_first)
{
	char id[40], other[40];

	keep(id, run(PLAN(STEP("a"), STEP("b"), STEP("c"))));
	keep(other,
	    post(id, "fork", "{\"seq\": 1, \"update\": {\"at\": 2, \"seen\": [\"new\"]}}", 202));
	until(other, "completed");
	ck_assert_str_eq(seen(state(other, "state")), "new b");
	post(id, "fork", "{\"seq\": 99}", 404);
}
END_TEST

START_TEST(the_history_goes_back_through_what_a_run_went_on_from)
{
	char id[40], other[40];
	const json_t *data;

	keep(id, run(PLAN(STEP("a"), STEP("b"))));
	keep(other, post(id, "fork", "{\"seq\": 1}", 202));
	until(other, "completed");
	data = json_object_get(state(other, "history"), "data");
	/* after b, the fork itself; then a and the input of the first run */
	ck_assert_uint_eq(json_array_size(data), 4);
	ck_assert_str_eq(seen(json_array_get(data, 0)), "a b");
	ck_assert_str_eq(text(json_array_get(data, 1), "source"), "fork");
	ck_assert_str_eq(text(json_array_get(data, 2), "run_id"), id);
	ck_assert_str_eq(seen(json_array_get(data, 3)), "");
	ck_assert_ptr_nonnull(json_object_get(json_array_get(data, 1), "parent"));
	ck_assert_uint_eq(
	    json_array_size(json_object_get(state(other, "history?limit=1"), "data")), 1);
}
END_TEST

START_TEST(a_long_run_goes_on_from_its_snapshot)
{
	char id[40];

	snprintf(id, sizeof id, "%s",
	    begin("{\"again\": 70, \"plan\": [" STEP(
		"x") ", {\"name\": \"y\", \"class\": \"local\"}, "
		     "{\"wait\": \"go\", \"timeout_ms\": 1}]}"));
	until_called(id, "x", 60);
	crash();
	until(id, "completed");
	ck_assert_str_eq(
	    servers_sql_super("SELECT count(*) FROM run_snapshots WHERE run_id = '%s'", id), "2");
	ck_assert_str_eq(
	    servers_sql_super("SELECT count(*) = max(seq) + 1 AND count(DISTINCT step_id) "
			      "FILTER (WHERE type = 'StepCompleted') = 142 "
			      "FROM run_events WHERE run_id = '%s'",
		id),
	    "t");
}
END_TEST

/* ---------------------------------------------------------------- starts */

START_TEST(a_start_with_the_same_key_is_the_same_run)
{
	const char *body = "{\"workflow\": \"stepper\", \"input\": " PLAN(STEP("a")) "}";
	char first[40];
	const struct reply *r = post_with_key("/v1/runs", "k1", body);

	ck_assert_msg(r->status == 202, "%d %s", r->status, r->body);
	keep(first, r->json);
	until(first, "completed");
	r = post_with_key("/v1/runs", "k1", body);
	ck_assert_str_eq(text(r->json, "run_id"), first);
	ck_assert(json_is_false(json_object_get(r->json, "new")));
	r = post_with_key("/v1/runs?wait=true", "k1", body);
	ck_assert_str_eq(text(r->json, "status"), "completed");
	ck_assert_int_eq(called(first, "a"), 1);
	client_free(c);
	c = house_client(1);
	r = post_with_key("/v1/runs", "k1", body);
	ck_assert_str_ne(text(r->json, "run_id"), first);
}
END_TEST

START_TEST(a_start_may_be_later)
{
	char id[40];

	keep(id,
	    start("{\"workflow\": \"stepper\", \"after_ms\": 300, \"input\": " PLAN(STEP("a")) "}",
		202));
	ck_assert_str_eq(text(get(id), "status"), "pending");
	until(id, "completed");
	ck_assert_str_eq(
	    servers_sql_super("SELECT min(ts) - (SELECT created_at FROM agent_runs WHERE run_id = "
			      "'%s') >= '300 ms' FROM run_events WHERE run_id = '%s'",
		id, id),
	    "t");
}
END_TEST

START_TEST(a_cancel_reaches_a_step_under_way)
{
	int64_t begun = base_mono_us();
	char id[40];

	snprintf(id, sizeof id, "%s", begin(PLAN("{\"name\": \"slow\", \"ms\": 25000}")));
	until_called(id, "slow", 1);
	post(id, "cancel", "{}", 200);
	ck_assert_int_lt(base_mono_us() - begun, INT64_C(20000000));
	ck_assert_str_eq(text(get(id), "status"), "cancelled");
}
END_TEST

START_TEST(a_run_that_waits_can_be_cancelled_and_deleted)
{
	char id[40], path[80];
	const struct reply *r;

	snprintf(id, sizeof id, "%s", begin(PLAN("{\"wait\": \"go\"}")));
	until_sql("asleep", asleep, id);
	snprintf(path, sizeof path, "/v1/runs/%s", id);
	r = client_call(c, "DELETE", path, NULL, NULL, 0);
	ck_assert_msg(r->status == 200, "%d %s", r->status, r->body);
	ck_assert_int_eq(client_get(c, path)->status, 404);
	ck_assert_str_eq(
	    servers_sql_super("SELECT count(*) FROM run_events WHERE run_id = '%s'", id), "0");
	ck_assert_int_eq(client_call(c, "DELETE", path, NULL, NULL, 0)->status, 404);
}
END_TEST

/* ---------------------------------------------------------------- threads */

static char thread[40];

static void
new_thread(void)
{
	snprintf(thread, sizeof thread, "%s",
	    servers_sql_super("INSERT INTO threads (tenant_id, thread_id) VALUES ('%s', "
			      "gen_random_uuid()) RETURNING thread_id",
		house_tenant(0)));
}

/* A run on the thread. */
static const json_t *
on_thread(const char *more, const char *input, int status)
{
	char body[1000];

	snprintf(body, sizeof body,
	    "{\"workflow\": \"stepper\", \"thread_id\": \"%s\"%s, \"input\": %s}", thread, more,
	    input);
	return start(body, status);
}

START_TEST(runs_of_a_thread_come_one_after_the_other)
{
	char first[40], second[40], third[40];

	new_thread();
	keep(first, on_thread("", PLAN("{\"name\": \"a\", \"ms\": 200}"), 202));
	keep(second, on_thread("", PLAN(STEP("b")), 202));
	keep(third, on_thread("", PLAN(STEP("c")), 202));
	until(third, "completed");
	ck_assert_str_eq(
	    servers_sql_super("SELECT (SELECT max(ts) FROM run_events WHERE run_id = '%s') "
			      "<= (SELECT min(ts) FROM run_events WHERE run_id = '%s')",
		first, second),
	    "t");
	/* each sees what the one before it left */
	ck_assert_str_eq(
	    json_string_value(json_array_get(
		json_object_get(
		    json_object_get(json_object_get(state(third, "state"), "values"), "before"),
		    "seen"),
		0)),
	    "b");
	ck_assert_str_eq(
	    servers_sql_super("SELECT head_run = '%s' AND status = 'idle' FROM threads "
			      "WHERE thread_id = '%s'",
		third, thread),
	    "t");
}
END_TEST

START_TEST(a_busy_thread_may_refuse_a_run)
{
	char first[40];

	new_thread();
	keep(first, on_thread("", PLAN("{\"wait\": \"go\"}"), 202));
	on_thread(", \"multitask\": \"reject\"", PLAN(STEP("b")), 409);
	post(first, "signals", "{\"name\": \"go\"}", 202);
	until(first, "completed");
	on_thread(", \"multitask\": \"reject\"", PLAN(STEP("b")), 202);
}
END_TEST

START_TEST(a_run_may_displace_the_one_before_it)
{
	char first[40], second[40], third[40], path[80];

	new_thread();
	keep(first, on_thread("", PLAN(STEP("a"), "{\"wait\": \"go\"}"), 202));
	until_called(first, "a", 1);
	until_sql("asleep", asleep, first);
	keep(second,
	    on_thread(
		", \"multitask\": \"interrupt\"", PLAN("{\"name\": \"b\", \"ms\": 20000}"), 202));
	until(first, "cancelled");
	until_called(second, "b", 1);
	keep(third, on_thread(", \"multitask\": \"rollback\"", PLAN(STEP("c")), 202));
	until(third, "completed");
	snprintf(path, sizeof path, "/v1/runs/%s", second);
	ck_assert_int_eq(client_get(c, path)->status, 404);
	ck_assert_str_eq(text(json_object_get(get(third), "base"), "run_id"), first);
}
END_TEST

START_TEST(an_interrupted_thread_goes_on_with_a_new_run)
{
	char first[40], second[40];
	const json_t *j;

	new_thread();
	keep(first, on_thread("", PLAN("{\"interrupt\": \"ask\"}", STEP("b")), 202));
	until(first, "interrupted");
	keep(second, on_thread(", \"options\": {\"command\": {\"resume\": \"yes\"}}", "null", 202));
	j = until(second, "completed");
	ck_assert_str_eq(text(json_object_get(j, "base"), "run_id"), first);
	ck_assert_str_eq(seen(state(second, "state")), "interrupt ask b");
	ck_assert_str_eq(text(get(first), "status"), "interrupted");
}
END_TEST

START_TEST(a_state_can_be_edited_and_nothing_runs)
{
	char first[40], edit[40];

	new_thread();
	keep(first, on_thread("", PLAN("{\"interrupt\": \"ask\"}", STEP("b")), 202));
	until(first, "interrupted");
	keep(edit,
	    on_thread(", \"options\": {\"hold\": true, \"command\": {\"update\": {\"seen\": "
		      "[\"edited\"]}}}",
		"null", 202));
	until(edit, "interrupted");
	ck_assert_str_eq(seen(state(edit, "state")), "edited");
	ck_assert_str_eq(text(state(edit, "state"), "source"), "update");
	ck_assert_int_eq(called(edit, ""), 0);
}
END_TEST

START_TEST(a_thread_that_is_not_there_has_no_runs)
{
	snprintf(thread, sizeof thread, "00000000-0000-7000-8000-000000000000");
	on_thread("", PLAN(STEP("a")), 404);
}
END_TEST

int
main(void)
{
	static const char plugins[] = "  auth: {}\n  runs: {}\n  stepper: {config: {trace: %s}}\n";
	Suite *suite = suite_create("runs_wait");
	TCase *t = tcase_create("runs_wait");
	char yaml[1000], dir[64];
	SRunner *runner;
	int failed;

	snprintf(dir, sizeof dir, "%s", servers_temp_dir());
	snprintf(trace, sizeof trace, "%s/trace", dir);
	snprintf(yaml, sizeof yaml, plugins, trace);
	house_start(yaml, NULL, SERVERS_PG);
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_timer_fires_and_the_run_goes_on);
	tcase_add_test(t, a_signal_is_taken_once_however_often_it_is_sent);
	tcase_add_test(t, a_signal_that_comes_early_is_kept);
	tcase_add_test(t, a_wait_has_a_time_limit);
	tcase_add_test(t, a_run_that_sleeps_is_woken_after_kill_9);
	tcase_add_test(t, a_run_that_waits_for_ever_ends_at_its_deadline);
	tcase_add_test(t, an_interrupt_is_resumed_with_a_value);
	tcase_add_test(t, an_interrupted_run_survives_kill_9);
	tcase_add_test(t, a_run_that_waits_for_nobody_is_not_resumed);
	tcase_add_test(t, a_run_stops_before_and_after_the_steps_that_its_start_names);
	tcase_add_test(t, a_fork_goes_on_from_any_state);
	tcase_add_test(t, a_fork_may_change_the_state_first);
	tcase_add_test(t, the_history_goes_back_through_what_a_run_went_on_from);
	tcase_add_test(t, a_long_run_goes_on_from_its_snapshot);
	tcase_add_test(t, a_start_with_the_same_key_is_the_same_run);
	tcase_add_test(t, a_start_may_be_later);
	tcase_add_test(t, a_cancel_reaches_a_step_under_way);
	tcase_add_test(t, a_run_that_waits_can_be_cancelled_and_deleted);
	tcase_add_test(t, runs_of_a_thread_come_one_after_the_other);
	tcase_add_test(t, a_busy_thread_may_refuse_a_run);
	tcase_add_test(t, a_run_may_displace_the_one_before_it);
	tcase_add_test(t, an_interrupted_thread_goes_on_with_a_new_run);
	tcase_add_test(t, a_state_can_be_edited_and_nothing_runs);
	tcase_add_test(t, a_thread_that_is_not_there_has_no_runs);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	/* in a fork the host would be nobody's child, and could not be waited for */
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	house_stop();
	servers_remove(dir);
	return failed != 0;
}
