/*
 * check_model_call: one exchange with a provider against a scripted transport, piece by piece: what
 * the caller gets, what the task says, and that the connection is closed on every path.
 */
#include <insula/insula.h> /* before check.h, which makes a macro of fail */

#include <check.h>
#include <stdlib.h>

#include "plugins/model_openai/model_openai_call.h"

/* ---------------------------------------------------------------- a host of paper */

struct ins_ctx {
	int code;
	char text[512], detail[1024], field[64];
	int64_t retry_s;
	void *blocks[256];
	size_t n_blocks;
};

/* What the transport does. */
static struct {
	int open_result, status;
	const char *type, *retry_after;
	const char *pieces[32]; /* NULL = the end */
	int end_result;         /* of the read past the last piece */
	size_t at;
	int opened, closed;
	char request[8192], headers[512], url[256];
	uint32_t flags;
	int64_t max_bytes;
} net;

static struct ins_ctx task;
static int sunk, sink_result;
static char sink_text[1024];

static void *
t_alloc(ins_ctx *ctx, size_t n)
{
	void *p = calloc(1, n);

	ck_assert_uint_lt(ctx->n_blocks, 256);
	return ctx->blocks[ctx->n_blocks++] = p;
}

static int
t_fail(ins_ctx *ctx, int code, const char *text)
{
	if (ctx->code == 0) {
		ctx->code = code;
		snprintf(ctx->text, sizeof ctx->text, "%s", text);
	}
	return -code;
}

static void
t_detail(ins_ctx *ctx, const char *text)
{
	snprintf(ctx->detail + strlen(ctx->detail), sizeof ctx->detail - strlen(ctx->detail),
	    "%s; ", text);
}

static void
t_field(ins_ctx *ctx, const char *path)
{
	snprintf(ctx->field, sizeof ctx->field, "%s", path);
}

static void
t_log(ins_ctx *ctx, int level, const char *event, json_t *fields)
{
	json_decref(fields);
}

static const char *
t_traceparent(ins_ctx *ctx)
{
	return "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01";
}

static int64_t
t_now(void)
{
	return 1000000;
}

static int
t_json_parse(ins_ctx *ctx, const char *p, size_t n, json_t **ret)
{
	*ret = json_loadb(p, n, 0, NULL);
	return *ret == NULL ? t_fail(ctx, INS_EINVAL, "line 1 column 1: no JSON") : 0;
}

static const char *
t_last_error(ins_ctx *ctx)
{
	return ctx->text;
}

static void
t_clear_error(ins_ctx *ctx)
{
	ctx->code = 0;
	ctx->text[0] = ctx->detail[0] = ctx->field[0] = '\0';
	ctx->retry_s = 0;
}

static void
t_retry_after(ins_ctx *ctx, int64_t s)
{
	ctx->retry_s = s;
}

static int
t_open(ins_ctx *ctx, const ins_fetch_request *req, ins_fetch **ret)
{
	size_t i;

	snprintf(net.request, sizeof net.request, "%.*s", INS_FMT(req->body));
	snprintf(net.url, sizeof net.url, "%s", req->url);
	net.headers[0] = '\0';
	for (i = 0; req->headers[i] != NULL; i++)
		snprintf(net.headers + strlen(net.headers),
		    sizeof net.headers - strlen(net.headers), "%s\n", req->headers[i]);
	net.flags = req->flags;
	net.max_bytes = req->max_bytes;
	if (net.open_result == -INS_ECANCELED)
		return net.open_result;
	if (net.open_result != 0)
		return t_fail(ctx, -net.open_result, "connect to 10.1.2.3 failed, key k-secret");
	net.opened++;
	*ret = (ins_fetch *)&net;
	return 0;
}

static int
t_status(const ins_fetch *f)
{
	return net.status;
}

static ins_str
t_header(const ins_fetch *f, const char *name)
{
	return ins_s(strcmp(name, "content-type") == 0 ? net.type
		: strcmp(name, "retry-after") == 0     ? net.retry_after
						       : NULL);
}

static int
t_read(ins_ctx *ctx, ins_fetch *f, ins_str *ret)
{
	if (net.pieces[net.at] == NULL)
		return net.end_result;
	*ret = ins_s(net.pieces[net.at++]);
	return 1;
}

static void
t_close(ins_fetch *f)
{
	net.closed++;
}

static const ins_core_api core = { .size = sizeof core,
	.alloc = t_alloc,
	.fail = t_fail,
	.detail = t_detail,
	.field = t_field,
	.log = t_log,
	.traceparent = t_traceparent,
	.now_us = t_now,
	.json_parse = t_json_parse,
	.last_error = t_last_error,
	.clear_error = t_clear_error,
	.retry_after = t_retry_after };
static const ins_fetch_api fetch = { sizeof fetch, t_open, t_status, t_header, t_read, t_close };
static const ins_api api = { .size = sizeof api, .core = &core, .fetch = &fetch };
const ins_api *ins_api_ = &api;

/* ---------------------------------------------------------------- helpers */

static const struct provider provider = { .name = (char *)"acme",
	.url = (char *)"https://h/v1/chat/completions",
	.key = (char *)"k-secret",
	.auth = (char *)"Authorization: Bearer k-secret",
	.max_response = 100000 };
static const struct model model = { .id = (char *)"m",
	.upstream = (char *)"up",
	.tier = "LLM",
	.provider = &provider,
	.price_prompt = CONF_PRICE_NONE,
	.price_completion = CONF_PRICE_NONE };

static int
on_delta(ins_ctx *ctx, void *arg, const json_t *delta)
{
	const char *z = json_string_value(json_object_get(delta, "content"));

	sunk++;
	snprintf(sink_text + strlen(sink_text), sizeof sink_text - strlen(sink_text), "%s",
	    z == NULL ? "" : z);
	return sink_result;
}

static const ins_sink sink = { NULL, on_delta };

static void
setup(void)
{
	memset(&net, 0, sizeof net);
	memset(&task, 0, sizeof task);
	net.status = 200;
	net.type = "text/event-stream; charset=utf-8";
	sunk = sink_result = 0;
	sink_text[0] = '\0';
}

/* Runs and checks that what was opened was closed, and that no secret and no address got out. */
static int
run_in(const char *in, const ins_sink *s, json_t **ret)
{
	json_t *j = json_loads(in, 0, NULL);
	int r = call_generate(&task, &model, j, s, ret);

	json_decref(j);
	while (task.n_blocks > 0)
		free(task.blocks[--task.n_blocks]);
	ck_assert_int_eq(net.opened, net.closed);
	ck_assert_ptr_null(strstr(task.text, "secret"));
	ck_assert_ptr_null(strstr(task.detail, "secret"));
	ck_assert_ptr_null(strstr(task.text, "10.1.2.3"));
	if (r != 0)
		ck_assert_ptr_null(*ret);
	return r;
}

#define QUESTION "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]}"

static void
fails(const ins_sink *s, int code, const char *words)
{
	json_t *result = NULL;
	int r = run_in(QUESTION, s, &result);

	ck_assert_msg(
	    r == -code && task.code == code, "%d (%d %s), not %d", r, task.code, task.text, code);
	ck_assert_msg(
	    strstr(task.text, words) != NULL, "\"%s\" does not say \"%s\"", task.text, words);
}

static void
text_is(json_t *result, const char *want)
{
	ck_assert_str_eq(
	    json_string_value(json_object_get(json_object_get(result, "message"), "content")),
	    want);
}

#define A "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n"
#define B "data: {\"choices\":[{\"delta\":{\"content\":\"b\"}}]}\n\n"
#define STOP "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
#define DONE "data: [DONE]\n\n"

/* ---------------------------------------------------------------- tests */

START_TEST(a_stream_is_delivered_and_put_together)
{
	json_t *result;

	net.pieces[0] = A "data: {\"choi";
	net.pieces[1] = "ces\":[{\"delta\":{\"content\":\"b\"}}]}\n\n" STOP DONE;
	net.pieces[2] = "never read";
	ck_assert_int_eq(run_in(QUESTION, &sink, &result), 0);
	text_is(result, "ab");
	ck_assert_str_eq(sink_text, "ab");
	ck_assert_uint_eq(net.at, 2);
	json_decref(result);
}
END_TEST

START_TEST(the_request_carries_our_key_and_the_trace_and_no_more)
{
	json_t *result;

	net.pieces[0] = A STOP DONE;
	ck_assert_int_eq(run_in(QUESTION, &sink, &result), 0);
	json_decref(result);
	ck_assert_str_eq(net.url, "https://h/v1/chat/completions");
	ck_assert_str_eq(net.headers,
	    "Content-Type: application/json\nAccept: text/event-stream\n"
	    "Authorization: Bearer k-secret\n"
	    "traceparent: 00-0123456789abcdef0123456789abcdef-0123456789abcdef-01\n");
	ck_assert_ptr_nonnull(strstr(net.request, "\"model\":\"up\""));
	ck_assert_ptr_nonnull(strstr(net.request, "\"stream\":true"));
	ck_assert_int_eq(net.flags, 0);
	ck_assert_int_eq(net.max_bytes, 100000);
}
END_TEST

START_TEST(a_cut_stream_is_an_error_after_what_came)
{
	net.pieces[0] = A B;
	net.end_result = -INS_EUPSTREAM;
	fails(&sink, INS_EUPSTREAM, "cut");
	ck_assert_str_eq(sink_text, "ab");
	setup();
	net.pieces[0] = A B; /* a proper end of the transport is none of the answer */
	fails(&sink, INS_EUPSTREAM, "cut");
	ck_assert_str_eq(sink_text, "ab");
}
END_TEST

START_TEST(finish_reason_ends_a_stream_without_done)
{
	static const int ends[] = { 0, -INS_EUPSTREAM, -INS_ETIMEOUT };
	json_t *result;
	size_t i;

	for (i = 0; i < 3; i++) {
		setup();
		net.pieces[0] = A STOP;
		net.end_result = ends[i];
		ck_assert_int_eq(run_in(QUESTION, &sink, &result), 0);
		ck_assert_int_eq(task.code, 0);
		text_is(result, "a");
		json_decref(result);
	}
}
END_TEST

START_TEST(a_last_event_without_blank_line_counts)
{
	json_t *result;

	net.pieces[0] = A "data: {\"choices\":[{\"delta\":{\"content\":\"z\"},"
			  "\"finish_reason\":\"stop\"}]}";
	ck_assert_int_eq(run_in(QUESTION, &sink, &result), 0);
	text_is(result, "az");
	ck_assert_str_eq(sink_text, "az");
	json_decref(result);
}
END_TEST

START_TEST(done_without_any_choice_is_no_answer)
{
	net.pieces[0] = DONE;
	fails(&sink, INS_EUPSTREAM, "empty");
}
END_TEST

START_TEST(a_malformed_stream_is_an_error)
{
	net.pieces[0] = A "data: {\"choices\": [not json\n\n" STOP DONE;
	fails(&sink, INS_EUPSTREAM, "malformed");
	ck_assert_str_eq(sink_text, "a");
	ck_assert_ptr_nonnull(strstr(task.detail, "no JSON"));
	setup();
	net.pieces[0] = "data: {\"choices\":7}\n\n";
	fails(&sink, INS_EUPSTREAM, "malformed");
}
END_TEST

START_TEST(an_error_inside_a_stream_is_one)
{
	net.pieces[0] = A "data: {\"error\":{\"message\":\"overloaded k-secret\"}}\n\n";
	fails(&sink, INS_EUPSTREAM, "failed");
	ck_assert_ptr_nonnull(strstr(task.detail, "overloaded [hidden]"));
	setup();
	net.pieces[0] = "data: {\"error\":{\"message\":\"slow\",\"code\":429}}\n\n";
	fails(&sink, INS_ELIMIT, "too many");
}
END_TEST

START_TEST(a_cancelled_task_stops_at_once_and_silently)
{
	json_t *result;

	net.pieces[0] = A;
	net.end_result = -INS_ECANCELED;
	ck_assert_int_eq(run_in(QUESTION, &sink, &result), -INS_ECANCELED);
	ck_assert_int_eq(task.code, 0);
	setup();
	net.open_result = -INS_ECANCELED;
	ck_assert_int_eq(run_in(QUESTION, &sink, &result), -INS_ECANCELED);
	setup();
	net.status = 500;
	net.end_result = -INS_ECANCELED;
	ck_assert_int_eq(run_in(QUESTION, &sink, &result), -INS_ECANCELED);
}
END_TEST

START_TEST(a_sink_that_refuses_stops_the_generation)
{
	json_t *result;

	net.pieces[0] = A B STOP DONE;
	sink_result = -INS_ECANCELED;
	ck_assert_int_eq(run_in(QUESTION, &sink, &result), -INS_ECANCELED);
	ck_assert_int_eq(sunk, 1);
}
END_TEST

START_TEST(the_transports_failures_get_our_words)
{
	net.open_result = -INS_EUPSTREAM;
	fails(&sink, INS_EUPSTREAM, "acme could not be reached");
	ck_assert_ptr_nonnull(strstr(task.detail, "10.1.2.3"));
	setup();
	net.open_result = -INS_ETIMEOUT;
	fails(&sink, INS_ETIMEOUT, "in time");
	setup();
	net.open_result = -INS_EDENIED; /* a private address: not the client's fault */
	fails(&sink, INS_EUPSTREAM, "could not be reached");
	ck_assert_ptr_nonnull(strstr(task.detail, "private_addresses: true"));
	setup();
	net.pieces[0] = A;
	net.end_result = -INS_ETOOBIG;
	fails(&sink, INS_EUPSTREAM, "too large");
}
END_TEST

START_TEST(statuses_are_judged)
{
	net.type = "application/json";
	net.status = 429;
	net.retry_after = "7";
	net.pieces[0] = "{\"error\":{\"message\":\"slow down\"}}";
	fails(&sink, INS_ELIMIT, "too many");
	ck_assert_int_eq(task.retry_s, 7);
	setup();
	net.status = 401;
	net.pieces[0] = "{\"error\":{\"message\":\"bad key k-secret\"}}";
	fails(&sink, INS_EUPSTREAM, "failed");
	ck_assert_ptr_nonnull(strstr(task.detail, "status 401: bad key [hidden]"));
	setup();
	net.status = 400;
	net.pieces[0] = "{\"error\":{\"message\":\"max_tokens is too large\"}}";
	fails(&sink, INS_EINVAL, "max_tokens is too large");
	setup();
	net.status = 502;
	net.pieces[0] = "<html>";
	fails(&sink, INS_EUPSTREAM, "failed");
	setup();
	net.status = 302;
	fails(&sink, INS_EUPSTREAM, "failed");
}
END_TEST

START_TEST(a_whole_answer_is_read_where_one_comes)
{
	json_t *result;

	net.type = "application/json";
	net.pieces[0] = "{\"choices\":[{\"message\":{\"content\":\"all\"},";
	net.pieces[1] = "\"finish_reason\":\"stop\"}]}";
	ck_assert_int_eq(run_in(QUESTION, NULL, &result), 0);
	ck_assert_ptr_nonnull(strstr(net.request, "\"stream\":false"));
	text_is(result, "all");
	json_decref(result);
	net.at = 0; /* asked for a stream, got a whole: the sink sees it all the same */
	ck_assert_int_eq(run_in(QUESTION, &sink, &result), 0);
	ck_assert_str_eq(sink_text, "all");
	json_decref(result);
}
END_TEST

START_TEST(a_whole_answer_that_is_none_is_an_error)
{
	net.type = "application/json";
	net.pieces[0] = "{\"choices\": [not json";
	fails(NULL, INS_EUPSTREAM, "malformed");
	setup();
	net.type = "application/json";
	net.pieces[0] = "{\"choices\":7}";
	fails(NULL, INS_EUPSTREAM, "malformed");
	setup();
	net.type = "application/json";
	net.pieces[0] = "{\"choices\":";
	net.end_result = -INS_EUPSTREAM;
	fails(NULL, INS_EUPSTREAM, "cut");
	setup();
	net.type = "text/html";
	net.pieces[0] = "<html>";
	fails(NULL, INS_EUPSTREAM, "something else");
}
END_TEST

START_TEST(passages_give_citations)
{
	static const char in[] =
	    "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"q\"}],"
	    "\"passages\":[{\"content\":\"c\",\"document_id\":\"d\"}]}";
	json_t *result, *list;

	net.pieces[0] =
	    "data: {\"choices\":[{\"delta\":{\"content\":\"Yes [1].\"}}]}\n\n" STOP DONE;
	ck_assert_int_eq(run_in(in, &sink, &result), 0);
	list = json_object_get(result, "citations");
	ck_assert_uint_eq(json_array_size(list), 1);
	ck_assert_str_eq(
	    json_string_value(json_object_get(json_array_get(list, 0), "document_id")), "d");
	ck_assert_ptr_null(json_object_get(result, "answered"));
	json_decref(result);
	setup();
	net.pieces[0] = A STOP DONE;
	ck_assert_int_eq(run_in(in, &sink, &result), 0);
	ck_assert(json_is_false(json_object_get(result, "answered")));
	json_decref(result);
}
END_TEST

START_TEST(a_bad_request_never_leaves_the_house)
{
	json_t *result;

	ck_assert_int_eq(run_in("{\"model\":\"m\",\"messages\":[]}", &sink, &result), -INS_EINVAL);
	ck_assert_str_eq(task.field, "messages");
	ck_assert_int_eq(net.opened, 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("model_call");
	TCase *t = tcase_create("model_call");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, a_stream_is_delivered_and_put_together);
	tcase_add_test(t, the_request_carries_our_key_and_the_trace_and_no_more);
	tcase_add_test(t, a_cut_stream_is_an_error_after_what_came);
	tcase_add_test(t, finish_reason_ends_a_stream_without_done);
	tcase_add_test(t, a_last_event_without_blank_line_counts);
	tcase_add_test(t, done_without_any_choice_is_no_answer);
	tcase_add_test(t, a_malformed_stream_is_an_error);
	tcase_add_test(t, an_error_inside_a_stream_is_one);
	tcase_add_test(t, a_cancelled_task_stops_at_once_and_silently);
	tcase_add_test(t, a_sink_that_refuses_stops_the_generation);
	tcase_add_test(t, the_transports_failures_get_our_words);
	tcase_add_test(t, statuses_are_judged);
	tcase_add_test(t, a_whole_answer_is_read_where_one_comes);
	tcase_add_test(t, a_whole_answer_that_is_none_is_an_error);
	tcase_add_test(t, passages_give_citations);
	tcase_add_test(t, a_bad_request_never_leaves_the_house);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
