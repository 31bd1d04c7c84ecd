/* check_runs.c: the run engine through a whole host: the log, limits, retries, cancels, and what
 * kill -9 leaves behind. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/base.h"
#include "tests/lib/runner.h"

#include <check.h> /* last: its macro `fail` is a name of ours */

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

/* ---------------------------------------------------------------- the log */

START_TEST(a_run_is_recorded_without_gaps)
{
	char id[40];
	const json_t *j = run(
	    "{\"plan\": [{\"name\": \"a\"}, {\"name\": \"b\", \"output\": {\"x\": 7}}]}");

	ck_assert_str_eq(text(j, "status"), "completed");
	ck_assert_int_eq(number(json_object_get(j, "output"), "steps"), 2);
	ck_assert_int_eq(number(json_object_get(json_object_get(j, "output"), "last"), "x"), 7);
	snprintf(id, sizeof id, "%s", text(j, "run_id"));
	j = get(id);
	ck_assert_str_eq(types(j), "RunStarted StepCompleted StepCompleted RunEnded");
	ck_assert_int_eq(number(j, "next_seq"), 4);
	ck_assert_str_eq(text(j, "workflow"), "stepper");
	ck_assert_str_ne(text(j, "ended_at"), "");
	ck_assert_int_eq(called(id, ""), 2);
}
END_TEST

START_TEST(local_steps_share_the_commit_of_what_led_to_them)
{
	const char *commits =
	    "SELECT count(DISTINCT xmin::text) FROM run_events WHERE run_id = '%s'";
	char id[40];

	snprintf(id, sizeof id, "%s",
	    text(run("{\"plan\": [{\"name\": \"a\"}, {\"name\": \"l\", \"class\": \"local\"}, "
		     "{\"name\": \"m\", \"class\": \"local\"}]}"),
		"run_id"));
	ck_assert_str_eq(
	    types(get(id)), "RunStarted StepCompleted StepCompleted StepCompleted RunEnded");
	/* RunStarted; all the rest */
	ck_assert_str_eq(servers_sql_super(commits, id), "2");
}
END_TEST

START_TEST(an_effect_is_recorded_before_and_after)
{
	char id[40];

	snprintf(id, sizeof id, "%s",
	    text(run("{\"plan\": [{\"name\": \"pay\", \"class\": \"effect\"}]}"), "run_id"));
	ck_assert_str_eq(types(get(id)), "RunStarted StepScheduled StepCompleted RunEnded");
	ck_assert_int_eq(called(id, "pay"), 1);
}
END_TEST

START_TEST(business_events_stand_in_the_outbox_once_each)
{
	char id[40];
	const char *n;

	/* the relay may have taken some along: count what it has seen, too */
	snprintf(id, sizeof id, "%s", text(run("{\"plan\": []}"), "run_id"));
	n = servers_sql_super("SELECT count(*) FROM agent_runs WHERE run_id = '%s'", id);
	ck_assert_str_eq(n, "1");
	n = servers_sql_super("SELECT status FROM agent_runs WHERE run_id = '%s'", id);
	ck_assert_str_eq(n, "completed");
}
END_TEST

/* ---------------------------------------------------------------- failures */

START_TEST(a_retryable_failure_is_tried_again)
{
	char id[40];
	const json_t *j = run("{\"plan\": [{\"name\": \"r\", \"fail\": 13, \"times\": 2}]}");

	ck_assert_str_eq(text(j, "status"), "completed");
	snprintf(id, sizeof id, "%s", text(j, "run_id"));
	ck_assert_int_eq(called(id, "r"), 3);
	j = get(id);
	ck_assert_str_eq(types(j), "RunStarted StepCompleted RunEnded");
	ck_assert_int_eq(number(json_array_get(json_object_get(j, "events"), 1), "attempt"), 3);
}
END_TEST

START_TEST(a_failure_that_stays_fails_the_run_with_its_error)
{
	char id[40];
	const json_t *j = run(
	    "{\"plan\": [{\"name\": \"r\", \"fail\": 13, \"max_attempts\": 2}, {\"name\": "
	    "\"never\"}]}");

	ck_assert_str_eq(text(j, "status"), "failed");
	ck_assert_str_eq(text(json_object_get(j, "error"), "code"), "upstream_error");
	ck_assert_str_eq(text(json_object_get(j, "error"), "message"), "r fails as it was told");
	snprintf(id, sizeof id, "%s", text(j, "run_id"));
	ck_assert_int_eq(called(id, "r"), 2);
	ck_assert_int_eq(called(id, "never"), 0);
	ck_assert_str_eq(types(get(id)), "RunStarted StepFailed RunEnded");
}
END_TEST

START_TEST(a_failure_that_is_not_retryable_is_not_tried_again)
{
	char id[40];
	const json_t *j = run("{\"plan\": [{\"name\": \"r\", \"fail\": 1}]}");

	ck_assert_str_eq(text(j, "status"), "failed");
	snprintf(id, sizeof id, "%s", text(j, "run_id"));
	ck_assert_int_eq(called(id, "r"), 1);
}
END_TEST

START_TEST(an_effect_that_is_retried_records_each_attempt)
{
	char id[40];
	const json_t *j = run("{\"plan\": [{\"name\": \"p\", \"class\": \"effect\", \"fail\": 13, "
			      "\"times\": 1}]}");

	ck_assert_str_eq(text(j, "status"), "completed");
	snprintf(id, sizeof id, "%s", text(j, "run_id"));
	ck_assert_str_eq(
	    types(get(id)), "RunStarted StepScheduled StepScheduled StepCompleted RunEnded");
}
END_TEST

START_TEST(a_step_that_is_late_times_out)
{
	const json_t *j = run("{\"plan\": [{\"name\": \"s\", \"ms\": 30000, \"timeout_ms\": 50, "
			      "\"max_attempts\": 1}]}");

	ck_assert_str_eq(text(j, "status"), "failed");
	ck_assert_str_eq(text(json_object_get(j, "error"), "code"), "timeout");
}
END_TEST

START_TEST(a_workflow_that_stops_without_an_end_is_a_failed_run)
{
	const json_t *j = run("{\"plan\": [], \"stop\": true}");

	ck_assert_str_eq(text(j, "status"), "failed");
	ck_assert_str_eq(text(json_object_get(j, "error"), "code"), "workflow_error");
}
END_TEST

START_TEST(a_result_that_is_too_large_fails_the_step)
{
	const json_t *j = run("{\"plan\": [{\"name\": \"big\", \"bytes\": 2000000}]}");

	ck_assert_str_eq(text(json_object_get(j, "error"), "code"), "request_too_large");
}
END_TEST

START_TEST(a_large_result_that_is_allowed_is_recorded)
{
	const json_t *j = run("{\"plan\": [{\"name\": \"big\", \"bytes\": 900000}]}");

	ck_assert_str_eq(text(j, "status"), "completed");
}
END_TEST

/* ---------------------------------------------------------------- limits */

START_TEST(a_run_that_goes_round_is_stopped_by_its_limit_of_visits)
{
	char id[40];
	const json_t *j = run("{\"plan\": [{\"name\": \"a\"}], \"again\": true}");

	ck_assert_str_eq(text(j, "status"), "failed");
	ck_assert_str_eq(text(json_object_get(j, "error"), "code"), "budget_exceeded");
	snprintf(id, sizeof id, "%s", text(j, "run_id"));
	ck_assert_int_eq(called(id, "a"), 10);
	ck_assert_ptr_nonnull(strstr(types(get(id)), "BudgetHit RunEnded"));
}
END_TEST

START_TEST(tokens_and_money_are_limits_too)
{
	const json_t *j = run(
	    "{\"plan\": [{\"name\": \"t\", \"output\": {\"usage\": {\"prompt_tokens\": "
	    "900}}}, {\"name\": \"u\", \"output\": {\"usage\": {\"completion_tokens\": 200}}}, "
	    "{\"name\": \"never\"}]}");

	ck_assert_str_eq(text(json_object_get(j, "error"), "code"), "budget_exceeded");
	ck_assert_ptr_nonnull(strstr(text(json_object_get(j, "error"), "message"), "tokens"));
	ck_assert_int_eq(number(json_object_get(j, "usage"), "prompt_tokens"), 900);
	j = run("{\"plan\": [{\"name\": \"m\", \"output\": {\"usage\": {\"cost_nanos\": "
		"2000000}}}, {\"name\": \"never\"}]}");
	ck_assert_ptr_nonnull(strstr(text(json_object_get(j, "error"), "message"), "cost_nanos"));
}
END_TEST

START_TEST(time_is_a_limit_that_cuts_a_step)
{
	const json_t *j = run("{\"plan\": [{\"name\": \"s\", \"ms\": 60000}]}");

	ck_assert_str_eq(text(json_object_get(j, "error"), "code"), "budget_exceeded");
	ck_assert_ptr_nonnull(strstr(text(json_object_get(j, "error"), "message"), "time_ms"));
}
END_TEST

/* ---------------------------------------------------------------- the API */

START_TEST(a_run_of_another_tenant_does_not_exist)
{
	char id[40], path[100];
	struct client *other = house_client(1);
	const struct reply *r;

	snprintf(id, sizeof id, "%s", text(run("{\"plan\": []}"), "run_id"));
	snprintf(path, sizeof path, "/v1/runs/%s", id);
	r = client_get(other, path);
	ck_assert_int_eq(r->status, 404);
	snprintf(path, sizeof path, "/v1/runs/%s/cancel", id);
	r = client_post(other, path, "{}");
	ck_assert_int_eq(r->status, 404);
	r = client_get(other, "/v1/runs?limit=100");
	ck_assert_int_eq(r->status, 200);
	ck_assert_ptr_null(strstr(r->body, id));
	client_free(other);
}
END_TEST

START_TEST(ids_that_are_none_do_not_exist_either)
{
	static const char *const ids[] = { "x", "019a0000-0000-7000-8000-00000000000g",
		"019a0000-0000-7000-8000-000000000000", "%27%20OR%201=1", "%ff%fe" };
	char path[100];
	size_t i;

	for (i = 0; i < sizeof ids / sizeof *ids; i++) {
		snprintf(path, sizeof path, "/v1/runs/%s", ids[i]);
		ck_assert_int_eq(client_get(c, path)->status, 404);
	}
}
END_TEST

START_TEST(bad_requests_say_what_is_wrong)
{
	static const struct {
		const char *body;
		int status;
		const char *says;
	} bad[] = {
		{ "{", 400, "" },
		{ "[]", 400, "workflow" },
		{ "{}", 400, "workflow" },
		{ "{\"workflow\": 7}", 400, "workflow" },
		{ "{\"workflow\": \"stepper\", \"input\": \"x\"}", 400, "input" },
		{ "{\"workflow\": \"nothing\"}", 404, "nothing" },
	};
	size_t i;

	for (i = 0; i < sizeof bad / sizeof *bad; i++) {
		const struct reply *r = client_post(c, "/v1/runs", bad[i].body);

		ck_assert_msg(r->status == bad[i].status, "%s: %d", bad[i].body, r->status);
		ck_assert_msg(strstr(r->body, bad[i].says) != NULL, "%s", r->body);
	}
	ck_assert_int_eq(client_get(c, "/v1/runs?limit=0")->status, 400);
	ck_assert_int_eq(client_get(c, "/v1/runs?after=x")->status, 400);
}
END_TEST

START_TEST(an_input_that_is_too_large_is_refused)
{
	char *body = malloc(400000);
	const struct reply *r;
	int n;

	n = sprintf(body, "{\"workflow\": \"stepper\", \"input\": {\"plan\": [], \"x\": \"");
	memset(body + n, 'y', 300000);
	strcpy(body + n + 300000, "\"}}");
	r = client_post(c, "/v1/runs", body);
	ck_assert_int_eq(r->status, 413);
	free(body);
}
END_TEST

START_TEST(the_list_is_paged_and_filtered)
{
	char first[40], path[120];
	const struct reply *r;
	const json_t *data;

	run("{\"plan\": [], \"stop\": true}");
	run("{\"plan\": []}");
	run("{\"plan\": []}");
	r = client_get(c, "/v1/runs?limit=1&status=completed");
	ck_assert_int_eq(r->status, 200);
	data = json_object_get(r->json, "data");
	ck_assert_uint_eq(json_array_size(data), 1);
	ck_assert(json_is_true(json_object_get(r->json, "has_more")));
	snprintf(first, sizeof first, "%s", text(json_array_get(data, 0), "run_id"));
	snprintf(path, sizeof path, "/v1/runs?limit=1&status=completed&after=%s", first);
	r = client_get(c, path);
	data = json_object_get(r->json, "data");
	ck_assert_uint_eq(json_array_size(data), 1);
	ck_assert_int_lt(strcmp(text(json_array_get(data, 0), "run_id"), first), 0);
	r = client_get(c, "/v1/runs?workflow=nothing");
	ck_assert_uint_eq(json_array_size(json_object_get(r->json, "data")), 0);
}
END_TEST

START_TEST(a_run_can_be_cancelled_and_again_says_the_same)
{
	char id[40], path[100];
	const struct reply *r;

	snprintf(id, sizeof id, "%s", begin("{\"plan\": [{\"name\": \"slow\", \"ms\": 2000}]}"));
	until_called(id, "slow", 1);
	snprintf(path, sizeof path, "/v1/runs/%s/cancel", id);
	r = client_post(c, path, "{}");
	ck_assert_msg(r->status == 200, "%d %s", r->status, r->body);
	ck_assert_str_eq(types(get(id)), "RunStarted CancelRequested RunEnded");
	ck_assert_str_eq(text(get(id), "status"), "cancelled");
	r = client_post(c, path, "{}");
	ck_assert_int_eq(r->status, 200);
	ck_assert_str_eq(types(get(id)), "RunStarted CancelRequested RunEnded");
}
END_TEST

START_TEST(a_client_that_leaves_does_not_end_the_run)
{
	char id[40];
	const struct reply *r;
	const json_t *data;

	r = client_post(c, "/v1/runs",
	    "{\"workflow\": \"stepper\", \"input\": {\"plan\": [{\"name\": "
	    "\"s\", \"ms\": 300, \"stream\": 3}]}}");
	snprintf(id, sizeof id, "%s", text(r->json, "run_id"));
	data = until(id, "completed");
	ck_assert_str_eq(types(data), "RunStarted StepCompleted RunEnded");
}
END_TEST

START_TEST(a_chat_with_a_workflow_streams_its_pieces)
{
	const struct reply *r = client_post(c, "/v1/chat/completions",
	    "{\"model\": \"stepper\", \"stream\": true, \"messages\": [{\"role\": \"user\", "
	    "\"content\": \"x\"}]}");

	/* a chat's input has no plan: the run fails, and the stream says so */
	ck_assert_int_eq(r->status, 200);
	ck_assert_ptr_nonnull(strstr(r->body, "error"));
	ck_assert_ptr_null(strstr(r->body, "[DONE]"));
}
END_TEST

START_TEST(metrics_tell_of_runs)
{
	struct client *anyone = client_new(house_url(), NULL);
	const struct reply *r;

	run("{\"plan\": []}");
	r = client_get(anyone, "/metrics");
	ck_assert_int_eq(r->status, 200);
	ck_assert_ptr_nonnull(strstr(r->body, "\nqueue_depth 0"));
	ck_assert_ptr_nonnull(strstr(r->body, "runs_total{status=\"completed\"}"));
	ck_assert_ptr_nonnull(strstr(r->body, "run_duration_seconds_count"));
	client_free(anyone);
}
END_TEST

/* ---------------------------------------------------------------- crashes; these end the host, and
 * stand last */

START_TEST(a_restart_after_kill_9_finishes_the_run_and_records_no_step_twice)
{
	char id[40];
	const json_t *j;

	snprintf(id, sizeof id, "%s",
	    begin("{\"plan\": [{\"name\": \"one\"}, {\"name\": \"two\", \"ms\": 1500}, {\"name\": "
		  "\"three\"}]}"));
	until_called(id, "two", 1);
	crash();
	j = until(id, "completed");
	/* one was done and is not called again; two was open: its next attempt is recorded */
	ck_assert_str_eq(types(j),
	    "RunStarted StepCompleted StepScheduled StepCompleted StepCompleted RunEnded");
	ck_assert_int_eq(called(id, "one"), 1);
	ck_assert_int_eq(called(id, "two"), 2);
	ck_assert_int_eq(called(id, "three"), 1);
	ck_assert_str_eq(
	    servers_sql_super("SELECT count(*) - count(DISTINCT step_id) FROM run_events WHERE "
			      "run_id = '%s' AND type = 'StepCompleted'",
		id),
	    "0");
}
END_TEST

START_TEST(an_effect_is_sent_again_with_the_same_key)
{
	char id[40], line[200], first[80] = "", key[80];
	FILE *f;

	snprintf(id, sizeof id, "%s",
	    begin("{\"plan\": [{\"name\": \"pay\", \"class\": \"effect\", \"ms\": 1500}]}"));
	until_called(id, "pay", 1);
	crash();
	ck_assert_str_eq(types(until(id, "completed")),
	    "RunStarted StepScheduled StepScheduled StepCompleted RunEnded");
	f = fopen(trace, "re");
	while (fgets(line, sizeof line, f) != NULL) {
		if (strncmp(line, id, 36) != 0 || sscanf(line, "%79s", key) != 1)
			continue;
		if (first[0] != '\0')
			ck_assert_str_eq(key, first);
		snprintf(first, sizeof first, "%s", key);
	}
	fclose(f);
	ck_assert_str_ne(first, "");
}
END_TEST

START_TEST(many_runs_survive_a_crash)
{
	enum { N = 40 };
	static char ids[N][40];
	int i;

	for (i = 0; i < N; i++)
		snprintf(ids[i], sizeof ids[i], "%s",
		    begin("{\"plan\": [{\"name\": \"a\"}, {\"name\": \"b\", \"ms\": 500}, "
			  "{\"name\": \"c\", \"class\": \"local\"}, {\"name\": \"d\"}]}"));
	crash();
	for (i = 0; i < N; i++) {
		types(until(ids[i], "completed"));
		ck_assert_str_eq(servers_sql_super("SELECT count(*) FROM run_events WHERE run_id = "
						   "'%s' AND type = 'StepCompleted'",
				     ids[i]),
		    "4");
	}
}
END_TEST

START_TEST(a_run_whose_version_is_gone_fails_and_says_so)
{
	char id[40];
	const json_t *j;

	snprintf(id, sizeof id, "%s", begin("{\"plan\": [{\"name\": \"s\", \"ms\": 60000}]}"));
	until_called(id, "s", 1);
	client_free(c);
	house_kill(SIGKILL);
	servers_sql_super("UPDATE agent_runs SET version = '0' WHERE run_id = '%s'", id);
	house_again();
	c = house_client(0);
	j = until(id, "failed");
	ck_assert_str_eq(text(json_object_get(j, "error"), "code"), "workflow_missing");
	ck_assert_ptr_nonnull(
	    strstr(text(json_object_get(j, "error"), "message"), "version 0 of the workflow"));
}
END_TEST

START_TEST(an_orderly_stop_leaves_open_runs_to_the_next_start)
{
	char id[40];

	snprintf(id, sizeof id, "%s",
	    begin("{\"plan\": [{\"name\": \"s\", \"ms\": 3000}, {\"name\": \"t\"}]}"));
	until_called(id, "s", 1);
	client_free(c);
	house_kill(SIGTERM);
	house_again();
	c = house_client(0);
	ck_assert_str_eq(types(until(id, "completed")),
	    "RunStarted StepScheduled StepCompleted StepCompleted RunEnded");
}
END_TEST

START_TEST(a_host_that_lost_its_shards_can_record_nothing)
{
	char id[40];
	const json_t *j;

	snprintf(id, sizeof id, "%s",
	    begin("{\"plan\": [{\"name\": \"s\", \"ms\": 400}, {\"name\": \"t\", \"ms\": 100}]}"));
	until_called(id, "s", 1);
	/* Another host takes everything over, and is gone again a second later. */
	servers_sql_super(
	    "UPDATE run_shards SET owner = 'other', boot_id = 'x', fence = fence + 1, "
	    "expires_at = clock_timestamp() + interval '1 s'");
	j = until(id, "completed");
	/* What s gave under the lost fence was not taken; it was done again under the new one. */
	ck_assert_int_ge(called(id, "s"), 2);
	types(j);
	ck_assert_str_eq(
	    servers_sql_super("SELECT count(*) FROM run_events WHERE run_id = '%s' AND type = "
			      "'StepCompleted'",
		id),
	    "2");
}
END_TEST

int
main(void)
{
	static const char plugins[] =
	    "  auth: {}\n  openai: {}\n  policy_static: {}\n  model_extractive: {}\n"
	    "  runs: {config: {limits: {stepper: {visits: 10, tokens: 1000, cost_nanos: 1000000, "
	    "time_ms: 10000}}}}\n"
	    "  stepper: {config: {trace: %s}}\n";
	Suite *suite = suite_create("runs");
	TCase *t = tcase_create("runs");
	char yaml[1000], dir[64];
	SRunner *runner;
	int failed;

	snprintf(dir, sizeof dir, "%s", servers_temp_dir());
	snprintf(trace, sizeof trace, "%s/trace", dir);
	snprintf(yaml, sizeof yaml, plugins, trace);
	house_start(yaml, NULL, SERVERS_PG);
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_run_is_recorded_without_gaps);
	tcase_add_test(t, local_steps_share_the_commit_of_what_led_to_them);
	tcase_add_test(t, an_effect_is_recorded_before_and_after);
	tcase_add_test(t, business_events_stand_in_the_outbox_once_each);
	tcase_add_test(t, a_retryable_failure_is_tried_again);
	tcase_add_test(t, a_failure_that_stays_fails_the_run_with_its_error);
	tcase_add_test(t, a_failure_that_is_not_retryable_is_not_tried_again);
	tcase_add_test(t, an_effect_that_is_retried_records_each_attempt);
	tcase_add_test(t, a_step_that_is_late_times_out);
	tcase_add_test(t, a_workflow_that_stops_without_an_end_is_a_failed_run);
	tcase_add_test(t, a_result_that_is_too_large_fails_the_step);
	tcase_add_test(t, a_large_result_that_is_allowed_is_recorded);
	tcase_add_test(t, a_run_that_goes_round_is_stopped_by_its_limit_of_visits);
	tcase_add_test(t, tokens_and_money_are_limits_too);
	tcase_add_test(t, time_is_a_limit_that_cuts_a_step);
	tcase_add_test(t, a_run_of_another_tenant_does_not_exist);
	tcase_add_test(t, ids_that_are_none_do_not_exist_either);
	tcase_add_test(t, bad_requests_say_what_is_wrong);
	tcase_add_test(t, an_input_that_is_too_large_is_refused);
	tcase_add_test(t, the_list_is_paged_and_filtered);
	tcase_add_test(t, a_run_can_be_cancelled_and_again_says_the_same);
	tcase_add_test(t, a_client_that_leaves_does_not_end_the_run);
	tcase_add_test(t, a_chat_with_a_workflow_streams_its_pieces);
	tcase_add_test(t, metrics_tell_of_runs);
	tcase_add_test(t, a_restart_after_kill_9_finishes_the_run_and_records_no_step_twice);
	tcase_add_test(t, an_effect_is_sent_again_with_the_same_key);
	tcase_add_test(t, many_runs_survive_a_crash);
	tcase_add_test(t, a_run_whose_version_is_gone_fails_and_says_so);
	tcase_add_test(t, an_orderly_stop_leaves_open_runs_to_the_next_start);
	tcase_add_test(t, a_host_that_lost_its_shards_can_record_nothing);
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
