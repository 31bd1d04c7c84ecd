/*
 * check_bad_input: bytes that no client of good will sends, to every route that takes a body: each
 * gets a clear error of the right status in the form of an error, nothing is stored by half, and
 * the host lives on.
 *
 * The routes come from the host, so a new one is tried without a change here.
 */
#include "tests/lib/house.h"

#include <check.h>
#include <signal.h>

#include "base/base.h"

#define NOBODY "01900000-0000-7000-8000-00000000dead"
#define DEEP 2000
#define HUGE_BODY (100u << 20)
#define LARGE_DOCUMENT (50u << 20)

static const char plugins[] =
    "  auth: {}\n  hello: {}\n  policy_static: {}\n  openai: {}\n  knowledge: {}\n"
    "  index_local: {}\n  model_extractive: {}\n  runs: {}\n  workflow_faq: {}\n";

static struct client *c;

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

/* ---------------------------------------------------------------- helpers */

static json_t *
routes(void)
{
	json_t *list = house_admin("/routes");

	ck_assert_msg(json_array_size(list) > 0, "the admin socket tells no routes");
	return list;
}

static const char *
get(const json_t *o, const char *name)
{
	return json_string_value(json_object_get(o, name));
}

/* A path for a pattern: ids of nobody. 1 if there was one. */
static int
fill(const char *pattern, char path[256])
{
	size_t n = 0;
	int any = 0;

	while (*pattern != '\0') {
		if (*pattern == '{') {
			any = 1;
			n += (size_t)sprintf(
			    path + n, "%s", strncmp(pattern, "{n}", 3) == 0 ? "1" : NOBODY);
			pattern = strchr(pattern, '}') + 1;
		} else {
			path[n++] = *pattern++;
		}
		path[n] = '\0';
	}
	return any;
}

/* Rows of all tables of tenants, but for events on their way out. */
static long
rows(void)
{
	return atol(servers_sql_super(
	    "SELECT sum((xpath('/row/c/text()', query_to_xml(format('SELECT count(*) AS c FROM "
	    "%%s',"
	    " c.oid::regclass), false, true, '')))[1]::text::bigint)"
	    " FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
	    " WHERE c.relkind = 'r' AND a.attname = 'tenant_id' AND c.relname <> 'outbox'"));
}

/* An error as every client can read it: four members, and words. */
static void
is_error(const struct reply *r, const char *method, const char *path)
{
	const json_t *e = json_object_get(r->json, "error");
	const char *message = json_string_value(json_object_get(e, "message"));

	ck_assert_msg(message != NULL && strlen(message) > 5, "%s %s: %d %.300s", method, path,
	    r->status, r->body);
	ck_assert_msg(json_is_string(json_object_get(e, "type")) &&
		json_object_get(e, "param") != NULL && json_object_get(e, "code") != NULL,
	    "%s %s: %.300s", method, path, r->body);
}

static void
lives(void)
{
	struct client *fresh = house_client(0);

	ck_assert_int_eq(client_get(fresh, "/livez")->status, 200);
	ck_assert_int_eq(kill(house_pid(), 0), 0);
	client_free(fresh);
}

/* ---------------------------------------------------------------- JSON */

static char deep_arrays[2 * DEEP + 1], deep_objects[DEEP * 6 + 2];

static const struct body {
	const char *what, *text;
} bodies[] = {
	{ "no bytes", "" },
	{ "blanks", "  \n " },
	{ "broken JSON", "{\"model\": " },
	{ "no JSON", "hello" },
	{ "two values", "{} {}" },
	{ "a comma too many", "{\"a\":1,}" },
	{ "a number like no other", "{\"a\":1e999999}" },
	{ "lists 2,000 deep", deep_arrays },
	{ "objects 2,000 deep", deep_objects },
	{ "invalid UTF-8", "{\"model\":\"\xff\xfe\"}" },
	{ "an overlong slash", "{\"model\":\"\xc0\xaf\"}" },
	{ "half a surrogate pair", "{\"model\":\"\\ud800\"}" },
	{ "a key twice", "{\"model\":\"a\",\"model\":\"b\"}" },
	{ "a list", "[]" },
	{ "a text", "\"hello\"" },
	{ "a number", "7" },
	{ "null", "null" },
};

/* Routes that take JSON: every POST; PUT sends bytes here. */
START_TEST(what_is_no_json_object_is_refused_by_every_route)
{
	char path[256];
	const struct reply *r;
	json_t *list = routes(), *route;
	size_t i, k;
	long before = rows();
	int ids;

	memset(deep_arrays, '[', DEEP);
	memset(deep_arrays + DEEP, ']', DEEP);
	for (i = 0; i < DEEP; i++)
		memcpy(deep_objects + i * 5, "{\"a\":", 5);
	deep_objects[DEEP * 5] = '1';
	memset(deep_objects + DEEP * 5 + 1, '}', DEEP);
	json_array_foreach(list, i, route)
	{
		if (strcmp(get(route, "method"), "POST") != 0)
			continue;
		ids = fill(get(route, "pattern"), path);
		for (k = 0; k < NELEM(bodies); k++) {
			r = client_post(c, path, bodies[k].text);
			/* a route that acts on an id may look for that first, or take no body */
			ck_assert_msg(r->status == 400 || (ids && r->status == 404),
			    "POST %s with %s: %d %.300s", path, bodies[k].what, r->status, r->body);
			is_error(r, "POST", path);
		}
	}
	json_decref(list);
	ck_assert_int_eq(rows(), before);
	lives();
}
END_TEST

START_TEST(an_unknown_media_type_is_refused)
{
	static const char *const types[] = { "application/xml", "text/csv",
		"application/json-seq" };
	json_t *list = routes(), *route;
	const struct reply *r;
	long before = rows();
	char path[256];
	size_t i, k;
	int ids;

	json_array_foreach(list, i, route)
	{
		if (strcmp(get(route, "method"), "POST") != 0)
			continue;
		ids = fill(get(route, "pattern"), path);
		for (k = 0; k < NELEM(types); k++) {
			r = client_call(c, "POST", path, types[k], "<a/>", 4);
			ck_assert_msg(
			    r->status == 415 || r->status == 400 || (ids && r->status == 404),
			    "POST %s as %s: %d %.300s", path, types[k], r->status, r->body);
			is_error(r, "POST", path);
		}
	}
	json_decref(list);
	ck_assert_int_eq(rows(), before);
}
END_TEST

/* ---------------------------------------------------------------- size */

START_TEST(a_body_of_100_mb_is_refused_by_every_route)
{
	char *body = malloc(HUGE_BODY), path[256];
	json_t *list = routes(), *route;
	const char *method;
	const struct reply *r;
	long before = rows(), rss;
	size_t i;

	memset(body, 'x', HUGE_BODY);
	rss = house_rss();
	json_array_foreach(list, i, route)
	{
		method = get(route, "method");
		if (strcmp(method, "POST") != 0 && strcmp(method, "PUT") != 0)
			continue;
		fill(get(route, "pattern"), path);
		r = client_call(c, method, path, NULL, body, HUGE_BODY);
		ck_assert_msg(
		    r->status == 413, "%s %s: %d %.300s", method, path, r->status, r->body);
		is_error(r, method, path);
	}
	json_decref(list);
	free(body);
	ck_assert_msg(house_rss() - rss < (long)HUGE_BODY / 2, "the bodies were kept");
	ck_assert_int_eq(rows(), before);
	lives();
}
END_TEST

/* libh2o can only reset the stream of a body that is too large: no status, or 413. */
START_TEST(a_body_of_100_mb_over_http2_is_refused)
{
	char *body = malloc(HUGE_BODY);
	const struct reply *r;
	long before = rows();

	memset(body, 'x', HUGE_BODY);
	client_http2(c);
	r = client_call(c, "POST", "/v1/chat/completions", NULL, body, HUGE_BODY);
	ck_assert_msg(r->status == 0 || r->status == 413, "%d %.300s", r->status, r->body);
	free(body);
	ck_assert_int_eq(rows(), before);
	lives();
}
END_TEST

START_TEST(a_document_of_50_mb_in_one_piece_is_refused)
{
	char *body = malloc(LARGE_DOCUMENT + 64);
	const struct reply *r;
	long before = rows();
	size_t n;

	n = (size_t)sprintf(
	    body, "{\"title\":\"large\",\"media_type\":\"text/plain\",\"content\":\"");
	memset(body + n, 'x', LARGE_DOCUMENT - n - 2);
	memcpy(body + LARGE_DOCUMENT - 2, "\"}", 2);
	r = client_call(c, "POST", "/v1/documents", NULL, body, LARGE_DOCUMENT);
	ck_assert_int_eq(r->status, 413);
	is_error(r, "POST", "/v1/documents");
	free(body);
	ck_assert_int_eq(rows(), before);
}
END_TEST

START_TEST(an_empty_document_is_refused)
{
	static const char form[] =
	    "--b\r\nContent-Disposition: form-data; name=\"file\"; "
	    "filename=\"empty.txt\"\r\nContent-Type: text/plain\r\n\r\n\r\n--b--\r\n";
	static const char *const empty[] = { "{}", "{\"title\":\"T\"}",
		"{\"title\":\"T\",\"content\":\"\"}", "{\"title\":\"T\",\"content\":null}",
		"{\"title\":\"T\",\"content\":7}" };
	const struct reply *r;
	long before = rows();
	size_t i;

	for (i = 0; i < NELEM(empty); i++) {
		r = client_post(c, "/v1/documents", empty[i]);
		ck_assert_msg(r->status == 400, "%s: %d %s", empty[i], r->status, r->body);
		is_error(r, "POST", "/v1/documents");
	}
	r = client_call(
	    c, "POST", "/v1/documents", "multipart/form-data; boundary=b", form, sizeof form - 1);
	ck_assert_msg(r->status == 400, "%d %s", r->status, r->body);
	r = client_call(c, "POST", "/v1/documents", "multipart/form-data; boundary=b", "", 0);
	ck_assert_msg(r->status == 400, "%d %s", r->status, r->body);
	ck_assert_int_eq(rows(), before);
}
END_TEST

/* ---------------------------------------------------------------- methods and paths */

START_TEST(a_method_that_a_route_does_not_have_is_a_405_that_says_which)
{
	json_t *list = routes(), *route;
	const struct reply *r;
	char path[256];
	size_t i;

	json_array_foreach(list, i, route)
	{
		fill(get(route, "pattern"), path);
		r = client_call(c, "PATCH", path, NULL, NULL, 0);
		ck_assert_msg(r->status == 405, "PATCH %s: %d", path, r->status);
		ck_assert_ptr_nonnull(strstr(reply_header(r, "allow"), get(route, "method")));
		is_error(r, "PATCH", path);
	}
	json_decref(list);
}
END_TEST

START_TEST(a_path_that_is_none_is_refused)
{
	static const char *const paths[] = { "/", "/v1", "/v1/", "/v1/nothing", "/v1/documents/",
		"/v1/documents/%00", "/v1/documents/%zz", "/v1/documents/%", "/v1/documents/%ff",
		"/v1/documents/not-an-id", "/v1/documents/'%3Bdrop%20table%20documents",
		"/v1/runs/%27%20OR%201=1", "/v1/../../etc/passwd", "//v1/models", "/v1//models",
		"/v1/runs/..%2f..%2fadmin" };
	char *huge = malloc(40001);
	const struct reply *r;
	size_t i;

	for (i = 0; i < NELEM(paths); i++) {
		r = client_get(c, paths[i]);
		ck_assert_msg(r->status == 404 || r->status == 400, "%s: %d %.200s", paths[i],
		    r->status, r->body);
		is_error(r, "GET", paths[i]);
	}
	memset(huge, 'a', 40000);
	huge[0] = '/';
	huge[40000] = '\0';
	r = client_get(c, huge);
	ck_assert_msg(r->status == 0 || (r->status >= 400 && r->status < 500), "%d", r->status);
	free(huge);
	lives();
}
END_TEST

START_TEST(query_values_that_are_none_are_refused)
{
	static const char *const paths[] = { "/v1/runs?limit=-1", "/v1/runs?limit=x",
		"/v1/runs?after=x", "/v1/documents?limit=-1", "/v1/documents?limit=99999999999999",
		"/v1/documents?after=%27", "/v1/documents?status=%ff" };
	const struct reply *r;
	size_t i;

	for (i = 0; i < NELEM(paths); i++) {
		r = client_get(c, paths[i]);
		ck_assert_msg(r->status == 400, "%s: %d %.200s", paths[i], r->status, r->body);
		is_error(r, "GET", paths[i]);
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("bad_input");
	TCase *t = tcase_create("bad_input");
	SRunner *runner;
	int failed;

	house_start(plugins, NULL, SERVERS_PG | SERVERS_NATS);
	tcase_set_timeout(t, 300);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, what_is_no_json_object_is_refused_by_every_route);
	tcase_add_test(t, an_unknown_media_type_is_refused);
	tcase_add_test(t, a_body_of_100_mb_is_refused_by_every_route);
	tcase_add_test(t, a_body_of_100_mb_over_http2_is_refused);
	tcase_add_test(t, a_document_of_50_mb_in_one_piece_is_refused);
	tcase_add_test(t, an_empty_document_is_refused);
	tcase_add_test(t, a_method_that_a_route_does_not_have_is_a_405_that_says_which);
	tcase_add_test(t, a_path_that_is_none_is_refused);
	tcase_add_test(t, query_values_that_are_none_are_refused);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	house_stop();
	return failed != 0;
}
