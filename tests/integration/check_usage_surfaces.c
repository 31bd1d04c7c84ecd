/* check_usage_surfaces.c: every surface that costs something is metered once, the others never, and
 * what kill -9 does to that. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "tests/integration/usage.h"

#define CHAT(model, more)                  \
	"{\"model\": \"" model "\", " more \
	"\"messages\": [{\"role\": \"user\", \"content\": \"good day to you\"}]}"
#define KEPT(where) "SELECT count(*) FROM usage_events WHERE " where

START_TEST(a_completion_is_metered_once_by_its_id)
{
	const struct reply *r = client_post(c, "/v1/chat/completions", CHAT("up-echo", ""));
	char id[80], query[300];

	ck_assert_msg(r->status == 200, "%s", r->body);
	snprintf(id, sizeof id, "%s", text(r->json, "id"));
	snprintf(query, sizeof query, KEPT("source = 'urn:insula:openai' AND id = '%s'"), id);
	until_sql(query, 1);
	snprintf(query, sizeof query,
	    "SELECT (prompt_tokens > 0 AND completion_tokens > 0 AND kind = 'completion' AND"
	    " cost_nanos = prompt_tokens * 2 + completion_tokens * 3 AND prices = '2026') FROM "
	    "usage_events"
	    " WHERE id = '%s'",
	    id);
	ck_assert_str_eq(sql(query), "t");
}
END_TEST

/* The id of a streamed answer: its chunks carry it. */
static void
id_of_stream(const char *body, char id[80])
{
	const char *at = body == NULL ? NULL : strstr(body, "chatcmpl-");

	ck_assert_ptr_nonnull(at);
	snprintf(id, 80, "%.*s", (int)strcspn(at, "\""), at);
}

START_TEST(a_stream_is_metered_whole_or_cut)
{
	static const char *const models[] = { "up-echo", "up-cut", "up-error-mid", "up-cut-clean" };
	char body[300], id[80], query[300];
	const struct reply *r;
	size_t i;

	for (i = 0; i < sizeof models / sizeof *models; i++) {
		snprintf(body, sizeof body,
		    "{\"model\": \"%s\", \"stream\": true, \"messages\": [{\"role\": \"user\", "
		    "\"content\": "
		    "\"good day to you\"}]}",
		    models[i]);
		r = client_post(c, "/v1/chat/completions", body);
		ck_assert_msg(r->status == 200, "%s", r->body);
		id_of_stream(r->body, id);
		snprintf(query, sizeof query,
		    KEPT("id = '%s' AND prompt_tokens > 0 AND completion_tokens > 0"), id);
		until_sql(query, 1);
		snprintf(query, sizeof query, KEPT("id = '%s'"), id);
		ck_assert_str_eq(sql(query), "1");
	}
}
END_TEST

START_TEST(a_client_that_leaves_has_used_what_it_was_sent)
{
	const struct reply *r = client_post_until(
	    c, "/v1/chat/completions", CHAT("up-drip-50", "\"stream\": true, "), "\"content\"");
	char id[80], query[300];

	id_of_stream(r->body, id);
	snprintf(query, sizeof query,
	    KEPT("id = '%s' AND prompt_tokens > 0 AND completion_tokens > 0"), id);
	until_sql(query, 1);
	snprintf(query, sizeof query, KEPT("id = '%s'"), id);
	ck_assert_str_eq(sql(query), "1");
}
END_TEST

START_TEST(an_error_of_the_provider_costs_nothing)
{
	long long before = sql_number(KEPT("kind = 'completion'"));
	const struct reply *r = client_post(c, "/v1/chat/completions", CHAT("up-status-400", ""));

	ck_assert_int_eq(r->status, 400);
	/* the next one is metered after it */
	client_post(c, "/v1/chat/completions", CHAT("up-echo", ""));
	until_sql(KEPT("kind = 'completion'"), before + 1);
	ck_assert_int_eq(sql_number(KEPT("kind = 'completion'")), before + 1);
}
END_TEST

#define PLAN                                                                              \
	"{\"plan\": [{\"name\": \"a\", \"output\": {\"usage\": {\"prompt_tokens\": 40, "  \
	"\"completion_tokens\": 2, \"cost_nanos\": 77}}}, {\"name\": \"b\", \"output\": " \
	"{\"usage\": {\"prompt_tokens\": 2}}}]}"

START_TEST(a_run_is_metered_with_its_end)
{
	const struct reply *r = client_post(
	    c, "/v1/runs?wait=true", "{\"workflow\": \"stepper\", \"input\": " PLAN "}");
	char id[80], query[400];

	ck_assert_msg(r->status == 200, "%d %s", r->status, r->body);
	snprintf(id, sizeof id, "%s", text(r->json, "run_id"));
	snprintf(
	    query, sizeof query, KEPT("source = 'urn:insula:runs' AND id = '%s' AND line = 0"), id);
	until_sql(query, 1);
	snprintf(query, sizeof query,
	    "SELECT sum(prompt_tokens) || ' ' || sum(completion_tokens) || ' ' || sum(cost_nanos) "
	    "|| ' ' ||"
	    " min(workflow) || ' ' || min(kind) FROM usage_events WHERE run_id = '%s'",
	    id);
	ck_assert_str_eq(sql(query), "42 2 77 stepper run");
	/* its time is that of the log */
	snprintf(query, sizeof query,
	    "SELECT count(*) FROM usage_events u JOIN run_events e ON e.run_id::text = u.run_id AND"
	    " e.ts = u.ts AND e.type = 'RunEnded' WHERE u.run_id = '%s' AND line = 0",
	    id);
	ck_assert_str_eq(sql(query), "1");
}
END_TEST

START_TEST(a_run_that_fails_is_metered_too)
{
	const struct reply *r = client_post(c, "/v1/runs?wait=true",
	    "{\"workflow\": \"stepper\", \"input\": {\"plan\": [{\"name\": \"u\", \"output\": "
	    "{\"usage\": {\"prompt_tokens\": 9}}}, {\"name\": \"f\", \"fail\": 1}]}}");
	char id[80], query[300];

	ck_assert_str_eq(text(r->json, "status"), "failed");
	snprintf(id, sizeof id, "%s", text(r->json, "run_id"));
	snprintf(query, sizeof query, KEPT("id = '%s' AND prompt_tokens = 9"), id);
	until_sql(query, 1);
}
END_TEST

START_TEST(a_run_that_is_cancelled_is_metered_with_what_it_used)
{
	const struct reply *r = client_post(c, "/v1/runs",
	    "{\"workflow\": \"stepper\", \"input\": {\"plan\": [{\"name\": \"u\", \"output\": "
	    "{\"usage\": {\"prompt_tokens\": 8}}}, {\"name\": \"s\", \"ms\": 60000}]}}");
	char id[80], query[300], path[120];

	snprintf(id, sizeof id, "%s", text(r->json, "run_id"));
	snprintf(query, sizeof query,
	    "SELECT count(*) FROM run_events WHERE run_id = '%s' AND type = 'StepCompleted'", id);
	until_sql(query, 1);
	snprintf(path, sizeof path, "/v1/runs/%s/cancel", id);
	r = client_post(c, path, "{}");
	ck_assert_msg(r->status / 100 == 2, "%d %s", r->status, r->body);
	snprintf(query, sizeof query, KEPT("id = '%s' AND prompt_tokens = 8"), id);
	until_sql(query, 1);
}
END_TEST

START_TEST(a_chat_with_a_workflow_is_metered_as_its_run_and_not_again)
{
	const struct reply *r = client_post(c, "/v1/chat/completions", CHAT("faq_workflow", ""));
	char id[80], query[300];

	ck_assert_msg(r->status == 200, "%s", r->body);
	snprintf(id, sizeof id, "%s", text(r->json, "id"));
	ck_assert_uint_gt(strlen(id), 9);
	snprintf(query, sizeof query, KEPT("source = 'urn:insula:runs' AND line = 0 AND id = '%s'"),
	    id + 9);
	until_sql(query, 1);
	snprintf(query, sizeof query, KEPT("line = 0 AND id LIKE '%%%s'"), id + 9);
	ck_assert_str_eq(sql(query), "1");
}
END_TEST

/* ---------------------------------------------------------------- the whole route table */

#define RUN "{\"assistant_id\": \"stepper\", \"input\": " PLAN "}"

/* Routes that cost something, and what they are asked. Every other route must cost nothing. */
static const struct billable {
	const char *method, *pattern, *body;
	int events; /* that one call makes */
} billable[] = {
	{ "POST", "/v1/chat/completions", CHAT("up-echo", ""), 1 },
	{ "POST", "/v1/runs", "{\"workflow\": \"stepper\", \"input\": " PLAN "}", 1 },
	{ "POST", "/v1/runs/{id}/fork", "{}", 1 },
	{ "POST", "/runs", RUN, 1 },
	{ "POST", "/runs/wait", RUN, 1 },
	{ "POST", "/runs/stream", RUN, 1 },
	{ "POST", "/runs/batch", "[" RUN ", " RUN "]", 2 },
	{ "POST", "/threads/{id}/runs", RUN, 1 },
	{ "POST", "/threads/{id}/runs/wait", RUN, 1 },
	{ "POST", "/threads/{id}/runs/stream", RUN, 1 },
};
#define BILLABLE (sizeof billable / sizeof *billable)
/* events of hosts: what clients bring in themselves is not meant */
#define OURS KEPT("source LIKE 'urn:insula:%' AND line = 0")

static const struct billable *
is_billable(const json_t *route)
{
	size_t i;

	for (i = 0; i < BILLABLE; i++)
		if (strcmp(text(route, "method"), billable[i].method) == 0 &&
		    strcmp(text(route, "pattern"), billable[i].pattern) == 0)
			return &billable[i];
	return NULL;
}

/* The pattern with ids: the thread's, else the run's. */
static void
path_for(const char *pattern, const char *thread, const char *run, char path[300])
{
	size_t n = 0;

	while (*pattern != '\0') {
		if (*pattern != '{') {
			path[n++] = *pattern++;
			continue;
		}
		path[n] = '\0';
		n += (size_t)sprintf(path + n, "%s",
		    n >= 9 && strcmp(path + n - 9, "/threads/") == 0 ? thread : run);
		pattern = strchr(pattern, '}') + 1;
	}
	path[n] = '\0';
	/* a stream without an end, but for a question that is refused */
	if (n > 7 && strcmp(path + n - 7, "/stream") == 0 && strstr(path, "/runs/") == NULL)
		strcpy(path + n, "?stream_mode=none");
}

START_TEST(every_route_that_costs_something_is_metered_and_no_other)
{
	json_t *list = house_admin("/routes"), *route;
	char thread[40], run[40], path[300];
	const struct billable *b;
	const struct reply *r;
	long long before, expected;
	size_t i, found = 0, free_routes = 0;

	ck_assert_uint_gt(json_array_size(list), BILLABLE);
	snprintf(
	    thread, sizeof thread, "%s", text(client_post(c, "/threads", "{}")->json, "thread_id"));
	r = client_post(
	    c, "/v1/runs?wait=true", "{\"workflow\": \"stepper\", \"input\": " PLAN "}");
	ck_assert_msg(r->status == 200, "%d %s", r->status, r->body);
	snprintf(run, sizeof run, "%s", text(r->json, "run_id"));
	snprintf(path, sizeof path, KEPT("id = '%s' AND line = 0"), run);
	until_sql(path, 1);
	before = expected = sql_number(OURS);
	json_array_foreach(list, i, route) if ((b = is_billable(route)) != NULL)
	{
		found++;
		path_for(b->pattern, thread, run, path);
		r = client_post(c, path, b->body);
		ck_assert_msg(r->status / 100 == 2, "%s: %d %s", path, r->status, r->body);
		expected += b->events;
		until_sql(OURS, expected);
		ck_assert_msg(
		    sql_number(OURS) == expected, "%s: %s, not %lld", path, sql(OURS), expected);
	}
	ck_assert_uint_eq(found, BILLABLE);
	json_array_foreach(list, i, route) if (is_billable(route) == NULL)
	{
		const char *method = text(route, "method");

		free_routes++;
		path_for(text(route, "pattern"), thread, run, path);
		r = client_call(c, method, path, NULL, strcmp(method, "GET") == 0 ? NULL : "{}",
		    strcmp(method, "GET") == 0 ? 0 : 2);
		ck_assert_msg(r->status > 0 && r->status < 500, "%s %s: %d %s", method, path,
		    r->status, r->body);
	}
	ck_assert_uint_gt(free_routes, 30);
	/* what they had cost would have come before this */
	r = client_post(c, "/runs/wait", RUN);
	ck_assert_msg(r->status == 200, "%d %s", r->status, r->body);
	until_sql(OURS, expected + 1);
	ck_assert_int_eq(sql_number(OURS), expected + 1);
	ck_assert_int_gt(expected, before);
	json_decref(list);
}
END_TEST

/* ---------------------------------------------------------------- crashes */

/* The last: the house gets another port. */
START_TEST(kill_9_loses_no_run_and_counts_none_twice)
{
	const char *ended =
	    "SELECT count(*) FROM agent_runs WHERE workflow = 'stepper' AND status <> 'running'";
	const char *missing = "SELECT count(*) FROM agent_runs r WHERE status <> 'running' AND NOT "
			      "EXISTS (SELECT FROM"
			      " usage_events u WHERE u.source = 'urn:insula:runs' AND u.id = "
			      "r.run_id::text AND line = 0)";
	long long before = sql_number(ended);
	int64_t late;
	int round, i;

	for (round = 0; round < 3; round++) {
		for (i = 0; i < 40; i++)
			client_send_only(
			    c, "/v1/runs", "{\"workflow\": \"stepper\", \"input\": " PLAN "}");
		until_sql(ended, before + 20 * (round + 1) - 10);
		house_kill(SIGKILL);
		house_again();
		client_free(c);
		c = house_client(0);
	}
	until_sql("SELECT (count(*) = 0)::int FROM agent_runs WHERE status = 'running'", 1);
	late = base_mono_us() + WAIT_S * 2 * INT64_C(1000000);
	while (sql_number(missing) > 0) {
		ck_assert_msg(base_mono_us() < late, "%s runs were not metered", sql(missing));
		nap();
	}
	ck_assert_str_eq(sql("SELECT count(*) FROM (SELECT FROM usage_events WHERE source ="
			     " 'urn:insula:runs' GROUP BY id, line HAVING count(*) > 1) AS twice"),
	    "0");
	ck_assert(json_is_true(json_object_get(
	    client_post(c, "/v1/usage/recompute?from=2026-01-01&to=2026-12-31", "{}")->json,
	    "equal")));
}
END_TEST

static void
add(TCase *t)
{
	tcase_add_test(t, a_completion_is_metered_once_by_its_id);
	tcase_add_test(t, a_stream_is_metered_whole_or_cut);
	tcase_add_test(t, a_client_that_leaves_has_used_what_it_was_sent);
	tcase_add_test(t, an_error_of_the_provider_costs_nothing);
	tcase_add_test(t, a_run_is_metered_with_its_end);
	tcase_add_test(t, a_run_that_fails_is_metered_too);
	tcase_add_test(t, a_run_that_is_cancelled_is_metered_with_what_it_used);
	tcase_add_test(t, a_chat_with_a_workflow_is_metered_as_its_run_and_not_again);
	tcase_add_test(t, every_route_that_costs_something_is_metered_and_no_other);
	tcase_add_test(t, kill_9_loses_no_run_and_counts_none_twice);
}

int
main(void)
{
	return usage_main("usage_surfaces", "", add);
}
