/*
 * check_runs_odd.c: what comes to the run engine at an awkward moment, or in an awkward amount:
 * messages to runs that did not begin, deletions amid the end, starts out of order, numbers that
 * no integer holds, limits of what waits.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "base/base.h"
#include "tests/lib/runner.h"

#include <check.h> /* last: its macro `fail` is a name of ours */

#define PENDING_MAX 20 /* of the host's configuration, below */

static char thread[40];

static void
setup(void)
{
	c = house_client(0);
	snprintf(thread, sizeof thread, "%s",
	    servers_sql_super("INSERT INTO threads (tenant_id, thread_id) VALUES ('%s', "
			      "gen_random_uuid()) RETURNING thread_id",
		house_tenant(0)));
}

static void
teardown(void)
{
	client_free(c);
}

static const struct reply *
call(const char *method, const char *id, const char *what, const char *body)
{
	char path[120];

	snprintf(path, sizeof path, "/v1/runs/%s%s", id, what);
	return strcmp(method, "GET") == 0 ? client_get(c, path)
	    : body != NULL                ? client_post(c, path, body)
					  : client_call(c, method, path, NULL, NULL, 0);
}

static void
post(const char *id, const char *what, const char *body, int status)
{
	const struct reply *r = call("POST", id, what, body);

	ck_assert_msg(r->status == status, "%s: %d %s", what, r->status, r->body);
}

/* Begins a run of stepper with this plan on the thread ("" = on none). */
static const struct reply *
try_start(const char *on, const char *more, const char *plan)
{
	char body[4096], of[80] = "";

	if (*on != '\0')
		snprintf(of, sizeof of, ", \"thread_id\": \"%s\"", on);
	snprintf(body, sizeof body, "{\"workflow\": \"stepper\"%s%s, \"input\": {\"plan\": [%s]}}",
	    of, more, plan);
	return client_post(c, "/v1/runs", body);
}

static void
start(char id[40], const char *on, const char *more, const char *plan)
{
	const struct reply *r = try_start(on, more, plan);

	ck_assert_msg(r->status == 202, "%d %s", r->status, r->body);
	snprintf(id, 40, "%s", text(r->json, "run_id"));
	ck_assert_uint_eq(strlen(id), 36);
}

/* Waits for what the database says. */
static void
until_sql(const char *want, const char *sql, const char *id)
{
	int64_t late = base_mono_us() + 20 * INT64_C(1000000);
	char got[64];

	for (;;) {
		snprintf(got, sizeof got, "%s", servers_sql_super(sql, id));
		if (strcmp(got, want) == 0)
			return;
		ck_assert_msg(base_mono_us() < late, "%s (%s) is %s, not %s", sql, id, got, want);
		nap();
	}
}

/* The owner saw to what is due for the run. */
static void
until_seen(const char *id)
{
	until_sql("0",
	    "SELECT count(*) FROM run_ready WHERE run_id = '%s' AND at <= clock_timestamp()", id);
}

static const char asleep[] =
    "SELECT CASE WHEN wake_at IS NULL THEN 'awake' ELSE 'asleep' END FROM agent_runs"
    " WHERE run_id = '%s'";
static const char left[] = "SELECT (SELECT count(*) FROM agent_runs WHERE run_id = '%1$s')"
			   " + (SELECT count(*) FROM run_events WHERE run_id = '%1$s')"
			   " + (SELECT count(*) FROM run_inbox WHERE run_id = '%1$s')"
			   " + (SELECT count(*) FROM run_ready WHERE run_id = '%1$s')";

/* Business events of a run; NATS is away, so they wait where they were written. */
static int
told(const char *id, const char *type)
{
	return atoi(servers_sql_super("SELECT count(*) FROM outbox WHERE envelope ->> 'run_id' = "
				      "'%s' AND envelope ->> 'event_type' = '%s'",
	    id, type));
}

/* No two runs of the thread were under way at once, by their logs: from the first event, or the one
 * after an interrupt, to the end or the interrupt. */
static void
one_at_a_time(void)
{
	ck_assert_str_eq(
	    servers_sql_super(
		"WITH e AS (SELECT e.run_id, e.seq, e.ts, count(*) FILTER (WHERE type = "
		"'Interrupted') OVER (PARTITION BY e.run_id ORDER BY e.seq ROWS BETWEEN UNBOUNDED "
		"PRECEDING AND 1 PRECEDING) AS part FROM run_events AS e JOIN agent_runs AS r "
		"USING (run_id) WHERE r.thread_id = '%s'),"
		" s AS (SELECT run_id, part, min(ts) AS a, max(ts) AS b FROM e GROUP BY 1, 2)"
		" SELECT count(*) FROM s AS x JOIN s AS y ON x.run_id < y.run_id"
		" WHERE x.a < y.b AND y.a < x.b",
		thread),
	    "0");
}

/* ---------------------------------------------------------------- before it begins */

START_TEST(a_signal_to_a_run_that_is_pending_is_taken_when_it_begins)
{
	char first[40], second[40];

	start(first, thread, "", "{\"wait\": \"go\"}");
	until_sql("asleep", asleep, first);
	start(second, thread, "", "{\"wait\": \"go\"}, {\"name\": \"a\"}");
	post(second, "/signals", "{\"name\": \"go\", \"payload\": 7}", 202);
	until_seen(second); /* nothing calls for the message any more */
	post(first, "/signals", "{\"name\": \"go\"}", 202);
	until(second, "completed");
	ck_assert_str_eq(types(get(second)), "RunStarted SignalReceived StepCompleted RunEnded");
}
END_TEST

START_TEST(a_start_says_whether_the_run_begins_or_waits)
{
	char id[40], key[80];
	const struct reply *r = try_start("", "", "{\"wait\": \"go\"}");

	ck_assert_str_eq(text(r->json, "status"), "running");
	snprintf(id, sizeof id, "%s", text(r->json, "run_id"));
	post(id, "/cancel", "{}", 200);
	r = try_start("", ", \"after_ms\": 3600000", "{\"name\": \"a\"}");
	ck_assert_str_eq(text(r->json, "status"), "pending");
	snprintf(id, sizeof id, "%s", text(r->json, "run_id"));
	ck_assert_str_eq(text(get(id), "status"), "pending");
	post(id, "/cancel", "{}", 200);
	/* and one that is as old as its key, what became of it */
	snprintf(key, sizeof key, "Idempotency-Key: %s", id);
	client_header(c, key);
	r = try_start("", ", \"after_ms\": 3600000", "{\"name\": \"a\"}");
	snprintf(id, sizeof id, "%s", text(r->json, "run_id"));
	client_header(c, NULL);
	post(id, "/cancel", "{}", 200);
	client_header(c, key);
	r = try_start("", ", \"after_ms\": 3600000", "{\"name\": \"a\"}");
	client_header(c, NULL);
	ck_assert_str_eq(text(r->json, "run_id"), id);
	ck_assert_str_eq(text(r->json, "status"), "cancelled");
}
END_TEST

START_TEST(a_delayed_run_does_not_begin_early_whatever_calls_for_it)
{
	char first[40], later[40], last[40];

	start(first, thread, "", "{\"wait\": \"go\"}");
	until_sql("asleep", asleep, first);
	start(later, thread, ", \"after_ms\": 3600000", "{\"wait\": \"go\"}");
	start(last, thread, "", "{\"name\": \"a\"}");
	post(later, "/signals", "{\"name\": \"go\"}", 202);
	until_seen(later);
	post(first, "/signals", "{\"name\": \"go\"}", 202);
	until(last, "completed"); /* it passed the one whose time has not come */
	post(later, "/signals", "{\"name\": \"go\"}", 202); /* now nothing else holds it back */
	until_seen(later);
	ck_assert_str_eq(text(get(later), "status"), "pending");
	ck_assert_str_eq(types(get(later)), "");
	post(later, "/cancel", "{}", 200);
}
END_TEST

START_TEST(a_run_that_ends_before_it_begins_is_told_of_once)
{
	static const char *const ended[] = { "agent.run.cancelled", "usage.metered" };
	char first[40], cancelled[40], deleted[40], displaced[2][40], last[40], both[40];
	size_t i;

	start(first, thread, "", "{\"wait\": \"go\"}");
	until_sql("asleep", asleep, first);
	start(cancelled, thread, "", "{\"name\": \"a\"}");
	start(deleted, thread, ", \"after_ms\": 3600000", "{\"name\": \"a\"}");
	post(cancelled, "/cancel", "{}", 200);
	post(cancelled, "/cancel", "{}", 200);
	ck_assert_int_eq(call("DELETE", deleted, "", NULL)->status, 200);
	start(displaced[0], thread, "", "{\"name\": \"a\"}");
	start(displaced[1], thread, ", \"after_ms\": 3600000", "{\"name\": \"a\"}");
	start(both, thread, ", \"after_ms\": 3600000", "{\"name\": \"a\"}");
	start(last, thread, ", \"multitask\": \"interrupt\"", "{\"name\": \"b\"}");
	ck_assert_int_eq(call("DELETE", both, "", NULL)->status, 200);
	until(last, "completed");
	until_sql("0", left, both);
	until_seen(displaced[0]);
	until_seen(displaced[1]);
	for (i = 0; i < 2; i++) {
		ck_assert_int_eq(told(cancelled, ended[i]), 1);
		ck_assert_int_eq(told(deleted, ended[i]), 1);
		ck_assert_int_eq(told(both, ended[i]), 1);
		ck_assert_int_eq(told(displaced[0], ended[i]), 1);
		ck_assert_int_eq(told(displaced[1], ended[i]), 1);
		ck_assert_int_eq(told(first, ended[i]), 1);
	}
	ck_assert_int_eq(told(cancelled, "agent.run.started"), 0);
	until_sql("0", left, deleted);
	ck_assert_str_eq(
	    servers_sql_super("SELECT count(*) FROM outbox WHERE envelope ->> 'run_id' = '%s' AND "
			      "envelope ->> 'event_type' = 'usage.metered' AND envelope -> "
			      "'payload' ->> 'id' = '%s' AND envelope ->> 'workflow' = 'stepper'",
		displaced[1], displaced[1]),
	    "1");
}
END_TEST

/* ---------------------------------------------------------------- the end */

START_TEST(a_run_that_is_deleted_while_it_ends_leaves_nothing)
{
	char id[40];
	const struct reply *r;
	int i;

	for (i = 0; i < 40; i++) {
		snprintf(id, sizeof id, "%s",
		    begin(i % 2 ? "{\"plan\": [{\"name\": \"a\", \"ms\": 5}]}" : "{\"plan\": []}"));
		r = call("DELETE", id, "", NULL);
		ck_assert_msg(r->status == 200, "%d %s", r->status, r->body);
		until_sql("0", left, id);
		ck_assert_int_le(
		    told(id, "agent.run.completed") + told(id, "agent.run.cancelled"), 1);
	}
}
END_TEST

START_TEST(a_deletion_that_the_end_overtook_is_done_all_the_same)
{
	char id[40];

	snprintf(id, sizeof id, "%s", text(run("{\"plan\": [{\"name\": \"a\"}]}"), "run_id"));
	/* as if it had come between the last look into the inbox and the end */
	servers_sql_super(
	    "INSERT INTO run_inbox (run_id, msg_id, tenant_id, shard, kind) SELECT "
	    "run_id, 'delete', tenant_id, shard, 'delete' FROM agent_runs WHERE run_id "
	    "= '%s'",
	    id);
	servers_sql_super(
	    "INSERT INTO run_ready (shard, at, run_id, tenant_id) SELECT shard, "
	    "clock_timestamp(), run_id, tenant_id FROM agent_runs WHERE run_id = '%s'",
	    id);
	until_sql("0", left, id);
}
END_TEST

START_TEST(a_thread_that_is_deleted_while_its_run_ends_leaves_nothing)
{
	static const char of_thread[] =
	    "SELECT (SELECT count(*) FROM agent_runs WHERE thread_id = '%1$s')"
	    " + (SELECT count(*) FROM threads WHERE thread_id = '%1$s')";
	char path[80], id[40];
	int i;

	for (i = 0; i < 15; i++) {
		start(
		    id, thread, "", i % 2 ? "{\"name\": \"a\", \"ms\": 10}" : "{\"name\": \"a\"}");
		snprintf(path, sizeof path, "/threads/%s", thread);
		ck_assert_int_eq(client_call(c, "DELETE", path, NULL, NULL, 0)->status, 204);
		until_sql("0", of_thread, thread);
		until_sql("0", left, id);
		client_free(c);
		setup();
	}
}
END_TEST

START_TEST(an_interrupted_run_can_be_cancelled)
{
	char id[40];

	snprintf(id, sizeof id, "%s",
	    begin("{\"plan\": [{\"interrupt\": \"ask\"}, {\"name\": \"b\"}]}"));
	until(id, "interrupted");
	post(id, "/cancel", "{}", 200);
	ck_assert_str_eq(types(get(id)), "RunStarted Interrupted CancelRequested RunEnded");
	ck_assert_int_eq(called(id, "b"), 0);
	post(id, "/resume", "{\"value\": 1}", 409);
	post(id, "/cancel", "{}", 200);
}
END_TEST

/* ---------------------------------------------------------------- one run of a thread at a time */

/* A run like `of`, pending, under this id. */
static void
pend_as(const char *of, const char *id)
{
	servers_sql_super(
	    "BEGIN; INSERT INTO agent_runs (run_id, tenant_id, user_id, shard, workflow, version, "
	    "next_seq, status, budget, attrs, created_at, wake_at, thread_id, request, multitask) "
	    "SELECT '%1$s', tenant_id, user_id, shard, workflow, version, 0, 'pending', budget, "
	    "attrs, clock_timestamp(), clock_timestamp(), thread_id, request, multitask FROM "
	    "agent_runs WHERE run_id = '%2$s'; INSERT INTO run_ready (shard, at, starts, run_id, "
	    "tenant_id) SELECT shard, wake_at, true, run_id, tenant_id FROM agent_runs WHERE "
	    "run_id "
	    "= '%1$s'; COMMIT",
	    id, of);
}

START_TEST(starts_whose_ids_are_not_in_their_order_begin_one_by_one)
{
	char first[40], id[40];
	int i;

	start(first, thread, "", "{\"name\": \"a\", \"ms\": 30}");
	for (i = 0; i < 12; i++) {
		/* each is older than those before it, by its id */
		snprintf(id, sizeof id, "018f0000-0000-7000-8000-%012x", 100 - (unsigned)i);
		pend_as(first, id);
		post(id, "/signals", "{\"name\": \"x\"}", 202); /* so that somebody looks */
	}
	until_sql("13",
	    "SELECT count(*) FROM agent_runs WHERE thread_id = '%s' AND status = "
	    "'completed'",
	    thread);
	one_at_a_time();
}
END_TEST

START_TEST(a_resume_and_a_start_of_one_thread_do_not_run_at_once)
{
	char first[40], second[40];
	int i, status;

	for (i = 0; i < 12; i++) {
		start(first, thread, "", "{\"interrupt\": \"ask\"}, {\"name\": \"a\", \"ms\": 40}");
		until(first, "interrupted");
		if (i % 2 == 0)
			post(first, "/resume", "{\"value\": 1}", 202);
		start(second, thread, "", "{\"name\": \"b\", \"ms\": 40}");
		if (i % 2 == 1) {
			status = call("POST", first, "/resume", "{\"value\": 1}")->status;
			ck_assert(status == 202 || status == 409);
		}
		until(second, "completed");
		until_sql("0",
		    "SELECT count(*) FROM agent_runs WHERE thread_id = '%s' AND status IN "
		    "('pending', 'running')",
		    thread);
		one_at_a_time();
		call("POST", first, "/cancel", "{}");
	}
}
END_TEST

/* ---------------------------------------------------------------- numbers */

START_TEST(a_number_that_no_integer_holds_comes_back_as_it_was_sent)
{
	char id[40], second[40];
	const json_t *j;
	const struct reply *r;

	/* in the input, the state, what a step gives, metadata */
	start(id, thread, ", \"metadata\": {\"n\": 1e22}",
	    "{\"name\": \"a\", \"output\": {\"n\": 1e22}}, {\"wait\": \"go\"}");
	until_sql("asleep", asleep, id);
	post(id, "/signals", "{\"name\": \"go\", \"payload\": {\"n\": -2.5e300}}", 202);
	j = until(id, "completed");
	ck_assert(json_real_value(json_object_get(
		      json_object_get(json_object_get(j, "output"), "last"), "n")) == -2.5e300);
	ck_assert(json_number_value(json_object_get(json_object_get(j, "metadata"), "n")) == 1e22);
	ck_assert(json_real_value(json_object_get(
		      json_object_get(json_array_get(json_object_get(j, "events"), 1), "output"),
		      "n")) == 1e22);
	/* a thread's values, and a host that loads all this anew */
	start(
	    second, thread, "", "{\"wait\": \"go\"}, {\"name\": \"x\", \"output\": {\"n\": 1e22}}");
	until_sql("asleep", asleep, second);
	crash();
	post(second, "/signals", "{\"name\": \"go\", \"payload\": 1e22}", 202);
	until(second, "completed");
	r = call("GET", second, "/state", NULL);
	ck_assert_int_eq(r->status, 200);
	/* what is no number at all is refused, and nothing of it is kept */
	start(id, "", "", "{\"wait\": \"go\"}");
	r = try_start("", "", "{\"name\": \"a\", \"output\": 1e400}");
	ck_assert_msg(r->status == 400, "%d %s", r->status, r->body);
	post(id, "/signals", "{\"name\": \"go\", \"payload\": 1e400}", 400);
	post(id, "/signals", "{\"name\": \"go\", \"payload\": 99999999999999999999}", 400);
	post(id, "/signals", "{\"name\": \"go\", \"payload\": 1e308}", 202);
	until(id, "completed");
}
END_TEST

/* ---------------------------------------------------------------- what is not there */

START_TEST(an_unknown_checkpoint_does_not_exist)
{
	char id[40], more[200];

	snprintf(id, sizeof id, "%s", text(run("{\"plan\": [{\"name\": \"a\"}]}"), "run_id"));
	snprintf(more, sizeof more,
	    ", \"options\": {\"checkpoint\": {\"run_id\": \"%s\", \"seq\": 3}}", id);
	ck_assert_int_eq(try_start(thread, more, "{\"name\": \"b\"}")->status, 404);
	ck_assert_int_eq(try_start(thread,
			     ", \"options\": {\"checkpoint\": {\"run_id\": "
			     "\"019a0000-0000-7000-8000-000000000000\", \"seq\": 0}}",
			     "{\"name\": \"b\"}")
			     ->status,
	    404);
	snprintf(more, sizeof more,
	    ", \"options\": {\"checkpoint\": {\"run_id\": \"%s\", \"seq\": 2}}", id);
	ck_assert_int_eq(try_start(thread, more, "{\"name\": \"b\"}")->status, 202);
	client_free(c);
	c = house_client(1); /* nor does another tenant's */
	ck_assert_int_eq(try_start("", more, "{\"name\": \"b\"}")->status, 404);
}
END_TEST

START_TEST(a_thread_whose_workflow_is_gone_says_so)
{
	static const char *const gone[] = { "version = '0'", "workflow = 'gone'" };
	char first[40], second[40];
	const struct reply *r;
	const json_t *j;
	size_t i;

	for (i = 0; i < 2; i++) {
		start(first, thread, "", "{\"interrupt\": \"ask\"}, {\"name\": \"a\"}");
		until(first, "interrupted");
		servers_sql_super("UPDATE agent_runs SET %s WHERE run_id = '%s'", gone[i], first);
		ck_assert_int_eq(call("GET", first, "", NULL)->status, 200);
		r = call("GET", first, "/state", NULL);
		ck_assert_msg(r->status == 404, "%d %s", r->status, r->body);
		ck_assert_ptr_nonnull(strstr(r->body, "is not here any more"));
		/* a run that goes on from there is recorded, and says the same */
		start(second, thread, ", \"options\": {\"command\": {\"resume\": 1}}", "");
		j = until(second, "failed");
		ck_assert_str_eq(text(json_object_get(j, "error"), "code"), "state_missing");
		ck_assert_ptr_nonnull(
		    strstr(text(json_object_get(j, "error"), "message"), "is not here any more"));
		/* a new input needs only the values, and the thread lives on */
		start(second, thread, "", "{\"name\": \"b\"}");
		until(second, "completed");
	}
}
END_TEST

START_TEST(a_pending_run_whose_workflow_is_gone_fails_when_its_turn_comes)
{
	char first[40], second[40], third[40];
	const json_t *j;

	start(first, thread, "", "{\"wait\": \"go\"}");
	until_sql("asleep", asleep, first);
	start(second, thread, "", "{\"name\": \"a\"}");
	start(third, thread, "", "{\"name\": \"a\"}");
	servers_sql_super("UPDATE agent_runs SET workflow = 'gone' WHERE run_id = '%s'", second);
	post(first, "/signals", "{\"name\": \"go\"}", 202);
	j = until(second, "failed");
	ck_assert_str_eq(text(json_object_get(j, "error"), "code"), "workflow_error");
	ck_assert_ptr_nonnull(strstr(text(json_object_get(j, "error"), "message"), "is not there"));
	until(third, "completed");
}
END_TEST

/* ---------------------------------------------------------------- amounts */

START_TEST(a_run_of_large_events_is_answered_in_parts)
{
	const char *big = "{\"name\": \"b\", \"bytes\": 900000}";
	char plan[2000] = "", id[40], query[40];
	const struct reply *r;
	json_int_t last = -1;
	int i, parts = 0, events = 0;

	for (i = 0; i < 12; i++)
		sprintf(plan + strlen(plan), "%s%s", i > 0 ? ", " : "", big);
	start(id, "", "", plan);
	until_sql("completed", "SELECT status FROM agent_runs WHERE run_id = '%s'", id);
	do {
		snprintf(query, sizeof query, "?after_seq=%d", (int)last);
		r = call("GET", id, query, NULL);
		ck_assert_int_eq(r->status, 200);
		ck_assert_uint_lt(strlen(r->body), 7u << 20);
		events += (int)json_array_size(json_object_get(r->json, "events"));
		last = number(json_array_get(json_object_get(r->json, "events"),
				  json_array_size(json_object_get(r->json, "events")) - 1),
		    "seq");
		parts++;
	} while (json_is_true(json_object_get(r->json, "has_more")));
	ck_assert_int_eq(events, 14);
	ck_assert_int_eq(last, 13);
	ck_assert_int_gt(parts, 1);
	ck_assert_int_eq(call("GET", id, "/state", NULL)->status, 200);
}
END_TEST

START_TEST(a_long_run_is_answered_whole)
{
	char id[40];
	const struct reply *r;

	snprintf(id, sizeof id, "%s",
	    text(run("{\"again\": 90, \"plan\": [{\"name\": \"a\"}, {\"name\": \"b\", \"class\": "
		     "\"local\"}]}"),
		"run_id"));
	r = call("GET", id, "", NULL);
	ck_assert_uint_eq(json_array_size(json_object_get(r->json, "events")), 184);
	ck_assert(json_is_false(json_object_get(r->json, "has_more")));
	types(r->json);
}
END_TEST

START_TEST(a_tenant_that_has_too_many_runs_pending_is_told_to_come_back)
{
	static char ids[PENDING_MAX][40];
	struct client *mine = c, *anyone = client_new(house_url(), NULL);
	const struct reply *r;
	char id[40];
	int i;

	for (i = 0; i < PENDING_MAX; i++)
		start(ids[i], "", ", \"after_ms\": 3600000", "{\"name\": \"a\"}");
	r = try_start("", ", \"after_ms\": 3600000", "{\"name\": \"a\"}");
	ck_assert_msg(r->status == 429, "%d %s", r->status, r->body);
	ck_assert_ptr_nonnull(reply_header(r, "retry-after"));
	ck_assert_ptr_nonnull(strstr(r->body, "wait to begin"));
	ck_assert_int_eq(try_start(thread, ", \"multitask\": \"reject\"", "")->status, 429);
	r = client_get(anyone, "/metrics");
	ck_assert_ptr_nonnull(strstr(r->body, "run_pending_refused_total 2"));
	client_free(anyone);
	/* neither what begins at once nor another tenant is concerned */
	run("{\"plan\": [{\"name\": \"a\"}]}");
	c = house_client(1);
	start(id, "", ", \"after_ms\": 3600000", "{\"name\": \"a\"}");
	client_free(c);
	c = mine;
	post(ids[0], "/cancel", "{}", 200);
	start(ids[0], "", ", \"after_ms\": 3600000", "{\"name\": \"a\"}");
	for (i = 0; i < PENDING_MAX; i++)
		post(ids[i], "/cancel", "{}", 200);
}
END_TEST

START_TEST(a_run_that_gets_a_thousand_messages_takes_no_more_for_now)
{
	char id[40], other[40];
	const struct reply *r;
	int i, n;

	start(id, "", ", \"after_ms\": 3600000", "{\"wait\": \"go\"}");
	servers_sql_super(
	    "INSERT INTO run_inbox (run_id, msg_id, tenant_id, shard, kind, name) SELECT "
	    "run_id, 'm' || n, tenant_id, shard, 'signal', 'go' FROM agent_runs, "
	    "generate_series(1, 999) AS n WHERE run_id = '%s'",
	    id);
	post(id, "/signals", "{\"name\": \"go\"}", 202);
	r = call("POST", id, "/signals", "{\"name\": \"go\"}");
	ck_assert_msg(r->status == 429, "%d %s", r->status, r->body);
	ck_assert_ptr_nonnull(reply_header(r, "retry-after"));
	/* one that was brought before is known, and calls nobody again */
	client_header(c, "Idempotency-Key: m7");
	for (i = 0; i < 3; i++)
		post(id, "/signals", "{\"name\": \"go\"}", 202);
	client_header(c, NULL);
	until_seen(id);
	post(id, "/cancel", "{}", 200);
	/* a thousand calls for one run, and one for another: both are seen to */
	start(id, "", "", "{\"wait\": \"stop\"}");
	start(other, "", "", "{\"wait\": \"go\"}");
	until_sql("asleep", asleep, id);
	until_sql("asleep", asleep, other);
	servers_sql_super(
	    "BEGIN; INSERT INTO run_inbox (run_id, msg_id, tenant_id, shard, kind, name) SELECT "
	    "run_id, "
	    "'m' || n, tenant_id, shard, 'signal', 'x' FROM agent_runs, generate_series(1, 250) AS "
	    "n "
	    "WHERE run_id = '%1$s'; INSERT INTO run_ready (shard, at, run_id, tenant_id) SELECT "
	    "shard, "
	    "clock_timestamp(), run_id, tenant_id FROM agent_runs, generate_series(1, 1000) WHERE "
	    "run_id = '%1$s'; COMMIT",
	    id);
	post(other, "/signals", "{\"name\": \"go\"}", 202);
	until(other, "completed");
	until_seen(id);
	n = atoi(servers_sql_super("SELECT count(*) FROM run_events WHERE run_id = '%s' AND type = "
				   "'SignalReceived'",
	    id));
	ck_assert_int_eq(n, 250);
	post(id, "/cancel", "{}", 200);
}
END_TEST

/* ---------------------------------------------------------------- these end the host */

START_TEST(runs_are_found_again_among_very_many_tenants)
{
	char id[40];

	snprintf(id, sizeof id, "%s", begin("{\"plan\": [{\"name\": \"a\", \"ms\": 2000}]}"));
	until_called(id, "a", 1);
	client_free(c);
	house_kill(SIGKILL);
	servers_sql_super("INSERT INTO tenants (name) SELECT 'many-' || n FROM generate_series(1, "
			  "200000) AS n");
	house_again();
	c = house_client(0);
	until(id, "completed");
}
END_TEST

/* Holds a row of agent_runs, so that a commit that wants it waits. */
static PGconn *
hold(const char *id)
{
	const char *keys[] = { "dbname", "user", NULL };
	const char *values[] = { servers_pg_url(), "postgres", NULL };
	PGconn *pg = PQconnectdbParams(keys, values, 1);
	char sql[160];

	ck_assert_int_eq(PQstatus(pg), CONNECTION_OK);
	snprintf(sql, sizeof sql,
	    "BEGIN; SELECT FROM agent_runs WHERE run_id = '%s' FOR NO KEY UPDATE", id);
	PQclear(PQexec(pg, sql));
	return pg;
}

static void
until_logged(const char *what)
{
	int64_t late = base_mono_us() + 20 * INT64_C(1000000);
	char *log;
	int found;

	do {
		log = house_log();
		found = strstr(log, what) != NULL;
		free(log);
		ck_assert_msg(base_mono_us() < late, "%s is not in the log", what);
	} while (!found);
}

START_TEST(an_orderly_stop_records_the_results_that_wait)
{
	char one[40], two[40];
	PGconn *pg;

	snprintf(
	    one, sizeof one, "%s", begin("{\"plan\": [{\"wait\": \"go\"}, {\"name\": \"a\"}]}"));
	until_sql("asleep", asleep, one);
	snprintf(two, sizeof two, "%s",
	    begin("{\"plan\": [{\"name\": \"b\", \"ms\": 3000}, {\"name\": \"l\", \"class\": "
		  "\"local\"}, {\"wait\": \"go\"}]}"));
	pg = hold(one);
	/* its commit waits for the row, and all that comes after it for that commit */
	post(one, "/signals", "{\"name\": \"go\"}", 202);
	until_sql(
	    "1", "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'%s", "");
	until_called(two, "l", 1); /* so b gave its result */
	ck_assert_str_eq(types(get(two)), "RunStarted");
	ck_assert_int_eq(kill(house_pid(), SIGTERM), 0);
	until_logged("draining");
	PQclear(PQexec(pg, "ROLLBACK"));
	PQfinish(pg);
	client_free(c);
	house_kill(0); /* ends by itself */
	house_again();
	c = house_client(0);
	ck_assert_str_eq(types(get(two)), "RunStarted StepCompleted StepCompleted");
	post(two, "/signals", "{\"name\": \"go\"}", 202);
	until(two, "completed");
	ck_assert_int_eq(called(two, "b"), 1);
	until(one, "completed");
}
END_TEST

int
main(void)
{
	static const char plugins[] =
	    "  auth: {}\n  langgraph: {}\n  runs: {config: {pending: 20, lease: 30s}}\n"
	    "  stepper: {config: {trace: %s}}\n";
	Suite *suite = suite_create("runs_odd");
	TCase *t = tcase_create("runs_odd");
	char yaml[1000], dir[64];
	SRunner *runner;
	int failed;

	snprintf(dir, sizeof dir, "%s", servers_temp_dir());
	snprintf(trace, sizeof trace, "%s/trace", dir);
	snprintf(yaml, sizeof yaml, plugins, trace);
	house_start(yaml, NULL, SERVERS_PG);
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_signal_to_a_run_that_is_pending_is_taken_when_it_begins);
	tcase_add_test(t, a_start_says_whether_the_run_begins_or_waits);
	tcase_add_test(t, a_delayed_run_does_not_begin_early_whatever_calls_for_it);
	tcase_add_test(t, a_run_that_ends_before_it_begins_is_told_of_once);
	tcase_add_test(t, a_run_that_is_deleted_while_it_ends_leaves_nothing);
	tcase_add_test(t, a_deletion_that_the_end_overtook_is_done_all_the_same);
	tcase_add_test(t, a_thread_that_is_deleted_while_its_run_ends_leaves_nothing);
	tcase_add_test(t, an_interrupted_run_can_be_cancelled);
	tcase_add_test(t, starts_whose_ids_are_not_in_their_order_begin_one_by_one);
	tcase_add_test(t, a_resume_and_a_start_of_one_thread_do_not_run_at_once);
	tcase_add_test(t, a_number_that_no_integer_holds_comes_back_as_it_was_sent);
	tcase_add_test(t, an_unknown_checkpoint_does_not_exist);
	tcase_add_test(t, a_thread_whose_workflow_is_gone_says_so);
	tcase_add_test(t, a_pending_run_whose_workflow_is_gone_fails_when_its_turn_comes);
	tcase_add_test(t, a_run_of_large_events_is_answered_in_parts);
	tcase_add_test(t, a_long_run_is_answered_whole);
	tcase_add_test(t, a_tenant_that_has_too_many_runs_pending_is_told_to_come_back);
	tcase_add_test(t, a_run_that_gets_a_thousand_messages_takes_no_more_for_now);
	tcase_add_test(t, an_orderly_stop_records_the_results_that_wait);
	tcase_add_test(t, runs_are_found_again_among_very_many_tenants);
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
