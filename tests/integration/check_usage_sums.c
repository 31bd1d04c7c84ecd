/* check_usage_sums.c: what GET /v1/usage says, and that it is the sum of the raw events, bit for
 * bit, in the arithmetic of NUMERIC. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "plugins/metering/money.h"
#include "tests/integration/usage.h"

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

static void
add(TCase *t)
{
	tcase_add_test(t, sums_are_grouped_priced_and_filtered);
	tcase_add_test(t, bad_questions_say_what_is_wrong);
	tcase_add_test(t, sums_equal_a_replay_of_the_events_bit_for_bit);
	tcase_add_test(t, every_cost_is_what_numeric_says);
	tcase_add_test(t, a_sum_that_was_tampered_with_is_found);
	tcase_add_test(t, events_cannot_be_changed_by_the_host);
	tcase_add_test(t, arithmetic_of_128_bits_agrees_with_numeric);
}

int
main(void)
{
	return usage_main("usage_sums", "", add);
}
