/*
 * check_models: every behaviour of a provider through POST /v1/chat/completions, streamed and not,
 * with a real host and a real upstream between them.
 */
#include "tests/lib/house.h"

#include <check.h>
#include <unistd.h>

#define KEY "up-key-4f1c9a"

/* Models are named like the behaviours of upstream_script.h. */
static const char *const behaviours[] = { "up-echo", "up-cite", "up-tools", "up-crlf",
	"up-no-stream", "up-no-done", "up-no-usage", "up-bad-usage", "up-status-400",
	"up-status-401", "up-status-404", "up-status-429", "up-status-500", "up-status-502",
	"up-status-503", "up-slow-100", "up-drip-50", "up-hang", "up-hang-mid", "up-cut",
	"up-cut-clean", "up-error-mid", "up-bad-json", "up-bad-shape", "up-bad-http", "up-html",
	"up-huge" };

static struct client *c;
static struct upstream *up;

static void
setup(void)
{
	c = house_client(0);
	up = house_upstream();
}

static void
teardown(void)
{
	client_free(c);
}

static const char *
body_of(const char *model, int stream)
{
	static char z[512];

	snprintf(z, sizeof z,
	    "{\"model\":\"%s\",%s\"messages\":[{\"role\":\"user\",\"content\":\"good day\"}]}",
	    model, stream ? "\"stream\":true,\"stream_options\":{\"include_usage\":true}," : "");
	return z;
}

static const struct reply *
ask(const char *model, int stream)
{
	return client_post(c, "/v1/chat/completions", body_of(model, stream));
}

static const char *
error_code(const json_t *j)
{
	const char *z = json_string_value(json_object_get(json_object_get(j, "error"), "code"));

	return z == NULL ? "" : z;
}

/* A refusal: this status, and an error body with the four members of OpenAI's. */
static void
refused(const char *model, int stream, int status, const char *code)
{
	const struct reply *r = ask(model, stream);
	const json_t *e = json_object_get(r->json, "error");

	ck_assert_msg(r->status == status, "%s: %d %s", model, r->status, r->body);
	ck_assert_msg(json_is_string(json_object_get(e, "message")) &&
		json_is_string(json_object_get(e, "type")) && json_object_get(e, "param") != NULL &&
		json_object_get(e, "code") != NULL,
	    "%s", r->body);
	if (code != NULL)
		ck_assert_str_eq(error_code(r->json), code);
	ck_assert_ptr_null(strstr(r->body, KEY));
}

/* ---------------------------------------------------------------- whole answers */

static const json_t *
message(const struct reply *r)
{
	return json_object_get(json_array_get(json_object_get(r->json, "choices"), 0), "message");
}

static const char *
content(const struct reply *r)
{
	const char *z = json_string_value(json_object_get(message(r), "content"));

	return z == NULL ? "" : z;
}

static long long
usage(const json_t *j, const char *name)
{
	return json_integer_value(json_object_get(json_object_get(j, "usage"), name));
}

START_TEST(an_answer_comes_back_with_its_usage)
{
	const struct reply *r = ask("up-echo", 0);

	ck_assert_int_eq(r->status, 200);
	ck_assert_str_eq(content(r), "You said: good day");
	ck_assert_int_eq(usage(r->json, "prompt_tokens"), 11);
	ck_assert_int_eq(usage(r->json, "completion_tokens"), 7);
	ck_assert_int_eq(usage(r->json, "total_tokens"), 18);
}
END_TEST

START_TEST(tool_calls_come_back)
{
	const struct reply *r = ask("up-tools", 0);
	const json_t *calls = json_object_get(message(r), "tool_calls");
	const json_t *f = json_object_get(json_array_get(calls, 0), "function");

	ck_assert_int_eq(r->status, 200);
	ck_assert_uint_eq(json_array_size(calls), 2);
	ck_assert_str_eq(json_string_value(json_object_get(f, "name")), "weather");
	ck_assert_str_eq(json_string_value(json_object_get(f, "arguments")), "{\"city\":\"Rome\"}");
	ck_assert_str_eq(
	    json_string_value(json_object_get(
		json_array_get(json_object_get(r->json, "choices"), 0), "finish_reason")),
	    "tool_calls");
}
END_TEST

START_TEST(usage_that_nobody_told_is_estimated)
{
	static const char *const models[] = { "up-no-usage", "up-bad-usage" };
	const struct reply *r;
	size_t i;

	for (i = 0; i < 2; i++) {
		r = ask(models[i], 0);
		ck_assert_int_eq(r->status, 200);
		ck_assert_int_eq(usage(r->json, "completion_tokens"), 3); /* "twelve bytes" */
		ck_assert_int_gt(usage(r->json, "prompt_tokens"), 0);
	}
}
END_TEST

START_TEST(a_slow_answer_within_its_time_is_one)
{
	const struct reply *r = ask("up-slow-100", 0);

	ck_assert_int_eq(r->status, 200);
	ck_assert_str_eq(content(r), "slow but here");
}
END_TEST

START_TEST(the_upstream_gets_the_providers_key_and_never_the_tenants)
{
	json_t *stats, *last;
	const char *head;

	ck_assert_int_eq(ask("up-echo", 0)->status, 200);
	stats = upstream_stats(up);
	last = json_object_get(stats, "last");
	ck_assert_str_eq(json_string_value(json_object_get(last, "authorization")), "Bearer " KEY);
	ck_assert_uint_eq(json_string_length(json_object_get(last, "traceparent")), 55);
	head = json_string_value(json_object_get(last, "headers"));
	ck_assert_ptr_nonnull(head);
	ck_assert_ptr_null(strstr(head, house_key(0)));
	ck_assert_ptr_null(strstr(head, "isk_"));
	ck_assert_ptr_null(strstr(head, house_tenant(0)));
	json_decref(stats);
}
END_TEST

/* ---------------------------------------------------------------- streams */

struct stream {
	char text[4096];
	int frames, done, error, after_end, usage;
	char code[64];
};

/* Reads the frames: what was said, and how it ended. */
static struct stream
frames(const struct reply *r)
{
	struct stream s;
	const char *at, *end, *said;
	json_t *j;

	memset(&s, 0, sizeof s);
	for (at = r->body; (end = strstr(at, "\n\n")) != NULL; at = end + 2) {
		if (*at == ':')
			continue;
		ck_assert_msg(strncmp(at, "data: ", 6) == 0, "a frame is no data: %.80s", at);
		s.after_end += s.done || s.error;
		s.frames++;
		at += 6;
		if (strncmp(at, "[DONE]", 6) == 0) {
			s.done = 1;
			continue;
		}
		j = json_loadb(at, (size_t)(end - at), 0, NULL);
		ck_assert_msg(j != NULL, "a frame is no JSON: %.*s", (int)(end - at), at);
		if (json_object_get(j, "error") != NULL) {
			s.error = 1;
			snprintf(s.code, sizeof s.code, "%s", error_code(j));
		}
		said = json_string_value(json_object_get(
		    json_object_get(json_array_get(json_object_get(j, "choices"), 0), "delta"),
		    "content"));
		if (said != NULL)
			snprintf(
			    s.text + strlen(s.text), sizeof s.text - strlen(s.text), "%s", said);
		s.usage += json_is_object(json_object_get(j, "usage"));
		json_decref(j);
	}
	ck_assert_msg(*at == '\0', "a rest that is no frame: %s", at);
	ck_assert_int_eq(s.after_end, 0);
	return s;
}

static void
streams(const char *model, const char *text)
{
	const struct reply *r = ask(model, 1);
	struct stream s;

	ck_assert_msg(r->status == 200 && !r->cut, "%s: %d %s", model, r->status, r->body);
	ck_assert_ptr_nonnull(strstr(reply_header(r, "content-type"), "text/event-stream"));
	s = frames(r);
	ck_assert_str_eq(s.text, text);
	ck_assert_int_eq(s.done, 1);
	ck_assert_int_eq(s.error, 0);
	ck_assert_int_eq(s.usage, 1);
}

START_TEST(a_stream_ends_with_done)
{
	streams("up-echo", "You said: good day");
}
END_TEST

START_TEST(a_stream_in_odd_pieces_is_read)
{
	streams("up-crlf", "in pieces");
}
END_TEST

START_TEST(an_upstream_that_does_not_stream_is_streamed)
{
	streams("up-no-stream", "You said: good day");
}
END_TEST

START_TEST(a_finish_reason_ends_a_stream_too)
{
	streams("up-no-done", "whole without DONE");
}
END_TEST

START_TEST(tool_calls_are_streamed)
{
	const struct reply *r = ask("up-tools", 1);
	struct stream s;

	ck_assert_int_eq(r->status, 200);
	s = frames(r);
	ck_assert_int_eq(s.done, 1);
	ck_assert_ptr_nonnull(strstr(r->body, "\"name\":\"weather\""));
	ck_assert_ptr_nonnull(strstr(r->body, "\"arguments\":\"{\\\"city\\\":\""));
	ck_assert_ptr_nonnull(strstr(r->body, "\"finish_reason\":\"tool_calls\""));
}
END_TEST

/* What began and broke: what came is there, then an error, and above all no [DONE]. */
static void
breaks(const char *model, const char *code)
{
	const struct reply *r = ask(model, 1);
	struct stream s;

	ck_assert_msg(r->status == 200, "%s: %d %s", model, r->status, r->body);
	s = frames(r);
	ck_assert_str_eq(s.text, "half of it");
	ck_assert_msg(s.error == 1 && s.done == 0, "%s: %s", model, r->body);
	ck_assert_str_eq(s.code, code);
	ck_assert_ptr_null(strstr(r->body, "[DONE]"));
	ck_assert_ptr_null(strstr(r->body, KEY));
}

START_TEST(a_cut_stream_ends_with_an_error)
{
	breaks("up-cut", "upstream_error");
}
END_TEST

START_TEST(a_stream_that_just_stops_ends_with_an_error)
{
	breaks("up-cut-clean", "upstream_error");
}
END_TEST

START_TEST(an_error_inside_a_stream_is_told)
{
	breaks("up-error-mid", "upstream_error");
}
END_TEST

START_TEST(a_malformed_stream_ends_with_an_error)
{
	breaks("up-bad-json", "upstream_error");
	breaks("up-bad-shape", "upstream_error");
}
END_TEST

START_TEST(a_stream_that_falls_silent_ends_with_an_error)
{
	breaks("hasty-hang-mid", "timeout");
}
END_TEST

START_TEST(an_endless_stream_is_ended)
{
	const struct reply *r = ask("up-huge", 1);

	ck_assert_int_eq(r->status, 200);
	ck_assert_uint_gt(r->body_n, 100 * 1024);
	ck_assert_uint_lt(r->body_n, 4 * 1024 * 1024);
	ck_assert_ptr_nonnull(strstr(r->body, "\"error\""));
	ck_assert_ptr_null(strstr(r->body, "[DONE]"));
}
END_TEST

/* ---------------------------------------------------------------- refusals */

START_TEST(a_broken_provider_is_a_502)
{
	static const char *const models[] = { "up-status-401", "up-status-404", "up-status-500",
		"up-status-502", "up-status-503", "up-bad-http", "up-html", "closed-echo" };
	size_t i;

	for (i = 0; i < sizeof models / sizeof models[0]; i++) {
		refused(models[i], 0, 502, "upstream_error");
		refused(models[i], 1, 502, "upstream_error"); /* nothing was sent yet */
	}
	refused("up-cut", 0, 502, "upstream_error");
	refused("up-bad-json", 0, 502, "upstream_error");
	refused("up-bad-shape", 0, 502, "upstream_error");
}
END_TEST

START_TEST(too_many_requests_upstream_is_a_429_with_its_retry_after)
{
	int stream;

	for (stream = 0; stream < 2; stream++) {
		refused("up-status-429", stream, 429, "rate_limit_exceeded");
		ck_assert_str_eq(reply_header(ask("up-status-429", stream), "retry-after"), "7");
	}
}
END_TEST

START_TEST(a_request_that_the_provider_refuses_is_a_400_with_its_words)
{
	const struct reply *r = ask("up-status-400", 0);

	ck_assert_int_eq(r->status, 400);
	ck_assert_ptr_nonnull(strstr(r->body, "refused with 400"));
	ck_assert_ptr_null(strstr(r->body, KEY));
}
END_TEST

START_TEST(a_provider_that_is_late_is_a_504)
{
	refused("hasty-hang", 0, 504, "timeout");
	refused("hasty-hang", 1, 504, "timeout");
}
END_TEST

START_TEST(a_private_address_is_refused_unless_opened)
{
	long long before = upstream_count(up, "requests");

	refused("guarded-echo", 0, 502, "upstream_error");
	refused("guarded-echo", 1, 502, "upstream_error");
	ck_assert_int_eq(upstream_count(up, "requests"), before);
}
END_TEST

START_TEST(an_unknown_model_is_a_404)
{
	refused("gpt-of-nobody", 0, 404, "model_not_found");
}
END_TEST

/* ---------------------------------------------------------------- leaving */

static void
upstream_saw_leave(long long before)
{
	char query[64];
	json_t *j;

	snprintf(query, sizeof query, "disconnects=%lld", before + 1);
	j = upstream_wait(up, query);
	ck_assert_msg(j != NULL, "the upstream still works for a client that left");
	json_decref(j);
	j = upstream_wait(up, "active==0");
	ck_assert_ptr_nonnull(j);
	json_decref(j);
}

START_TEST(a_client_that_leaves_before_the_answer_frees_the_upstream)
{
	int stream, fd;
	long long before;
	json_t *j;

	for (stream = 0; stream < 2; stream++) {
		before = upstream_count(up, "disconnects");
		fd = client_send_only(c, "/v1/chat/completions", body_of("up-hang", stream));
		j = upstream_wait(up, "active=1");
		ck_assert_ptr_nonnull(j);
		json_decref(j);
		close(fd);
		upstream_saw_leave(before);
	}
}
END_TEST

START_TEST(a_client_that_leaves_in_the_middle_frees_the_upstream)
{
	long long before = upstream_count(up, "disconnects");
	const struct reply *r = client_post_until(
	    c, "/v1/chat/completions", body_of("up-drip-50", 1), "w02");

	ck_assert_int_eq(r->status, 200);
	ck_assert_ptr_null(strstr(r->body, "[DONE]"));
	upstream_saw_leave(before);
}
END_TEST

/* ---------------------------------------------------------------- the log */

START_TEST(no_key_is_in_the_log)
{
	static const char *const models[] = { "up-status-401", "up-status-500", "up-status-400",
		"guarded-echo", "up-echo" };
	char *log, *secret;
	size_t i;

	for (i = 0; i < sizeof models / sizeof models[0]; i++)
		ask(models[i], 0);
	log = house_log();
	ck_assert_ptr_nonnull(strstr(log, "refused with 500, you sent Bearer [hidden]"));
	ck_assert_ptr_nonnull(strstr(log, "private_addresses: true"));
	ck_assert_ptr_null(strstr(log, KEY));
	secret = strrchr(house_key(0), '_') + 1;
	ck_assert_ptr_null(strstr(log, secret));
	free(log);
}
END_TEST

/* ---------------------------------------------------------------- */

/* The YAML of the plugins: one provider per kind of trouble. */
static char *
plugins(void)
{
	static const char head[] =
	    "  auth: {}\n  policy_static: {}\n  openai: {}\n  model_openai:\n    config:\n"
	    "      providers:\n"
	    "        - name: guarded\n          base_url: %U\n"
	    "          models: [{id: guarded-echo, upstream_model: up-echo, tier: LLM}]\n"
	    "        - name: closed\n          base_url: http://127.0.0.1:1/v1\n"
	    "          private_addresses: true\n"
	    "          models: [{id: closed-echo, upstream_model: up-echo, tier: LLM}]\n"
	    "        - name: hasty\n          base_url: %U\n          private_addresses: true\n"
	    "          timeouts: {first_byte: 500ms, idle: 500ms}\n          models:\n"
	    "            - {id: hasty-hang, upstream_model: up-hang, tier: LLM}\n"
	    "            - {id: hasty-hang-mid, upstream_model: up-hang-mid, tier: LLM}\n"
	    "        - name: up\n          base_url: %U\n          api_key: " KEY "\n"
	    "          private_addresses: true\n          max_response: 512k\n          models:\n";
	size_t i, n = sizeof behaviours / sizeof behaviours[0];
	char *z = malloc(sizeof head + n * 80);

	strcpy(z, head);
	for (i = 0; i < n; i++)
		sprintf(z + strlen(z), "            - {id: %s, tier: SLM_B}\n", behaviours[i]);
	return z;
}

int
main(void)
{
	Suite *suite = suite_create("models");
	TCase *t = tcase_create("models");
	char *yaml = plugins();
	SRunner *runner;
	int failed;

	house_start(yaml, NULL, SERVERS_PG);
	free(yaml);
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, an_answer_comes_back_with_its_usage);
	tcase_add_test(t, tool_calls_come_back);
	tcase_add_test(t, usage_that_nobody_told_is_estimated);
	tcase_add_test(t, a_slow_answer_within_its_time_is_one);
	tcase_add_test(t, the_upstream_gets_the_providers_key_and_never_the_tenants);
	tcase_add_test(t, a_stream_ends_with_done);
	tcase_add_test(t, a_stream_in_odd_pieces_is_read);
	tcase_add_test(t, an_upstream_that_does_not_stream_is_streamed);
	tcase_add_test(t, a_finish_reason_ends_a_stream_too);
	tcase_add_test(t, tool_calls_are_streamed);
	tcase_add_test(t, a_cut_stream_ends_with_an_error);
	tcase_add_test(t, a_stream_that_just_stops_ends_with_an_error);
	tcase_add_test(t, an_error_inside_a_stream_is_told);
	tcase_add_test(t, a_malformed_stream_ends_with_an_error);
	tcase_add_test(t, a_stream_that_falls_silent_ends_with_an_error);
	tcase_add_test(t, an_endless_stream_is_ended);
	tcase_add_test(t, a_broken_provider_is_a_502);
	tcase_add_test(t, too_many_requests_upstream_is_a_429_with_its_retry_after);
	tcase_add_test(t, a_request_that_the_provider_refuses_is_a_400_with_its_words);
	tcase_add_test(t, a_provider_that_is_late_is_a_504);
	tcase_add_test(t, a_private_address_is_refused_unless_opened);
	tcase_add_test(t, an_unknown_model_is_a_404);
	tcase_add_test(t, a_client_that_leaves_before_the_answer_frees_the_upstream);
	tcase_add_test(t, a_client_that_leaves_in_the_middle_frees_the_upstream);
	tcase_add_test(t, no_key_is_in_the_log);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	house_stop();
	return failed != 0;
}
