/* check_usage_events.c: events from outside: POST /v1/usage/events, CloudEvents 1.0. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/usage.h"

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

#define EVENT(id, more) "{" HEAD ", \"id\": \"" id "\"" more "}"
#define DATA(data) ", \"data\": {" data "}"
#define LONG "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

START_TEST(what_is_wrong_with_an_event_is_said)
{
	static const struct {
		const char *event, *says;
	} t[] = {
		{ "{\"specversion\": \"1.0\", \"source\": \"/s\", \"type\": \"t\"}", "id" },
		{ "{\"specversion\": \"1.0\", \"type\": \"t\", \"id\": \"1\"}", "source" },
		{ "{\"specversion\": \"1.0\", \"source\": \"/s\", \"id\": \"1\"}", "type" },
		{ "{\"type\": \"t\", \"source\": \"/s\", \"id\": \"1\"}", "specversion" },
		{ "{\"specversion\": \"0.3\", \"source\": \"/s\", \"type\": \"t\", \"id\": \"1\"}",
		    "specversion" },
		{ "{\"specversion\": 1.0, \"source\": \"/s\", \"type\": \"t\", \"id\": \"1\"}",
		    "specversion" },
		{ "{\"specversion\": \"1.0\", \"source\": \"\", \"type\": \"t\", \"id\": \"1\"}",
		    "source" },
		{ EVENT("", ""), "id" },
		{ EVENT(LONG LONG LONG LONG "+", ""), "id" },
		{ EVENT("w1", ", \"data\": 7"), "data" },
		{ EVENT("w2", ", \"data\": []"), "data" },
		{ EVENT("w3", ", \"data_base64\": \"AA==\""), "data_base64" },
		{ EVENT("w4", ", \"datacontenttype\": \"text/xml\""), "datacontenttype" },
		{ EVENT("w5", DATA("\"quantity\": -1")), "quantity" },
		{ EVENT("w6", DATA("\"quantity\": 1.5")), "quantity" },
		{ EVENT("w7", DATA("\"quantity\": \"1\"")), "quantity" },
		{ EVENT("w8", DATA("\"prompt_tokens\": 9223372036854775807")), "prompt_tokens" },
		{ EVENT("w9", DATA("\"input_tokens\": 1, \"cached_tokens\": 2")), "cached_tokens" },
		{ EVENT("w10", DATA("\"cost_nanos\": -1")), "cost_nanos" },
		{ EVENT("w11", DATA("\"cost_nanos\": \"1e9\"")), "cost_nanos" },
		{ EVENT("w12", DATA("\"cost_nanos\": \"" LONG "\"")), "cost_nanos" },
		{ EVENT("w13", DATA("\"model\": 1")), "model" },
		{ EVENT("w14", DATA("\"model\": \"" LONG LONG "+\"")), "model" },
		{ EVENT("w15", ", \"time\": \"yesterday\""), "time" },
		{ EVENT("w16", ", \"time\": \"1999-12-31T23:59:59Z\""), "time" },
		{ EVENT("w17", ", \"time\": \"2026-02-30T00:00:00Z\""), "time" },
		{ EVENT("w18", ", \"time\": \"2026-02-03 00:00:00\""), "time" },
		{ EVENT("w19", ", \"time\": \"2099-12-31T00:00:00Z\""), "future" },
		{ EVENT("w20", ", \"time\": 7"), "time" },
		{ "7", "object" },
		{ "null", "object" },
		{ "[]", "object" },
	};
	char body[1200];
	const struct reply *r;
	const json_t *result;
	size_t i;

	for (i = 0; i < sizeof t / sizeof *t; i++) {
		snprintf(body, sizeof body, "[%s]", t[i].event);
		r = client_post(c, "/v1/usage/events", body);
		ck_assert_msg(r->status == 207, "%s: %d %s", body, r->status, r->body);
		result = json_array_get(json_object_get(r->json, "results"), 0);
		ck_assert_msg(strcmp(text(result, "status"), "invalid") == 0 &&
			strstr(text(result, "error"), t[i].says) != NULL,
		    "%s: %s", body, r->body);
	}
	ck_assert_int_eq(sql_number("SELECT count(*) FROM usage_keys WHERE source = '/test' AND id "
				    "LIKE 'w%'"),
	    0);
}
END_TEST

START_TEST(what_is_odd_but_right_is_counted)
{
	static const char *const t[] = {
		EVENT("o1", ", \"time\": \"2000-01-01T00:00:00Z\""),
		EVENT("o2", ", \"time\": \"2016-12-31T23:59:60Z\""),
		EVENT("o3", ", \"time\": \"2024-02-29t23:59:59.123456789-12:34\""),
		EVENT("o4", ", \"data\": null"),
		EVENT("o5", ", \"traceparent\": \"x\", \"comexampleextension\": 7"),
		EVENT("o6", ", \"datacontenttype\": \"application/json; charset=utf-8\""),
		EVENT("o7", DATA("\"cost_nanos\": \"999999999999999999999999999999999999\"")),
		EVENT("o8-ü☃😀", ", \"subject\": \"ü\"" DATA("\"model\": \"ü☃😀\"")),
		EVENT("o" LONG LONG LONG "0123456789abcdef0123456789abcdef", ""),
	};
	char body[1200];
	const struct reply *r;
	size_t i;

	for (i = 0; i < sizeof t / sizeof *t; i++) {
		snprintf(body, sizeof body, "[%s, %s]", t[i], t[i]);
		r = client_post(c, "/v1/usage/events", body);
		ck_assert_msg(r->status == 200, "%s: %d %s", body, r->status, r->body);
		ck_assert_int_eq(json_integer_value(json_object_get(r->json, "accepted")), 1);
		ck_assert_int_eq(json_integer_value(json_object_get(r->json, "duplicate")), 1);
	}
	/* on the day of its own time, in UTC */
	ck_assert_str_eq(
	    sql("SELECT (ts AT TIME ZONE 'UTC')::date FROM usage_events WHERE id = 'o3'"),
	    "2024-03-01");
	ck_assert_str_eq(
	    sql("SELECT string_agg(day::text, ' ' ORDER BY day) FROM (SELECT DISTINCT "
		"day FROM usage_rollups WHERE kind = 't' AND day < '2026-01-01') AS d"),
	    "2000-01-01 2017-01-01 2024-03-01");
	r = client_get(c, "/v1/usage?from=2016-12-31&to=2017-01-03&kind=t");
	ck_assert_uint_eq(json_array_size(json_object_get(r->json, "data")), 1);
	r = client_get(c, "/v1/usage?from=2017-01-02&to=2017-01-03&kind=t");
	ck_assert_uint_eq(json_array_size(json_object_get(r->json, "data")), 0);
	r = client_get(c,
	    "/v1/usage?from=2026-01-01&group_by=model&kind=t&model=%C3%BC%E2%98%83%F0%9F"
	    "%98%80");
	ck_assert_uint_eq(json_array_size(json_object_get(r->json, "data")), 1);
}
END_TEST

START_TEST(a_content_type_says_how_many_events_there_are)
{
	static const struct {
		const char *type, *body;
		int status;
	} t[] = {
		{ "application/cloudevents+json", "[]", 400 },
		{ "application/cloudevents-batch+json", "{}", 400 },
		{ "application/cloudevents-batch+json", "[]", 200 },
		{ "Application/CloudEvents-Batch+JSON; charset=utf-8", "[]", 200 },
		{ "application/json", "[]", 200 },
		{ "application/cloudevents+jsonx", "[]", 415 },
		{ "application/cloudevents", "[]", 415 },
	};
	const struct reply *r;
	size_t i;

	for (i = 0; i < sizeof t / sizeof *t; i++) {
		r = client_call(
		    c, "POST", "/v1/usage/events", t[i].type, t[i].body, strlen(t[i].body));
		ck_assert_msg(r->status == t[i].status, "%s %s: %d %s", t[i].type, t[i].body,
		    r->status, r->body);
	}
	/* The binary mode would look like an event without attributes. */
	client_header(c, "ce-specversion: 1.0");
	r = client_post(c, "/v1/usage/events", "{\"quantity\": 1}");
	client_header(c, NULL);
	ck_assert_int_eq(r->status, 415);
	ck_assert_ptr_nonnull(strstr(r->body, "binary mode"));
}
END_TEST

START_TEST(an_event_has_a_largest_size)
{
	static char body[80 << 10];
	const struct reply *r;
	size_t at;

	at = (size_t)snprintf(
	    body, sizeof body, "[{" HEAD ", \"id\": \"big\", \"data\": {\"x\": \"");
	memset(body + at, 'x', 65 << 10);
	strcpy(body + at + (65 << 10), "\"}}]");
	r = client_post(c, "/v1/usage/events", body);
	ck_assert_int_eq(r->status, 207);
	ck_assert_ptr_nonnull(strstr(r->body, "64 KiB"));
	strcpy(body + at + (63 << 10), "\"}}]");
	r = client_post(c, "/v1/usage/events", body);
	ck_assert_msg(r->status == 200, "%d %.200s", r->status, r->body);
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

static void
add(TCase *t)
{
	tcase_add_test(t, an_event_is_counted_once_and_another_with_its_id_is_not);
	tcase_add_test(t, each_event_of_a_batch_has_an_answer_in_its_place);
	tcase_add_test(t, what_is_no_list_of_events_is_refused_whole);
	tcase_add_test(t, what_is_wrong_with_an_event_is_said);
	tcase_add_test(t, what_is_odd_but_right_is_counted);
	tcase_add_test(t, a_content_type_says_how_many_events_there_are);
	tcase_add_test(t, an_event_has_a_largest_size);
	tcase_add_test(t, a_client_cannot_take_the_id_of_a_run);
	tcase_add_test(t, each_route_asks_for_its_own_permission);
	tcase_add_test(t, the_same_id_in_two_tenants_is_two_events);
}

int
main(void)
{
	return usage_main("usage_events", "", add);
}
