/* check_host.c: a whole host with small plugins: the way of a request, what a configuration may not
 * do, and the life of generations. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "plugin/stage.h"
#include "tests/lib/client.h"
#include "tests/lib/host.h"

#include <check.h> /* last: its macro `fail` is a name of ours */

static const char plain[] = "plugins: {anyone: {}, hello: {}, probe: {}}";

static const char *
message(const struct reply *r)
{
	const char *z = json_string_value(
	    json_object_get(json_object_get(r->json, "error"), "message"));

	return z != NULL ? z : "";
}

static const char *
text(const json_t *j, const char *key)
{
	const char *z = json_string_value(json_object_get(j, key));

	return z != NULL ? z : "";
}

START_TEST(hello_greets_in_the_callers_tenant)
{
	struct client *c;
	const struct reply *r;

	host_start("plugins: {anyone: {}, hello: {config: {greeting: Salve}}}");
	c = client_new(host_url(), NULL);
	r = client_get(c, "/v1/hello/Marcus%20A");
	ck_assert_int_eq(r->status, 200);
	ck_assert_str_eq(text(r->json, "greeting"), "Salve");
	ck_assert_str_eq(text(r->json, "name"), "Marcus A");
	ck_assert_str_eq(text(r->json, "tenant"), "00000000-0000-4000-8000-000000000001");
	ck_assert_str_ne(reply_header(r, "x-request-id"), "");
	ck_assert_str_ne(reply_header(r, "openai-processing-ms"), "");
	client_free(c);
	ck_assert_int_eq(host_stop(), 0);
}
END_TEST

START_TEST(routes_are_denied_by_default)
{
	struct client *c;
	const struct reply *r;

	host_start("plugins: {hello: {}}");
	c = client_new(host_url(), NULL);
	r = client_get(c, "/v1/hello/x");
	ck_assert_int_eq(r->status, 401);
	ck_assert_str_ne(reply_header(r, "www-authenticate"), "");
	ck_assert_ptr_null(host_reload(NULL,
	    "plugins: {hello: {}, anyone: {config: {permissions: 'other:read hello:write'}}}"));
	r = client_get(c, "/v1/hello/x");
	ck_assert_int_eq(r->status, 403);
	ck_assert_msg(strstr(message(r), "hello:read") != NULL, "%s", message(r));
	client_free(c);
	ck_assert_int_eq(host_stop(), 0);
}
END_TEST

START_TEST(errors_have_their_status_and_openais_shape)
{
	struct client *c;
	const struct reply *r;

	host_start(plain);
	c = client_new(host_url(), NULL);
	r = client_get(c, "/nowhere");
	ck_assert_int_eq(r->status, 404);
	ck_assert_str_eq(text(json_object_get(r->json, "error"), "type"), "invalid_request_error");
	r = client_post(c, "/v1/hello/x", "{}");
	ck_assert_int_eq(r->status, 405);
	ck_assert_str_eq(reply_header(r, "allow"), "GET");
	r = client_get(c, "/probe/fails");
	ck_assert_int_eq(r->status, 409);
	ck_assert_msg(strstr(message(r), "it is like that already") != NULL, "%s", message(r));
	ck_assert_msg(strstr(message(r), "Try something else.") != NULL, "%s", message(r));
	ck_assert_msg(strstr(r->body, "only for the log") == NULL, "%s", r->body);
	ck_assert_str_eq(text(json_object_get(r->json, "error"), "param"), "a[0].b");
	r = client_get(c, "/probe/silent");
	ck_assert_int_eq(r->status, 500);
	r = client_get(c, "/probe/breaks");
	ck_assert_int_eq(r->cut, 1);
	ck_assert_msg(strstr(r->body, "first") != NULL, "%s", r->body);
	client_free(c);
	ck_assert_int_eq(host_stop(), 0);
}
END_TEST

START_TEST(a_request_carries_ids_parameters_and_headers)
{
	struct client *c;
	const struct reply *r;

	host_start(plain);
	c = client_new(host_url(), NULL);
	r = client_get(c, "/probe/echo/a/b%2Fc?q=1+2&x");
	ck_assert_int_eq(r->status, 200);
	ck_assert_str_eq(text(r->json, "rest"), "a/b/c");
	ck_assert_str_eq(text(r->json, "q"), "1 2");
	ck_assert_str_eq(text(r->json, "user"), "anyone");
	ck_assert_int_eq(strlen(text(r->json, "traceparent")), 55);
	ck_assert_str_eq(text(r->json, "request_id"), reply_header(r, "x-request-id"));
	ck_assert_int_eq(json_integer_value(json_object_get(r->json, "number")), 7);
	client_free(c);
	ck_assert_int_eq(host_stop(), 0);
}
END_TEST

START_TEST(a_deadline_answers_504)
{
	struct client *c;
	const struct reply *r;

	host_start("limits: {request: 150ms}\nplugins: {probe: {}}");
	c = client_new(host_url(), NULL);
	r = client_get(c, "/probe/slow?ms=60000");
	ck_assert_int_eq(r->status, 504);
	client_free(c);
	ck_assert_int_eq(host_stop(), 0);
}
END_TEST

START_TEST(health_and_metrics_are_public)
{
	struct client *c;
	const struct reply *r;

	host_start(plain);
	c = client_new(host_url(), NULL);
	ck_assert_int_eq(client_get(c, "/livez")->status, 200);
	ck_assert_int_eq(client_get(c, "/readyz")->status, 200);
	ck_assert_int_eq(client_get(c, "/v1/hello/x")->status, 200);
	r = client_get(c, "/metrics");
	ck_assert_int_eq(r->status, 200);
	ck_assert_msg(
	    strstr(r->body, "http_requests_total{status=\"200\"} 3") != NULL, "%s", r->body);
	ck_assert_ptr_nonnull(strstr(r->body, "http_request_duration_seconds_bucket"));
	client_free(c);
	ck_assert_int_eq(host_stop(), 0);
}
END_TEST

/* What must not start, and what the sentence says. */
static const struct {
	const char *yaml, *says;
} refused[] = {
	{ "plugins: {probe: {config: {fail: init}}}", "init of probe" },
	{ "plugins:\n  probe:\n    config:\n      number: 13\n      fail: conf",
	    "test.yaml:4: plugins.probe.config.number: 13 is unlucky" },
	{ "plugins: {probe: {config: {fail: start}}}", "start of probe 1.0.0 failed on loop 1" },
	{ "plugins: {probe: {config: {clash: true}}}", "route GET /livez" },
	{ "plugins: {probe: {config: {nmber: 3}}}", "did you mean number?" },
	{ "plugins: {probe: {config: {number: many}}}", "must be a whole number" },
	{ "plugins: {nosuch: {}}", "there is no nosuch.so" },
	{ "plugins: {probe: {caps: [http, db]}}", "caps grants http db" },
	{ "plugins: {anyone: {file: probe.so}}", "it calls itself \"probe\"" },
	{ "plugins: {probe: {file: /etc/passwd}}", "not a shared object" },
	{ "listen: [{address: '127.0.0.1:1', tls: {certificate: /none, key: /none}}]",
	    "listen[0]" },
};

START_TEST(a_bad_plugin_is_refused_with_the_reason)
{
	const char *why = host_try(refused[_i].yaml);

	ck_assert_ptr_nonnull(why);
	ck_assert_msg(strstr(why, refused[_i].says) != NULL, "%s", why);
	ck_assert_uint_eq(stage_opened(), stage_closed());
}
END_TEST

START_TEST(an_optional_plugin_that_fails_is_skipped)
{
	struct client *c;
	json_t *list;
	char *all;

	host_start(
	    "plugins: {anyone: {}, hello: {}, probe: {required: false, config: {fail: start}}}");
	c = client_new(host_url(), NULL);
	ck_assert_int_eq(client_get(c, "/v1/hello/x")->status, 200);
	ck_assert_int_eq(client_get(c, "/probe/silent")->status, 404);
	ck_assert_ptr_nonnull(strstr(
	    client_get(c, "/metrics")->body, "insula_plugins_skipped_total{plugin=\"probe\"} 1"));
	list = host_admin_call("GET", "/plugins");
	all = json_dumps(list, JSON_COMPACT);
	ck_assert_msg(strstr(all, "\"skipped\"") != NULL, "%s", all);
	free(all);
	json_decref(list);
	client_free(c);
	ck_assert_int_eq(host_stop(), 0);
}
END_TEST

START_TEST(a_failed_reload_leaves_the_old_one_serving)
{
	struct client *c;
	const char *why;
	const struct reply *r;

	host_start("plugins: {anyone: {}, probe: {config: {number: 1}}}");
	c = client_new(host_url(), NULL);
	why = host_reload(NULL, "plugins: {anyone: {}, probe: {config: {number: 2, fail: start}}}");
	ck_assert_ptr_nonnull(why);
	why = host_reload(NULL, "plugins: {anyone: {}, probe: {config: {number: [}}}}");
	ck_assert_ptr_nonnull(why);
	ck_assert_msg(strstr(why, "test.yaml:1") != NULL, "%s", why);
	r = client_get(c, "/probe/echo/x");
	ck_assert_int_eq(r->status, 200);
	ck_assert_int_eq(json_integer_value(json_object_get(r->json, "number")), 1);
	ck_assert_ptr_null(
	    host_reload(NULL, "plugins: {anyone: {}, probe: {config: {number: 3}}}"));
	r = client_get(c, "/probe/echo/x");
	ck_assert_int_eq(json_integer_value(json_object_get(r->json, "number")), 3);
	client_free(c);
	ck_assert_int_eq(host_stop(), 0);
}
END_TEST

START_TEST(an_unchanged_plugin_is_shared_and_keeps_its_tasks)
{
	json_t *a, *b;
	uint64_t opened;

	host_start("plugins: {anyone: {}, probe: {config: {background: true}}}");
	opened = stage_opened();
	ck_assert_ptr_null(host_reload(NULL, NULL));
	ck_assert_ptr_null(host_reload("probe", NULL));
	ck_assert_uint_eq(stage_opened(), opened);
	/* Another configuration is another instance of the same image. */
	ck_assert_ptr_null(host_reload(
	    NULL, "plugins: {anyone: {}, probe: {config: {background: true, number: 2}}}"));
	ck_assert_uint_eq(stage_opened(), opened);
	a = host_admin_call("POST", "/plugins/probe/disable");
	ck_assert_ptr_nonnull(a);
	b = host_admin_call("POST", "/plugins/hello/enable");
	ck_assert_ptr_nonnull(b);
	json_decref(a);
	json_decref(b);
	ck_assert_int_eq(host_stop(), 0);
	ck_assert_uint_eq(stage_opened(), stage_closed());
}
END_TEST

START_TEST(leftovers_keep_the_image_mapped_and_are_counted)
{
	host_start("plugins: {probe: {config: {forget: true}}}");
	ck_assert_int_ne(host_stop(), 0);
	ck_assert_uint_eq(stage_leaked(), 1);
	ck_assert_uint_eq(stage_opened(), stage_closed() + 1);
}
END_TEST

START_TEST(requests_in_flight_end_before_the_host_stops)
{
	struct client *c;
	int fd;

	host_start("plugins: {probe: {}}");
	c = client_new(host_url(), NULL);
	ck_assert_int_eq(client_get(c, "/livez")->status, 200);
	fd = client_send_only(c, "/probe/silent", "{}");
	ck_assert_int_eq(client_get(c, "/probe/slow?ms=50")->status, 200);
	close(fd);
	client_free(c);
	ck_assert_int_eq(host_stop(), 0);
}
END_TEST

/* A plugin that lacks a symbol, or whose descriptor is not what its file's name says, is found out
 * here and not by the first who enables it. */
START_TEST(every_plugin_of_this_build_can_be_mapped)
{
	const char *dir = getenv("INSULA_MODULES");
	char err[256], name[256], path[1024];
	struct dirent *entry;
	struct image *image;
	size_t n, seen = 0;
	DIR *d;

	host_start(plain);
	d = opendir(dir);
	ck_assert_ptr_nonnull(d);
	while ((entry = readdir(d)) != NULL) {
		n = strlen(entry->d_name);
		if (n < 4 || strcmp(entry->d_name + n - 3, ".so") != 0)
			continue;
		snprintf(name, sizeof name, "%.*s", (int)n - 3, entry->d_name);
		snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
		image = stage_open(name, path, ~UINT64_C(0), err);
		ck_assert_msg(image != NULL, "%s: %s", name, err);
		ck_assert_str_eq(image->desc.name, name);
		stage_close(image);
		seen++;
	}
	closedir(d);
	ck_assert_uint_ge(seen, 10);
	ck_assert_int_eq(host_stop(), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("host");
	TCase *t = tcase_create("host");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_test(t, hello_greets_in_the_callers_tenant);
	tcase_add_test(t, routes_are_denied_by_default);
	tcase_add_test(t, errors_have_their_status_and_openais_shape);
	tcase_add_test(t, a_request_carries_ids_parameters_and_headers);
	tcase_add_test(t, a_deadline_answers_504);
	tcase_add_test(t, health_and_metrics_are_public);
	tcase_add_loop_test(t, a_bad_plugin_is_refused_with_the_reason, 0, NELEM(refused));
	tcase_add_test(t, an_optional_plugin_that_fails_is_skipped);
	tcase_add_test(t, a_failed_reload_leaves_the_old_one_serving);
	tcase_add_test(t, an_unchanged_plugin_is_shared_and_keeps_its_tasks);
	tcase_add_test(t, leftovers_keep_the_image_mapped_and_are_counted);
	tcase_add_test(t, requests_in_flight_end_before_the_host_stops);
	tcase_add_test(t, every_plugin_of_this_build_can_be_mapped);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
