/* check_usage.c: metering through a whole host: events in from outside and from every surface that
 * costs something, sums that are those of the raw events, and what kill -9 does to them. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "plugins/metering/money.h"
#include "tests/lib/house.h"

#include <check.h> /* last: its macro `fail` is a name of ours */

#define WAIT_S 30
#define HEAD "\"specversion\": \"1.0\", \"source\": \"/test\", \"type\": \"t\""

static struct client *c;
static unsigned turn; /* makes ids of this process new */

static const char *
text(const json_t *j, const char *key)
{
	const char *z = json_string_value(json_object_get(j, key));

	return z != NULL ? z : "";
}

static const char *
sql(const char *query)
{
	return servers_sql_super("%s", query);
}

static long long
sql_number(const char *query)
{
	return atoll(sql(query));
}

static void
nap(void)
{
	struct timespec t = { 0, 20 * 1000 * 1000 };

	nanosleep(&t, NULL); /* the state of another process: there is no event to wait for */
}

/* Asks until the query's number is at least n. */
static void
until_sql(const char *query, long long n)
{
	int64_t late = base_mono_us() + WAIT_S * INT64_C(1000000);

	while (sql_number(query) < n) {
		ck_assert_msg(base_mono_us() < late, "%s: %s, not %lld", query, sql(query), n);
		nap();
	}
}

static const struct reply *
post(const char *body)
{
	return client_call(
	    c, "POST", "/v1/usage/events", "application/cloudevents+json", body, strlen(body));
}

static const char *
fresh_id(void)
{
	static char id[64];

	snprintf(id, sizeof id, "%d-%u", (int)getpid(), turn++);
	return id;
}

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

/* ---------------------------------------------------------------- CloudEvents */

START_TEST(an_event_is_counted_once_and_another_with_its_id_is_not)
{
	char body[400], other[400];
	const char *id = fresh_id();
	const struct reply *r;

	snprintf(body, sizeof body, "{" HEAD ", \"id\": \"%s\", \"data\": {\"quantity\": 5}}", id);
	snprintf(
	    other, sizeof other, "{" HEAD ", \"id\": \"%s\", \"data\": {\"quantity\": 6}}", id);
	r = post(body);
	ck_assert_msg(r->status == 200, "%d %s", r->status, r->body);
	ck_assert_str_eq(text(r->json, "status"), "accepted");
	ck_assert_str_eq(text(r->json, "id"), id);
	r = post(body);
	ck_assert_int_eq(r->status, 200);
	ck_assert_str_eq(text(r->json, "status"), "duplicate");
	r = post(other);
	ck_assert_int_eq(r->status, 409);
	snprintf(body, sizeof body,
	    "SELECT count(*) || ' ' || sum(quantity) FROM usage_events WHERE source = '/test' AND "
	    "id = '%s'",
	    id);
	ck_assert_str_eq(sql(body), "1 5");
}
END_TEST

START_TEST(each_event_of_a_batch_has_an_answer_in_its_place)
{
	char body[2000], old[64], a[64];
	const json_t *results;
	const struct reply *r;
	static const char *const status[] = { "accepted", "duplicate", "duplicate", "conflict",
		"invalid", "conflict" };
	size_t i;

	snprintf(old, sizeof old, "%s", fresh_id());
	snprintf(body, sizeof body, "[{" HEAD ", \"id\": \"%s\"}]", old);
	r = client_call(c, "POST", "/v1/usage/events", "application/cloudevents-batch+json", body,
	    strlen(body));
	ck_assert_msg(r->status == 200, "%d %s", r->status, r->body);
	snprintf(a, sizeof a, "%s", fresh_id());
	snprintf(body, sizeof body,
	    "[{" HEAD ", \"id\": \"%s\"}, {" HEAD ", \"id\": \"%s\"}, {" HEAD ", \"id\": \"%s\"},"
	    " {" HEAD ", \"id\": \"%s\", \"subject\": \"x\"}, {\"id\": \"bad\"},"
	    " {" HEAD ", \"id\": \"%s\", \"subject\": \"y\"}]",
	    a, a, old, old, a);
	r = client_post(c, "/v1/usage/events", body);
	ck_assert_msg(r->status == 207, "%d %s", r->status, r->body);
	results = json_object_get(r->json, "results");
	ck_assert_uint_eq(json_array_size(results), 6);
	for (i = 0; i < 6; i++)
		ck_assert_str_eq(text(json_array_get(results, i), "status"), status[i]);
	ck_assert_str_eq(text(json_array_get(results, 4), "id"), "bad");
	ck_assert_ptr_nonnull(strstr(text(json_array_get(results, 4), "error"), "source"));
	ck_assert_int_eq(json_integer_value(json_object_get(r->json, "accepted")), 1);
	ck_assert_int_eq(json_integer_value(json_object_get(r->json, "invalid")), 1);
	r = client_post(c, "/v1/usage/events", "[]");
	ck_assert_int_eq(r->status, 200);
}
END_TEST

START_TEST(what_is_no_list_of_events_is_refused_whole)
{
	json_t *many = json_array();
	const struct reply *r;
	char *z;
	int i;

	ck_assert_int_eq(post("{}")->status, 400);
	ck_assert_int_eq(post("7")->status, 400);
	ck_assert_int_eq(post("{")->status, 400);
	r = client_call(c, "POST", "/v1/usage/events", "text/plain", "{}", 2);
	ck_assert_int_eq(r->status, 415);
	for (i = 0; i < 1001; i++)
		json_array_append_new(many, json_integer(i));
	z = json_dumps(many, 0);
	ck_assert_int_eq(client_post(c, "/v1/usage/events", z)->status, 413);
	free(z);
	json_decref(many);
}
END_TEST

START_TEST(a_client_cannot_take_the_id_of_a_run)
{
	const struct reply *r = post("{\"specversion\": \"1.0\", \"source\": \"urn:insula:runs\", "
				     "\"type\": \"t\", \"id\": \"x\"}");

	ck_assert_int_eq(r->status, 400);
	ck_assert_ptr_nonnull(strstr(r->body, "urn:insula:"));
}
END_TEST

START_TEST(each_route_asks_for_its_own_permission)
{
	static const struct {
		const char *granted;
		int events, sums, recompute;
	} t[] = { { "usage:write", 200, 403, 403 }, { "usage:read", 403, 200, 403 },
		{ "usage:audit", 403, 403, 200 }, { "chat:write", 403, 403, 403 } };
	struct client *k;
	size_t i;
	char *key;

	for (i = 0; i < sizeof t / sizeof *t; i++) {
		key = house_key_with(0, t[i].granted);
		k = client_new(house_url(), key);
		ck_assert_int_eq(client_post(k, "/v1/usage/events", "[]")->status, t[i].events);
		ck_assert_int_eq(client_get(k, "/v1/usage")->status, t[i].sums);
		ck_assert_int_eq(
		    client_post(k, "/v1/usage/recompute", "{}")->status, t[i].recompute);
		client_free(k);
		free(key);
	}
}
END_TEST

START_TEST(the_same_id_in_two_tenants_is_two_events)
{
	struct client *other = house_client(1);
	char body[200], path[100];
	const json_t *data;

	snprintf(body, sizeof body, "[{" HEAD ", \"id\": \"%s\"}]", fresh_id());
	ck_assert_ptr_nonnull(
	    strstr(client_post(c, "/v1/usage/events", body)->body, "accepted\":1"));
	ck_assert_ptr_nonnull(
	    strstr(client_post(other, "/v1/usage/events", body)->body, "accepted\":1"));
	snprintf(path, sizeof path, "/v1/usage?group_by=kind&kind=only-first");
	ck_assert_int_eq(
	    post("{\"specversion\": \"1.0\", \"source\": \"/s\", \"type\": \"only-first\", "
		 "\"id\": \"1\"}")
		->status,
	    200);
	data = json_object_get(client_get(other, path)->json, "data");
	ck_assert(json_is_array(data) && json_array_size(data) == 0);
	client_free(other);
}
END_TEST

/* ---------------------------------------------------------------- sums */

START_TEST(sums_are_grouped_priced_and_filtered)
{
	const struct reply *r;
	const json_t *data, *row;
	const char *body =
	    "[{\"specversion\": \"1.0\", \"source\": \"/sums\", \"type\": \"s\", \"id\": \"1\", "
	    "\"time\": "
	    "\"2026-03-01T23:59:59.999999Z\", \"data\": {\"model\": \"priced\", \"workflow\": "
	    "\"w\", "
	    "\"prompt_tokens\": 1000, \"cached_tokens\": 200, \"completion_tokens\": 10}},"
	    "{\"specversion\": \"1.0\", \"source\": \"/sums\", \"type\": \"s\", \"id\": \"2\", "
	    "\"time\": "
	    "\"2026-03-02T01:00:00+01:00\", \"data\": {\"model\": \"priced\", \"workflow\": \"w\", "
	    "\"prompt_tokens\": 1000}},"
	    "{\"specversion\": \"1.0\", \"source\": \"/sums\", \"type\": \"s\", \"id\": \"3\", "
	    "\"time\": "
	    "\"2026-03-02T12:00:00Z\", \"data\": {\"model\": \"unheard-of\", \"workflow\": \"v\", "
	    "\"prompt_tokens\": 7}}]";

	r = client_post(c, "/v1/usage/events", body);
	ck_assert_msg(r->status == 200, "%s", r->body);
	r = client_get(c, "/v1/usage?from=2026-03-01&to=2026-03-03&group_by=day,model&kind=s");
	ck_assert_msg(r->status == 200, "%s", r->body);
	data = json_object_get(r->json, "data");
	ck_assert_uint_eq(json_array_size(data), 3);
	row = json_array_get(data, 0);
	ck_assert_str_eq(text(row, "day"), "2026-03-01");
	ck_assert_str_eq(text(row, "model"), "priced");
	ck_assert_str_eq(text(row, "events"), "1");
	ck_assert_str_eq(text(row, "prompt_tokens"), "1000");
	ck_assert_str_eq(text(row, "cached_tokens"), "200");
	/* 800 * 2.5 + 200 * 1.25 + 10 * 10 nano-dollars */
	ck_assert_str_eq(text(row, "cost_nanos"), "2350");
	ck_assert_str_eq(text(row, "unpriced"), "0");
	ck_assert_ptr_null(json_object_get(row, "workflow"));
	row = json_array_get(data, 2);
	ck_assert_str_eq(text(row, "model"), "unheard-of");
	ck_assert_str_eq(text(row, "cost_nanos"), "0");
	ck_assert_str_eq(text(row, "unpriced"), "1");
	r = client_get(
	    c, "/v1/usage?from=2026-03-01&to=2026-03-03&group_by=workflow&kind=s&model=priced");
	data = json_object_get(r->json, "data");
	ck_assert_uint_eq(json_array_size(data), 1);
	ck_assert_str_eq(text(json_array_get(data, 0), "workflow"), "w");
	ck_assert_str_eq(text(json_array_get(data, 0), "events"), "2");
	/* `to` is not in it */
	r = client_get(c, "/v1/usage?from=2026-03-01&to=2026-03-02&group_by=&kind=s");
	ck_assert_str_eq(text(json_array_get(json_object_get(r->json, "data"), 0), "events"), "1");
}
END_TEST

START_TEST(bad_questions_say_what_is_wrong)
{
	static const char *const bad[] = { "from=yesterday", "from=2026-02-30", "to=2026-13-01",
		"from=2026-03-02&to=2026-03-02", "from=2000-01-01&to=2026-01-01", "group_by=tenant",
		"group_by=day,,model" };
	char path[120];
	size_t i;

	for (i = 0; i < sizeof bad / sizeof *bad; i++) {
		snprintf(path, sizeof path, "/v1/usage?%s", bad[i]);
		ck_assert_msg(client_get(c, path)->status == 400, "%s", bad[i]);
	}
}
END_TEST

/* ---------------------------------------------------------------- bit for bit */

#define WRITERS 4
#define ROUNDS 25
#define LOT 60

struct writer {
	unsigned seed;
	long long accepted;
	int failures;
};

static unsigned
draw(struct writer *w, unsigned n)
{
	w->seed = w->seed * 1103515245u + 12345u;
	return (w->seed >> 16) % n;
}

/* Everything of an event but its id is a function of the id, so that the same id again is a
 * duplicate whoever sends it; one in 40 is made to conflict. */
static void
event(struct writer *w, char *out, size_t size)
{
	static const char *const models[] = { "priced", "cheap", "unheard-of", "" };
	unsigned id = draw(w, 4000), day = id * 7 % 59, conflict = draw(w, 40) == 0;

	snprintf(out, size,
	    "{\"specversion\": \"1.0\", \"source\": \"/random\", \"type\": \"random-%u\", \"id\": "
	    "\"%u\","
	    " \"time\": \"2026-%02u-%02uT%02u:%02u:00Z\", \"data\": {\"model\": \"%s\", "
	    "\"workflow\": "
	    "\"w%u\", \"prompt_tokens\": %u, \"cached_tokens\": %u, \"completion_tokens\": %u, "
	    "\"tool_calls\": %u, \"duration_ms\": %u, \"quantity\": %u}}",
	    id % 3, id, 1 + day / 28, 1 + day % 28, id % 24, id % 60, models[id % 4], id % 5,
	    100 + id * 31 % 9973, id % 100, id * 17 % 997 + conflict * 100000, id % 3, id % 1000,
	    id % 11);
}

static void *
write_events(void *arg)
{
	struct writer *w = arg;
	struct client *k = house_client(0);
	static const size_t size = LOT * 600;
	char *body = malloc(size);
	const struct reply *r;
	int i, n;
	size_t at;

	for (i = 0; i < ROUNDS; i++) {
		at = (size_t)snprintf(body, size, "[");
		for (n = 0; n < LOT; n++) {
			if (n > 0)
				body[at++] = ',';
			event(w, body + at, size - at);
			at += strlen(body + at);
		}
		snprintf(body + at, size - at, "]");
		r = client_post(k, "/v1/usage/events", body);
		if (r->status != 200 && r->status != 207)
			w->failures++;
		w->accepted += json_integer_value(json_object_get(r->json, "accepted"));
	}
	free(body);
	client_free(k);
	return NULL;
}

static const json_t *
recompute(void)
{
	const struct reply *r = client_post(
	    c, "/v1/usage/recompute?from=2026-01-01&to=2026-12-31", "{}");

	ck_assert_msg(r->status == 200, "%d %s", r->status, r->body);
	return r->json;
}

START_TEST(sums_equal_a_replay_of_the_events_bit_for_bit)
{
	struct writer w[WRITERS];
	pthread_t thread[WRITERS];
	long long accepted = 0;
	const json_t *j;
	char expect[200];
	int i;

	for (i = 0; i < WRITERS; i++) {
		w[i] = (struct writer){ .seed = (unsigned)i + 1 };
		AZ(pthread_create(&thread[i], NULL, write_events, &w[i]));
	}
	/* also while they write: one statement sees one state */
	for (i = 0; i < 10; i++)
		ck_assert(json_is_true(json_object_get(recompute(), "equal")));
	for (i = 0; i < WRITERS; i++) {
		AZ(pthread_join(thread[i], NULL));
		ck_assert_int_eq(w[i].failures, 0);
		accepted += w[i].accepted;
	}
	ck_assert_int_gt(accepted, 2000);
	ck_assert_int_lt(accepted, WRITERS * ROUNDS * LOT);
	snprintf(expect, sizeof expect, "%lld", accepted);
	ck_assert_str_eq(sql("SELECT count(*) FROM usage_events WHERE source = '/random'"), expect);
	ck_assert_str_eq(
	    sql("SELECT count(DISTINCT id) FROM usage_events WHERE source = '/random'"), expect);
	ck_assert_str_eq(sql("SELECT count(*) FROM usage_keys WHERE source = '/random'"), expect);
	ck_assert_str_eq(
	    sql("SELECT sum(events) FROM usage_rollups WHERE kind LIKE 'random-%'"), expect);
	j = recompute();
	ck_assert(json_is_true(json_object_get(j, "equal")));
	ck_assert(json_equal(json_object_get(j, "replayed"), json_object_get(j, "kept")));
	ck_assert_int_gt(json_integer_value(json_object_get(j, "sums")), 100);
}
END_TEST

START_TEST(every_cost_is_what_numeric_says)
{
	/* Of each priced event: tokens times prices in NUMERIC, rounded half to even there. */
	ck_assert_str_eq(
	    sql("WITH e AS (SELECT cost_nanos, (prompt_tokens - cached_tokens)::numeric * i +"
		" cached_tokens::numeric * c + completion_tokens::numeric * o AS n"
		" FROM usage_events JOIN (VALUES ('priced', 2500000, 1250000, 10000000),"
		" ('cheap', 150001, 75003, 600007)) AS p (model, i, c, o) USING (model)"
		" WHERE source = '/random'), x AS (SELECT cost_nanos, CASE WHEN mod(n, 1000000) = "
		"500000"
		" AND mod(trunc(n / 1000000), 2) = 0 THEN trunc(n / 1000000) ELSE round(n / "
		"1000000) END"
		" AS cost FROM e) SELECT count(*) FILTER (WHERE cost <> cost_nanos) || ' of ' ||"
		" (count(*) > 500) FROM x"),
	    "0 of true");
	ck_assert_str_eq(sql("SELECT count(*) FROM usage_events WHERE source = '/random'"
			     " AND (cost_nanos IS NULL) <> (model IN ('unheard-of', ''))"),
	    "0");
}
END_TEST

#define ONE_SUM                                                                                \
	" WHERE (day, model, workflow, kind, slot) = (SELECT day, model, workflow, kind, slot" \
	" FROM usage_rollups WHERE kind = 'random-1' ORDER BY 1, 2, 3, 4, 5 LIMIT 1)"

START_TEST(a_sum_that_was_tampered_with_is_found)
{
	const json_t *j;

	sql("UPDATE usage_rollups SET cost_nanos = cost_nanos + 1" ONE_SUM);
	j = recompute();
	ck_assert(json_is_false(json_object_get(j, "equal")));
	ck_assert_int_eq(json_integer_value(json_object_get(j, "differing")), 1);
	ck_assert_str_eq(text(json_array_get(json_object_get(j, "first"), 0), "kind"), "random-1");
	ck_assert_ptr_nonnull(strstr(client_get(c, "/metrics")->body, "usage_rollup_difference 1"));
	sql("UPDATE usage_rollups SET cost_nanos = cost_nanos - 1" ONE_SUM);
	ck_assert(json_is_true(json_object_get(recompute(), "equal")));
	ck_assert_ptr_nonnull(strstr(client_get(c, "/metrics")->body, "usage_rollup_difference 0"));
}
END_TEST

START_TEST(events_cannot_be_changed_by_the_host)
{
	static const char *const tables[] = { "usage_keys", "usage_events" };
	char query[200];
	size_t i;

	for (i = 0; i < 2; i++) {
		snprintf(query, sizeof query,
		    "SELECT has_table_privilege('insula_app', '%s', 'UPDATE, DELETE, TRUNCATE')",
		    tables[i]);
		ck_assert_str_eq(sql(query), "f");
	}
	ck_assert_str_eq(
	    sql("SELECT has_table_privilege('insula_app', 'usage_rollups', 'DELETE')"), "f");
	/* made ahead: this month and the next two */
	ck_assert_int_ge(sql_number("SELECT count(*) FROM pg_inherits WHERE inhparent ="
				    " 'usage_events'::regclass"),
	    4);
}
END_TEST

/* ---------------------------------------------------------------- arithmetic */

/* Up to 36 digits, of any length. */
static money
draw_money(struct writer *w)
{
	char z[40];
	int i, n = 1 + (int)draw(w, 36);
	money v;

	for (i = 0; i < n; i++)
		z[i] = (char)('0' + (int)draw(w, 10));
	ck_assert_int_eq(money_parse(z, (size_t)n, &v), 0);
	return draw(w, 2) == 0 ? v : -v;
}

START_TEST(arithmetic_of_128_bits_agrees_with_numeric)
{
	static char query[400000];
	struct writer w = { .seed = 7 };
	char a[MONEY_TEXT_MAX], b[MONEY_TEXT_MAX], sum[MONEY_TEXT_MAX], product[MONEY_TEXT_MAX],
	    q[MONEY_TEXT_MAX];
	size_t at;
	int i;

	at = (size_t)snprintf(query, sizeof query,
	    "WITH t AS (SELECT a::numeric, b::numeric, m::numeric, d::numeric, s::numeric, "
	    "p::numeric,"
	    " q::numeric FROM (VALUES ");
	for (i = 0; i < 1000; i++) {
		money x = draw_money(&w), y = draw_money(&w), s, p;
		int factor = (int)draw(&w, 2000) - 1000, divisor = 1 + (int)draw(&w, 5000);

		if (draw(&w, 3) == 0) /* a half */
			x = x / 1000 * divisor + divisor / 2;
		ck_assert_int_eq(money_add(x, y, &s), 0);
		if (money_mul(x, factor, &p) != 0) /* 36 digits and three fit, barely */
			p = x, factor = 1;
		at += (size_t)snprintf(query + at, sizeof query - at,
		    "%s('%s', '%s', '%d', '%d', '%s', '%s', '%s')", i == 0 ? "" : ", ",
		    money_print(x, a), money_print(y, b), factor, divisor, money_print(s, sum),
		    money_print(p, product), money_print(money_div_even(x, divisor), q));
		ck_assert_uint_lt(at, sizeof query - 500);
	}
	snprintf(query + at, sizeof query - at,
	    ") AS v (a, b, m, d, s, p, q)), x AS (SELECT *, div(a, d) AS t, abs(mod(a, d)) * 2 AS "
	    "r2 FROM t)"
	    " SELECT count(*) FILTER (WHERE a + b <> s OR a * m <> p OR q <> t + CASE WHEN r2 > d "
	    "OR"
	    " (r2 = d AND mod(t, 2) <> 0) THEN sign(a) ELSE 0 END) || ' of ' || count(*) FROM x");
	ck_assert_str_eq(sql(query), "0 of 1000");
}
END_TEST

/* ---------------------------------------------------------------- every surface */

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

/* ---------------------------------------------------------------- */

static const char price_list[] =
    "versions:\n"
    "  - version: first\n    valid_from: 2020-01-01\n"
    "    models:\n      priced: {input: 2500000, cached: 1250000, output: 10000000}\n"
    "      cheap: {input: 150001, cached: 75003, output: 600007}\n      extractive-1: {input: 0, "
    "output: 0}\n"
    "  - version: \"2026\"\n    valid_from: 2026-06-01\n"
    "    models: {up-echo: {input: 2000000, output: 3000000}, extractive-1: {input: 0, output: "
    "0}}\n";

static const char plugins[] =
    "  auth: {}\n  policy_static: {}\n  openai: {}\n  knowledge: {}\n  index_local: {}\n"
    "  model_extractive: {}\n  workflow_faq: {}\n  runs: {}\n  stepper: {}\n"
    "  metering: {config: {prices: %s}}\n"
    "  model_openai:\n    config:\n      providers:\n        - name: up\n          base_url: %%U\n"
    "          private_addresses: true\n          models:\n"
    "            - {id: up-echo, tier: SLM_B}\n            - {id: up-cut, tier: SLM_B}\n"
    "            - {id: up-error-mid, tier: SLM_B}\n            - {id: up-cut-clean, tier: SLM_B}\n"
    "            - {id: up-drip-50, tier: SLM_B}\n            - {id: up-status-400, tier: SLM_B}\n";

int
main(void)
{
	Suite *suite = suite_create("usage");
	TCase *t = tcase_create("usage");
	char yaml[2000], dir[64], prices[100];
	SRunner *runner;
	FILE *f;
	int failed;

	snprintf(dir, sizeof dir, "%s", servers_temp_dir());
	snprintf(prices, sizeof prices, "%s/prices.yaml", dir);
	f = fopen(prices, "we");
	AN(f);
	fputs(price_list, f);
	fclose(f);
	snprintf(yaml, sizeof yaml, plugins, prices);
	house_start(yaml, NULL, SERVERS_PG | SERVERS_NATS);
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, an_event_is_counted_once_and_another_with_its_id_is_not);
	tcase_add_test(t, each_event_of_a_batch_has_an_answer_in_its_place);
	tcase_add_test(t, what_is_no_list_of_events_is_refused_whole);
	tcase_add_test(t, a_client_cannot_take_the_id_of_a_run);
	tcase_add_test(t, each_route_asks_for_its_own_permission);
	tcase_add_test(t, the_same_id_in_two_tenants_is_two_events);
	tcase_add_test(t, sums_are_grouped_priced_and_filtered);
	tcase_add_test(t, bad_questions_say_what_is_wrong);
	tcase_add_test(t, sums_equal_a_replay_of_the_events_bit_for_bit);
	tcase_add_test(t, every_cost_is_what_numeric_says);
	tcase_add_test(t, a_sum_that_was_tampered_with_is_found);
	tcase_add_test(t, events_cannot_be_changed_by_the_host);
	tcase_add_test(t, arithmetic_of_128_bits_agrees_with_numeric);
	tcase_add_test(t, a_completion_is_metered_once_by_its_id);
	tcase_add_test(t, a_stream_is_metered_whole_or_cut);
	tcase_add_test(t, a_client_that_leaves_has_used_what_it_was_sent);
	tcase_add_test(t, an_error_of_the_provider_costs_nothing);
	tcase_add_test(t, a_run_is_metered_with_its_end);
	tcase_add_test(t, a_run_that_fails_is_metered_too);
	tcase_add_test(t, a_run_that_is_cancelled_is_metered_with_what_it_used);
	tcase_add_test(t, a_chat_with_a_workflow_is_metered_as_its_run_and_not_again);
	tcase_add_test(t, kill_9_loses_no_run_and_counts_none_twice);
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
