/* check_metering.c: the pure parts of plugins/metering: money, times, prices, events. */
#include <stdlib.h>
#include <string.h>

#include "plugins/metering/instant.h"
#include "plugins/metering/money.h"
#include "plugins/metering/usage.h"

#include <check.h>

#define NOW INT64_C(1793491200000000) /* 2026-11-01 */

static money
m(const char *z)
{
	money v;

	ck_assert_msg(money_parse(z, strlen(z), &v) == 0, "%s", z);
	return v;
}

static void
ck_money(money v, const char *z)
{
	char buf[MONEY_TEXT_MAX];

	ck_assert_str_eq(money_print(v, buf), z);
}

/* ---------------------------------------------------------------- money */

START_TEST(money_is_printed_as_it_was_read)
{
	static const char *const z[] = { "0", "7", "-7", "9223372036854775808",
		"-9223372036854775809", "999999999999999999999999999999999999",
		"-999999999999999999999999999999999999" };
	size_t i;

	for (i = 0; i < sizeof z / sizeof *z; i++)
		ck_money(m(z[i]), z[i]);
	ck_money((money)((unsigned __int128)1 << 127), "-170141183460469231731687303715884105728");
}
END_TEST

START_TEST(what_is_no_whole_number_is_no_money)
{
	static const char *const z[] = { "", "-", "+1", "1.0", "1e3", " 1", "1 ", "0x1", "--1",
		"1234567890123456789012345678901234567" };
	money v = 5;
	size_t i;

	for (i = 0; i < sizeof z / sizeof *z; i++)
		ck_assert_msg(money_parse(z[i], strlen(z[i]), &v) == -1, "%s", z[i]);
	ck_assert(v == 5);
}
END_TEST

START_TEST(sums_and_products_past_128_bits_are_refused)
{
	money most = ~((money)((unsigned __int128)1 << 127)), v = 5;

	ck_assert_int_eq(money_add(most, 1, &v), -1);
	ck_assert_int_eq(money_add(-most, -2, &v), -1);
	ck_assert_int_eq(money_mul(most, 2, &v), -1);
	ck_assert_int_eq(money_mul(most / 2, -3, &v), -1);
	ck_assert(v == 5);
	ck_assert_int_eq(money_add(most, -1, &v), 0);
	ck_assert(v == most - 1);
	ck_assert_int_eq(money_mul(most / 2, 2, &v), 0);
	ck_assert(v == most - 1);
}
END_TEST

START_TEST(a_half_goes_to_the_even_neighbour)
{
	static const struct {
		int a, b, q;
	} t[] = { { 5, 2, 2 }, { 7, 2, 4 }, { 1, 2, 0 }, { 3, 2, 2 }, { -5, 2, -2 }, { -7, 2, -4 },
		{ -1, 2, 0 }, { 4, 3, 1 }, { 5, 3, 2 }, { -4, 3, -1 }, { -5, 3, -2 }, { 0, 3, 0 },
		{ 25, 10, 2 }, { 35, 10, 4 }, { 26, 10, 3 }, { 24, 10, 2 }, { 9, 1, 9 } };
	size_t i;

	for (i = 0; i < sizeof t / sizeof *t; i++)
		ck_assert_msg(money_div_even(t[i].a, t[i].b) == t[i].q, "%d / %d", t[i].a, t[i].b);
}
END_TEST

/* ---------------------------------------------------------------- times */

START_TEST(times_of_rfc_3339_are_read)
{
	int64_t us;

	ck_assert_int_eq(instant_parse("2026-11-01T00:00:00Z", &us), 0);
	ck_assert_int_eq(us, NOW);
	ck_assert_int_eq(instant_parse("2026-11-01t02:30:00.25+02:30", &us), 0);
	ck_assert_int_eq(us, NOW + 250000);
	ck_assert_int_eq(instant_parse("2026-10-31T19:00:00.1234567-05:00", &us), 0);
	ck_assert_int_eq(us, NOW + 123456);
	ck_assert_int_eq(instant_parse_day("2024-02-29", &us), 0);
}
END_TEST

START_TEST(what_is_no_time_is_refused)
{
	static const char *const z[] = { "", "2026", "2026-11-01", "2026-11-01T00:00:00",
		"2026-11-01T24:00:00Z", "2026-11-01T00:60:00Z", "2026-11-01T00:00:00.Z",
		"2026-11-01T00:00:00+0200", "2026-11-01T00:00:00Z ", "2026-13-01T00:00:00Z",
		"2026-02-29T00:00:00Z", "1999-12-31T23:59:59Z", "2100-01-01T00:00:00Z",
		"2026-11-01 00:00:00Z", "2026-1-01T00:00:00Z",
		"2026-11-01T00:00:00.1234567890123Z" };
	int64_t us = 5;
	size_t i;

	for (i = 0; i < sizeof z / sizeof *z; i++)
		ck_assert_msg(instant_parse(z[i], &us) == -1, "%s", z[i]);
	ck_assert_int_eq(instant_parse_day("2026-02-30", &us), -1);
	ck_assert_int_eq(instant_parse_day("2026-02-03T", &us), -1);
	ck_assert_int_eq(us, 5);
}
END_TEST

/* ---------------------------------------------------------------- prices */

static const char list_text[] =
    "# a comment\n"
    "versions:\n"
    "  - version: new\n"
    "    valid_from: 2026-11-01\n"
    "    models: {a: {input: 3000000, output: 15000000}}\n"
    "  - {version: \"old\", valid_from: \"2026-01-01T00:00:00Z\", models:\n"
    "      {a: {input: 2000000, cached: 500000, output: 8000000},\n"
    "       tiny: {input: 1, output: 1}}}\n";

static struct prices *
prices_of(const char *text, char err[PRICES_ERR_MAX])
{
	json_t *j = prices_yaml(text, strlen(text), err);
	struct prices *p = j == NULL ? NULL : prices_new(j, err);

	json_decref(j);
	return p;
}

START_TEST(the_version_in_force_at_the_time_of_the_event_counts)
{
	char err[PRICES_ERR_MAX];
	struct prices *p = prices_of(list_text, err);
	struct price price;

	ck_assert_msg(p != NULL, "%s", err);
	ck_assert_int_eq(prices_find(p, "a", NOW, &price), 0);
	ck_assert_str_eq(price.version, "new");
	ck_assert_int_eq(price.cached, 3000000);
	ck_assert_int_eq(prices_find(p, "a", NOW - 1, &price), 0);
	ck_assert_str_eq(price.version, "old");
	ck_assert_int_eq(price.cached, 500000);
	/* neither what is not there, nor what was before the first, nor what is there no more */
	ck_assert_int_eq(prices_find(p, "b", NOW, &price), -1);
	ck_assert_int_eq(prices_find(p, "a", INT64_C(1700000000000000), &price), -1);
	ck_assert_int_eq(prices_find(p, "tiny", NOW, &price), -1);
	prices_free(p);
}
END_TEST

START_TEST(a_cost_is_rounded_once)
{
	static const struct price p = { "v", 500000, 250000, 1500000 };

	ck_money(prices_cost(&p, 1, 0, 0), "0"); /* 0.5 */
	ck_money(prices_cost(&p, 1, 0, 1), "2"); /* 2 */
	ck_money(prices_cost(&p, 3, 2, 1), "2"); /* 0.5 + 0.5 + 1.5 = 2.5 */
	ck_money(prices_cost(&p, 1, 1, 0), "0"); /* 0.25 */
	ck_money(prices_cost(&(const struct price){ "v", PRICES_PER_MILLION_MAX,
				 PRICES_PER_MILLION_MAX, PRICES_PER_MILLION_MAX },
		     PRICES_TOKENS_MAX, 0, PRICES_TOKENS_MAX),
	    "2000000000000000000000000");
}
END_TEST

START_TEST(a_price_list_with_a_fault_is_refused)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{ "", "empty" },
		{ "a: b: c", "line 1" },
		{ "x: 1", "versions" },
		{ "versions: []", "versions" },
		{ "versions: [{valid_from: 2026-01-01, models: {}}]", "versions[0].version" },
		{ "versions: [{version: a, valid_from: soon, models: {}}]", "valid_from" },
		{ "versions: [{version: a, valid_from: 2026-01-01, models: []}]", "models" },
		{ "versions: [{version: a, valid_from: 2026-01-01, models: {m: {input: 1}}}]",
		    "models.m" },
		{ "versions: [{version: a, valid_from: 2026-01-01, models: {m: {input: 1.5, "
		  "output: 1}}}]",
		    "models.m" },
		{ "versions: [{version: a, valid_from: 2026-01-01, models: {m: {input: -1, output: "
		  "1}}}]",
		    "models.m" },
		{ "versions: [{version: a, valid_from: 2026-01-01, models: {m: {input: 1, output: "
		  "1, x: 1}}}]",
		    "models.m" },
		{ "versions: [{version: a, valid_from: 2026-01-01, models: {m: {input: 1, output: "
		  "1000000000000001}}}]",
		    "models.m" },
		{ "versions: [{version: a, valid_from: 2026-01-01, models: {m: {input: "
		  "99999999999999999999, output: 1}}}]",
		    "too large" },
		{ "versions: [{version: a, valid_from: 2026-01-01, models: {}}, {version: a, "
		  "valid_from: 2026-01-02, models: {}}]",
		    "twice" },
		{ "versions: [{version: a, valid_from: 2026-01-01, models: {}}, {version: b, "
		  "valid_from: 2026-01-01, models: {}}]",
		    "same time" },
		{ "versions: &a [*a]", "anchor" },
		{ "versions: !!seq []", "tag" },
		{ "a: 1\na: 2", "once" },
		{ "[[[[[[[[[[1]]]]]]]]]]", "deep" },
		{ "a: 1\n---\nb: 2", "more than one" },
	};
	char err[PRICES_ERR_MAX];
	size_t i;

	for (i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct prices *p = prices_of(bad[i].text, err);

		ck_assert_msg(p == NULL, "%s", bad[i].text);
		ck_assert_msg(strstr(err, bad[i].says) != NULL, "%s: %s", bad[i].text, err);
	}
}
END_TEST

/* ---------------------------------------------------------------- events */

static struct usage_line lines[USAGE_LINES_MAX];
static struct usage_event ev = { .lines = lines };
static char err[USAGE_ERR_MAX];

/* A CloudEvent; ev and err say what became of it. The tree is returned, since ev borrows from it.
 */
static json_t *
cloud(const char *text, int expect)
{
	json_t *j = json_loads(text, JSON_DECODE_ANY, NULL);

	ck_assert_ptr_nonnull(j);
	usage_fini(&ev);
	ck_assert_msg(usage_parse_cloudevent(j, NOW, NOW + 1000, &ev, err) == expect, "%s: %s",
	    text, expect == 0 ? err : "was taken");
	return j;
}

START_TEST(a_cloudevent_becomes_a_usage_event)
{
	json_t *j = cloud(
	    "{\"specversion\": \"1.0\", \"id\": \"1\", \"source\": \"/a\", \"type\": \"t\", "
	    "\"time\": \"2026-10-31T10:00:00Z\", \"subject\": \"s\", \"datacontenttype\": "
	    "\"application/json; charset=utf-8\", \"data\": {\"model\": \"m\", \"workflow\": "
	    "\"w\", "
	    "\"input_tokens\": 10, \"output_tokens\": 5, \"cached_tokens\": 3, \"tool_calls\": 2, "
	    "\"duration_ms\": 7, \"quantity\": 9, \"cost_nanos\": \"123456789012345678901234\", "
	    "\"mine\": [1]}, \"traceparent\": \"x\"}",
	    0);

	ck_assert_str_eq(ev.id, "1");
	ck_assert_str_eq(ev.source, "/a");
	ck_assert_str_eq(ev.kind, "t");
	ck_assert_str_eq(ev.subject, "s");
	ck_assert_str_eq(ev.workflow, "w");
	ck_assert_str_eq(lines[0].model, "m");
	ck_assert_int_eq(ev.time_us, NOW - 14 * INT64_C(3600000000));
	ck_assert_int_eq(lines[0].counts.prompt_tokens, 10);
	ck_assert_int_eq(lines[0].counts.completion_tokens, 5);
	ck_assert_int_eq(lines[0].counts.cached_tokens, 3);
	ck_assert_int_eq(lines[0].counts.tool_calls, 2);
	ck_assert_int_eq(lines[0].counts.duration_ms, 7);
	ck_assert_int_eq(lines[0].counts.quantity, 9);
	ck_money(lines[0].reported, "123456789012345678901234");
	json_decref(j);
}
END_TEST

START_TEST(what_is_no_cloudevent_of_ours_is_refused_with_the_reason)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{ "1", "object" },
		{ "{}", "id" },
		{ "{\"id\": \"\"}", "id" },
		{ "{\"id\": 1}", "id" },
		{ "{\"id\": \"1\"}", "source" },
		{ "{\"id\": \"1\", \"source\": \"s\"}", "specversion" },
		{ "{\"id\": \"1\", \"source\": \"s\", \"specversion\": \"0.3\", \"type\": \"t\"}",
		    "1.0" },
		{ "{\"id\": \"1\", \"source\": \"s\", \"specversion\": \"1.0\"}", "type" },
#define HEAD "{\"id\": \"1\", \"source\": \"s\", \"specversion\": \"1.0\", \"type\": \"t\", "
		{ HEAD "\"time\": \"now\"}", "time" },
		{ HEAD "\"time\": \"2026-11-01T00:00:01Z\"}", "future" },
		{ HEAD "\"data\": 1}", "data" },
		{ HEAD "\"data_base64\": \"\"}", "data_base64" },
		{ HEAD "\"datacontenttype\": \"text/xml\", \"data\": {}}", "datacontenttype" },
		{ HEAD "\"data\": {\"prompt_tokens\": -1}}", "prompt_tokens" },
		{ HEAD "\"data\": {\"prompt_tokens\": 1.5}}", "prompt_tokens" },
		{ HEAD "\"data\": {\"prompt_tokens\": \"1\"}}", "prompt_tokens" },
		{ HEAD "\"data\": {\"quantity\": 1000000000000001}}", "quantity" },
		{ HEAD "\"data\": {\"prompt_tokens\": 1, \"cached_tokens\": 2}}", "cached_tokens" },
		{ HEAD "\"data\": {\"cost_nanos\": 1.5}}", "cost_nanos" },
		{ HEAD "\"data\": {\"cost_nanos\": \"-1\"}}", "cost_nanos" },
		{ HEAD "\"data\": {\"cost_nanos\": \"1.0\"}}", "cost_nanos" },
		{ HEAD "\"data\": {\"model\": 7}}", "model" },
		{ "{\"id\": \"1\", \"source\": \"URN:insula:runs\", \"specversion\": \"1.0\", "
		  "\"type\": \"t\"}",
		    "urn:insula:" },
	};
	size_t i;

	for (i = 0; i < sizeof bad / sizeof *bad; i++) {
		json_decref(cloud(bad[i].text, -1));
		ck_assert_msg(strstr(err, bad[i].says) != NULL, "%s: %s", bad[i].text, err);
	}
}
END_TEST

START_TEST(the_hash_is_that_of_what_the_event_says)
{
	char first[USAGE_HASH_HEX + 1];

	json_decref(cloud(HEAD "\"data\": {\"a\": 1, \"b\": 2}}", 0));
	memcpy(first, ev.hash, sizeof first);
	ck_assert_uint_eq(strlen(first), USAGE_HASH_HEX);
	/* the order of members, extensions: no difference */
	json_decref(cloud(HEAD "\"data\": {\"b\": 2, \"a\": 1}, \"traceparent\": \"x\"}", 0));
	ck_assert_str_eq(ev.hash, first);
	json_decref(cloud(HEAD "\"data\": {\"b\": 2, \"a\": 2}}", 0));
	ck_assert_str_ne(ev.hash, first);
	json_decref(cloud(HEAD "\"subject\": \"s\", \"data\": {\"a\": 1, \"b\": 2}}", 0));
	ck_assert_str_ne(ev.hash, first);
	json_decref(
	    cloud(HEAD "\"time\": \"2026-11-01T00:00:00Z\", \"data\": {\"a\": 1, \"b\": 2}}", 0));
	ck_assert_str_ne(ev.hash, first);
}
END_TEST

static json_t *
sdk(const char *text, int expect)
{
	json_t *j = json_loads(text, 0, NULL);

	ck_assert_ptr_nonnull(j);
	usage_fini(&ev);
	ck_assert_msg(usage_parse(j, NOW, "flow", "run-1", &ev, err) == expect, "%s: %s", text,
	    expect == 0 ? err : "was taken");
	return j;
}

START_TEST(a_run_is_counted_by_model_and_what_is_left)
{
	json_t *j = sdk(
	    "{\"source\": \"urn:insula:runs\", \"id\": \"r\", \"kind\": \"run\", \"time_us\": "
	    "1793491200000001, \"duration_ms\": "
	    "5, "
	    "\"usage\": {\"prompt_tokens\": 100, \"completion_tokens\": 50, \"tool_calls\": 3, "
	    "\"cost_nanos\": 70, \"steps\": 4, \"models\": {\"x\": {\"prompt_tokens\": 60, "
	    "\"completion_tokens\": 50, \"cost_nanos\": 40}, \"y\": {\"prompt_tokens\": 30, "
	    "\"cost_nanos\": 20}}}}",
	    0);

	ck_assert_uint_eq(ev.n_lines, 3);
	ck_assert_int_eq(ev.time_us, NOW + 1);
	ck_assert_str_eq(ev.workflow, "flow");
	ck_assert_str_eq(ev.run_id, "run-1");
	ck_assert_str_eq(lines[0].model, "");
	ck_assert_int_eq(lines[0].counts.prompt_tokens, 10);
	ck_assert_int_eq(lines[0].counts.completion_tokens, 0);
	ck_assert_int_eq(lines[0].counts.tool_calls, 3);
	ck_assert_int_eq(lines[0].counts.duration_ms, 5);
	ck_money(lines[0].reported, "10");
	ck_assert_str_eq(lines[1].model, "x");
	ck_assert_int_eq(lines[1].counts.prompt_tokens, 60);
	json_decref(j);
}
END_TEST

START_TEST(a_run_without_models_and_tools_is_an_event_too)
{
	json_t *j = sdk(
	    "{\"source\": \"urn:insula:runs\", \"id\": \"r\", \"kind\": \"run\", "
	    "\"usage\": {\"prompt_tokens\": 1, \"completion_tokens\": 2, \"cost_nanos\": 0}}",
	    0);

	ck_assert_uint_eq(ev.n_lines, 1);
	ck_assert_int_eq(ev.time_us, NOW);
	json_decref(j);
	json_decref(sdk("{\"source\": \"s\", \"id\": \"r\", \"kind\": \"run\"}", 0));
	json_decref(sdk("{\"source\": \"s\", \"id\": \"r\"}", -1));
	json_decref(sdk("{\"source\": \"s\", \"id\": \"r\", \"kind\": \"k\", \"time_us\": 7}", -1));
	json_decref(sdk("{\"source\": \"s\", \"id\": \"r\", \"kind\": \"k\", \"usage\": []}", -1));
}
END_TEST

/* Prices one line with these numbers. */
static const struct usage_line *
priced(const char *model, int64_t tokens, int64_t reported)
{
	static const char text[] =
	    "versions: [{version: v, valid_from: 2020-01-01, models: {known: "
	    "{input: 2000000, output: 0}, free: {input: 0, output: 0}}}]";
	char why[PRICES_ERR_MAX];
	struct prices *p = prices_of(text, why);

	ck_assert_msg(p != NULL, "%s", why);
	memset(lines, 0, sizeof *lines);
	ev.n_lines = 1;
	ev.time_us = NOW;
	lines[0].model = model;
	lines[0].counts.prompt_tokens = tokens;
	lines[0].has_reported = reported >= 0;
	lines[0].reported = reported;
	usage_price(&ev, p);
	prices_free(p);
	return &lines[0];
}

START_TEST(a_model_without_a_price_is_unpriced_and_never_free)
{
	ck_assert_int_eq(priced("unknown", 10, -1)->priced, 0);
	ck_assert_int_eq(priced("unknown", 10, 0)->priced, 0);
	ck_assert_int_eq(priced("", 10, 0)->priced, 0);
	ck_assert_int_eq(priced("unknown", 10, 7)->priced, 1);
	ck_money(lines[0].cost, "7");
	ck_assert_str_eq(lines[0].prices, "reported");
	/* the list has the last word */
	ck_money(priced("known", 10, 7)->cost, "20");
	ck_money(priced("free", 10, 7)->cost, "0");
	ck_assert_int_eq(lines[0].priced, 1);
	/* no tokens, no cost: nothing to price */
	ck_assert_int_eq(priced("unknown", 0, -1)->priced, 1);
	ck_money(lines[0].cost, "0");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("metering");
	TCase *t = tcase_create("all");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_test(t, money_is_printed_as_it_was_read);
	tcase_add_test(t, what_is_no_whole_number_is_no_money);
	tcase_add_test(t, sums_and_products_past_128_bits_are_refused);
	tcase_add_test(t, a_half_goes_to_the_even_neighbour);
	tcase_add_test(t, times_of_rfc_3339_are_read);
	tcase_add_test(t, what_is_no_time_is_refused);
	tcase_add_test(t, the_version_in_force_at_the_time_of_the_event_counts);
	tcase_add_test(t, a_cost_is_rounded_once);
	tcase_add_test(t, a_price_list_with_a_fault_is_refused);
	tcase_add_test(t, a_cloudevent_becomes_a_usage_event);
	tcase_add_test(t, what_is_no_cloudevent_of_ours_is_refused_with_the_reason);
	tcase_add_test(t, the_hash_is_that_of_what_the_event_says);
	tcase_add_test(t, a_run_is_counted_by_model_and_what_is_left);
	tcase_add_test(t, a_run_without_models_and_tools_is_an_event_too);
	tcase_add_test(t, a_model_without_a_price_is_unpriced_and_never_free);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
