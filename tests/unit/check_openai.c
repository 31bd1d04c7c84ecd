/* check_openai.c: the pure half of plugins/openai: what a request may be, what an answer looks
 * like. */
#include <stdlib.h>
#include <string.h>

#include <insula/insula.h>

#include <check.h> /* after it: defines a macro fail */

#include "plugins/openai/openai_reply.h"
#include "plugins/openai/openai_request.h"

static struct chat_request request;
static struct chat_error err;
static json_t *body;

static void
reset(void)
{
	json_decref(body);
	body = NULL;
}

static int
validate(const char *text)
{
	reset();
	body = json_loads(text, JSON_DECODE_ANY, NULL);
	ck_assert_msg(body != NULL, "%s", text);
	memset(&err, 0, sizeof err);
	return chat_validate(body, &request, &err);
}

#define HI "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"

static void
takes(const char *fields)
{
	char text[2048];

	snprintf(text, sizeof text, "{\"model\":\"m\"," HI "%s%s}", *fields ? "," : "", fields);
	ck_assert_msg(validate(text) == 0, "%s: %s", fields, err.text);
}

static void
refuses(const char *fields, const char *param)
{
	char text[2048];

	snprintf(text, sizeof text, "{\"model\":\"m\"," HI ",%s}", fields);
	ck_assert_msg(validate(text) == -1, "%s", fields);
	ck_assert_str_eq(err.param, param);
	ck_assert_str_ne(err.text, "");
}

static void
takes_messages(const char *messages)
{
	char text[2048];

	snprintf(text, sizeof text, "{\"model\":\"m\",\"messages\":%s}", messages);
	ck_assert_msg(validate(text) == 0, "%s: %s", messages, err.text);
}

static void
refuses_messages(const char *messages, const char *param)
{
	char text[2048];

	snprintf(text, sizeof text, "{\"model\":\"m\",\"messages\":%s}", messages);
	ck_assert_msg(validate(text) == -1, "%s", messages);
	ck_assert_str_eq(err.param, param);
}

/* ---------------------------------------------------------------- requests */

START_TEST(smallest_request_is_taken)
{
	takes("");
	ck_assert_str_eq(request.model, "m");
	ck_assert_int_eq(request.stream, 0);
	ck_assert_int_eq(request.include_usage, 0);
	ck_assert_uint_eq(request.input_chars, 2);
}
END_TEST

START_TEST(model_and_messages_are_required)
{
	ck_assert_int_eq(validate("{" HI "}"), -1);
	ck_assert_str_eq(err.param, "model");
	ck_assert_int_eq(validate("{\"model\":null," HI "}"), -1);
	ck_assert_str_eq(err.param, "model");
	ck_assert_int_eq(validate("{\"model\":\"\"," HI "}"), -1);
	ck_assert_str_eq(err.param, "model");
	ck_assert_int_eq(validate("{\"model\":\"m\"}"), -1);
	ck_assert_str_eq(err.param, "messages");
	refuses_messages("[]", "messages");
	refuses_messages("null", "messages");
	refuses_messages("\"hi\"", "messages");
}
END_TEST

START_TEST(body_that_is_no_object_is_refused)
{
	ck_assert_int_eq(validate("[]"), -1);
	ck_assert_int_eq(validate("\"x\""), -1);
	ck_assert_int_eq(validate("null"), -1);
	ck_assert_str_eq(err.param, "");
}
END_TEST

START_TEST(numbers_have_bounds)
{
	takes("\"temperature\":0");
	takes("\"temperature\":2");
	takes("\"temperature\":null");
	refuses("\"temperature\":2.01", "temperature");
	refuses("\"temperature\":-0.1", "temperature");
	refuses("\"temperature\":\"1\"", "temperature");
	refuses("\"top_p\":1.5", "top_p");
	refuses("\"max_tokens\":0", "max_tokens");
	refuses("\"max_tokens\":1.5", "max_tokens");
	refuses("\"max_completion_tokens\":-1", "max_completion_tokens");
	refuses("\"max_tokens\":1,\"max_completion_tokens\":1", "max_tokens");
	takes("\"n\":1");
	refuses("\"n\":2", "n");
	ck_assert_str_eq(err.text, "Invalid value for 'n': it must be 1.");
}
END_TEST

START_TEST(unknown_fields_are_refused_with_their_place)
{
	refuses("\"temprature\":1", "temprature");
	ck_assert_str_eq(err.text, "Unknown parameter: 'temprature'.");
	refuses_messages("[{\"role\":\"user\",\"content\":\"x\",\"foo\":1}]", "messages[0].foo");
	refuses("\"stream\":true,\"stream_options\":{\"x\":1}", "stream_options.x");
	/* a name that would match the list of names by its spaces */
	refuses_messages("[{\"role\":\"user\",\"content\":\"x\",\"role content\":1}]",
	    "messages[0].role content");
	refuses_messages("[{\"role\":\"user\",\"content\":\"x\",\"\":1}]", "messages[0].");
}
END_TEST

START_TEST(what_we_do_not_do_is_refused_not_ignored)
{
	refuses("\"logprobs\":true", "logprobs");
	takes("\"logprobs\":false");
	refuses("\"functions\":[]", "functions");
	refuses("\"audio\":{}", "audio");
	refuses("\"modalities\":[\"text\",\"audio\"]", "modalities");
	takes("\"modalities\":[\"text\"]");
	refuses("\"store\":true", "store");
	refuses_messages("[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":"
			 "{\"url\":\"data:\"}}]}]",
	    "messages[0].content[0].type");
}
END_TEST

START_TEST(stream_options_need_a_stream)
{
	takes("\"stream\":true");
	ck_assert_int_eq(request.stream, 1);
	takes("\"stream\":true,\"stream_options\":{\"include_usage\":true}");
	ck_assert_int_eq(request.include_usage, 1);
	takes("\"stream\":true,\"stream_options\":null");
	refuses("\"stream_options\":{\"include_usage\":true}", "stream_options");
	refuses("\"stream\":true,\"stream_options\":{\"include_usage\":1}",
	    "stream_options.include_usage");
	refuses("\"stream\":\"yes\"", "stream");
}
END_TEST

START_TEST(tools_and_stops_have_a_form)
{
	takes("\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]");
	ck_assert_int_eq(request.has_tools, 1);
	refuses("\"tools\":[{\"type\":\"custom\"}]", "tools[0].type");
	refuses("\"tools\":[{\"type\":\"function\"}]", "tools[0].function.name");
	refuses("\"tools\":[7]", "tools[0].type");
	takes("\"stop\":\"x\"");
	takes("\"stop\":[\"a\",\"b\",\"c\",\"d\"]");
	refuses("\"stop\":[\"a\",\"b\",\"c\",\"d\",\"e\"]", "stop");
	refuses("\"stop\":[1]", "stop");
}
END_TEST

START_TEST(messages_have_roles_and_content)
{
	takes_messages(
	    "[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"developer\",\"content\":"
	    "\"d\"},{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
	    "{\"type\":\"text\",\"text\":\"bc\"}]}]");
	ck_assert_uint_eq(request.input_chars, 5);
	refuses_messages("[{\"role\":\"robot\",\"content\":\"x\"}]", "messages[0].role");
	refuses_messages("[{\"role\":\"user system\",\"content\":\"x\"}]", "messages[0].role");
	refuses_messages("[{\"content\":\"x\"}]", "messages[0].role");
	refuses_messages("[7]", "messages[0]");
	refuses_messages("[{\"role\":\"user\"}]", "messages[0].content");
	refuses_messages("[{\"role\":\"user\",\"content\":null}]", "messages[0].content");
	refuses_messages("[{\"role\":\"user\",\"content\":[]}]", "messages[0].content");
	refuses_messages(
	    "[{\"role\":\"user\",\"content\":[\"x\"]}]", "messages[0].content[0].type");
	refuses_messages("[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]",
	    "messages[0].content[0].text");
	refuses_messages(
	    "[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"tool\",\"content\":\"y\"}]",
	    "messages[1].tool_call_id");
	refuses_messages("[{\"role\":\"assistant\",\"content\":null}]", "messages[0].content");
}
END_TEST

START_TEST(answer_may_be_sent_back_as_history)
{
	takes_messages(
	    "[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":null,"
	    "\"refusal\":null,\"annotations\":[],\"citations\":[{\"title\":\"t\"}],"
	    "\"tool_calls\":[{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\","
	    "\"arguments\":\"{}\"}}]},{\"role\":\"tool\",\"content\":\"r\","
	    "\"tool_call_id\":\"c1\"}]");
	refuses_messages(
	    "[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c\"}]}]",
	    "messages[0].tool_calls[0].type");
}
END_TEST

START_TEST(counts_of_messages_are_bounded)
{
	json_t *messages = json_array(),
	       *one = json_pack("{s:s, s:s}", "role", "user", "content", "x");

	for (unsigned i = 0; i <= CHAT_MESSAGES_MAX; i++)
		json_array_append(messages, one);
	json_decref(one);
	reset();
	body = json_pack("{s:s, s:o}", "model", "m", "messages", messages);
	ck_assert_int_eq(chat_validate(body, &request, &err), -1);
	ck_assert_str_eq(err.param, "messages");
	json_array_remove(messages, 0);
	ck_assert_int_eq(chat_validate(body, &request, &err), 0);
}
END_TEST

START_TEST(question_is_the_last_thing_the_user_said)
{
	json_t *query;

	takes_messages(
	    "[{\"role\":\"user\",\"content\":\"one\"},{\"role\":\"user\",\"content\":"
	    "[{\"type\":\"text\",\"text\":\"two\"},{\"type\":\"text\",\"text\":\"three\"}]},"
	    "{\"role\":\"assistant\",\"content\":\"four\"}]");
	query = chat_query(&request);
	ck_assert_str_eq(json_string_value(query), "two\nthree");
	json_decref(query);
	takes_messages("[{\"role\":\"system\",\"content\":\"x\"}]");
	ck_assert_ptr_null(chat_query(&request));
	takes_messages("[{\"role\":\"user\",\"content\":\"\"}]");
	ck_assert_ptr_null(chat_query(&request));
}
END_TEST

START_TEST(model_sees_what_concerns_it_and_no_more)
{
	json_t *in;

	ck_assert_int_eq(
	    validate(
		"{\"model\":\"LLM\",\"messages\":[{\"role\":\"assistant\",\"content\":\"a\","
		"\"citations\":[]},{\"role\":\"user\",\"content\":\"q\"}],\"stream\":true,"
		"\"stream_options\":{\"include_usage\":true},\"user\":\"u\",\"temperature\":0.5,"
		"\"top_p\":null,\"n\":1,\"seed\":7}"),
	    0);
	in = chat_model_input(&request, "big-1");
	ck_assert_str_eq(json_string_value(json_object_get(in, "model")), "big-1");
	ck_assert_uint_eq(json_object_size(in), 4);
	ck_assert(
	    json_object_get(in, "temperature") != NULL && json_object_get(in, "seed") != NULL);
	ck_assert_ptr_null(
	    json_object_get(json_array_get(json_object_get(in, "messages"), 0), "citations"));
	/* the request itself is as it was */
	ck_assert_ptr_nonnull(
	    json_object_get(json_array_get(json_object_get(body, "messages"), 0), "citations"));
	json_decref(in);
}
END_TEST

/* ---------------------------------------------------------------- answers */

static struct reply reply;
static struct text text;

static void
fresh_reply(int with_usage)
{
	free(text.p);
	free(reply.head.p);
	memset(&text, 0, sizeof text);
	memset(&reply, 0, sizeof reply);
	strcpy(reply.id, "chatcmpl-1");
	reply.created = 1750000000;
	reply.model = "m\"1";
	reply.with_usage = with_usage;
}

/* The one frame in the buffer, as JSON. */
static json_t *
frame(void)
{
	json_t *j;

	ck_assert(!text.failed);
	ck_assert_int_eq(memcmp(text.p, "data: ", 6), 0);
	ck_assert_int_eq(memcmp(text.p + text.n - 2, "\n\n", 2), 0);
	ck_assert_ptr_null(memchr(text.p, '\n', text.n - 2));
	j = json_loadb(text.p + 6, text.n - 8, JSON_REJECT_DUPLICATES, NULL);
	ck_assert_ptr_nonnull(j);
	text.n = 0;
	return j;
}

static const json_t *
choice(const json_t *j)
{
	return json_array_get(json_object_get(j, "choices"), 0);
}

static json_t *
common(void)
{
	json_t *j = frame();

	ck_assert_str_eq(json_string_value(json_object_get(j, "id")), "chatcmpl-1");
	ck_assert_str_eq(json_string_value(json_object_get(j, "object")), "chat.completion.chunk");
	ck_assert_int_eq(json_integer_value(json_object_get(j, "created")), 1750000000);
	ck_assert_str_eq(json_string_value(json_object_get(j, "model")), "m\"1");
	return j;
}

START_TEST(chunks_have_the_form_that_clients_expect)
{
	json_t *delta = json_pack("{s:s}", "content", "a\nb\xe2\x80\xa8"), *j;

	fresh_reply(0);
	reply_first_chunk(&text, &reply);
	j = common();
	ck_assert_str_eq(
	    json_string_value(json_object_get(json_object_get(choice(j), "delta"), "role")),
	    "assistant");
	ck_assert(json_is_null(json_object_get(choice(j), "finish_reason")));
	ck_assert_ptr_null(json_object_get(j, "usage"));
	json_decref(j);

	reply_chunk(&text, &reply, delta);
	j = common();
	ck_assert(json_equal(json_object_get(choice(j), "delta"), delta));
	ck_assert(json_is_null(json_object_get(choice(j), "finish_reason")));
	json_decref(j);

	reply_last_chunk(&text, &reply, "length", NULL, NULL);
	j = common();
	ck_assert_uint_eq(json_object_size(json_object_get(choice(j), "delta")), 0);
	ck_assert_str_eq(json_string_value(json_object_get(choice(j), "finish_reason")), "length");
	json_decref(j);
	json_decref(delta);
	fresh_reply(0);
}
END_TEST

START_TEST(usage_is_null_until_the_last_chunk_when_asked_for)
{
	json_t *delta = json_pack("{s:s}", "content", "x"), *j,
	       *usage = json_pack("{s:i, s:i}", "prompt_tokens", 3, "completion_tokens", 4);

	fresh_reply(1);
	reply_chunk(&text, &reply, delta);
	j = common();
	ck_assert(json_is_null(json_object_get(j, "usage")));
	json_decref(j);
	reply_usage_chunk(&text, &reply, usage);
	j = common();
	ck_assert_uint_eq(json_array_size(json_object_get(j, "choices")), 0);
	ck_assert_int_eq(
	    json_integer_value(json_object_get(json_object_get(j, "usage"), "total_tokens")), 7);
	json_decref(j);
	json_decref(delta);
	json_decref(usage);
	fresh_reply(0);
}
END_TEST

START_TEST(last_chunk_carries_citations_and_extras)
{
	json_t *citations = json_pack("[{s:i}]", "marker", 1),
	       *extra = json_pack("{s:{s:s}}", "insula", "run_id", "r"), *j;

	fresh_reply(0);
	reply_last_chunk(&text, &reply, "stop", citations, extra);
	j = common();
	ck_assert(json_equal(json_object_get(j, "citations"), citations));
	ck_assert(json_equal(json_object_get(j, "insula"), json_object_get(extra, "insula")));
	json_decref(j);
	json_decref(citations);
	json_decref(extra);
	fresh_reply(0);
}
END_TEST

START_TEST(error_frame_has_all_four_keys)
{
	const json_t *e;
	json_t *j;

	fresh_reply(0);
	reply_error_frame(&text, -INS_EUPSTREAM, "it broke");
	j = frame();
	e = json_object_get(j, "error");
	ck_assert_str_eq(json_string_value(json_object_get(e, "message")), "it broke");
	ck_assert_str_eq(json_string_value(json_object_get(e, "type")), "server_error");
	ck_assert_str_eq(json_string_value(json_object_get(e, "code")), "upstream_error");
	ck_assert(json_is_null(json_object_get(e, "param")));
	json_decref(j);

	reply_error_frame(&text, INS_EINVAL, "cut in a \xc3"); /* no UTF-8: its own text instead */
	j = frame();
	e = json_object_get(j, "error");
	ck_assert_str_ne(json_string_value(json_object_get(e, "message")), "");
	ck_assert(json_is_null(json_object_get(e, "code")));
	json_decref(j);
	fresh_reply(0);
}
END_TEST

START_TEST(error_names_become_codes)
{
	ck_assert_int_eq(reply_code_named("EUPSTREAM"), INS_EUPSTREAM);
	ck_assert_int_eq(reply_code_named("upstream_error"), INS_EUPSTREAM);
	ck_assert_int_eq(reply_code_named("model_not_found"), INS_EMODEL);
	ck_assert_int_eq(reply_code_named("budget_exceeded"), INS_EINTERNAL);
	ck_assert_int_eq(reply_code_named(NULL), INS_EINTERNAL);
	ck_assert(reply_is_retryable(-INS_ELIMIT));
	ck_assert(!reply_is_retryable(-INS_EINVAL));
	ck_assert(!reply_is_retryable(-INS_ECANCELED));
}
END_TEST

START_TEST(whole_answer_has_the_form_that_clients_expect)
{
	json_t *result = json_pack(
	    "{s:{s:s}, s:[{s:i}]}", "message", "content", "hello", "citations", "marker", 1);
	json_t *j;
	const json_t *message;

	fresh_reply(0);
	j = reply_completion(&reply, result, NULL);
	ck_assert_str_eq(json_string_value(json_object_get(j, "object")), "chat.completion");
	ck_assert_str_eq(json_string_value(json_object_get(choice(j), "finish_reason")), "stop");
	message = json_object_get(choice(j), "message");
	ck_assert_str_eq(json_string_value(json_object_get(message, "role")), "assistant");
	ck_assert_str_eq(json_string_value(json_object_get(message, "content")), "hello");
	ck_assert(json_is_null(json_object_get(message, "refusal")));
	ck_assert_uint_eq(json_array_size(json_object_get(message, "citations")), 1);
	ck_assert_int_eq(
	    json_integer_value(json_object_get(json_object_get(j, "usage"), "total_tokens")), 0);
	json_decref(j);
	json_decref(result);

	result = json_pack("{s:{s:[{s:s}]}, s:s}", "message", "tool_calls", "id", "c1",
	    "finish_reason", "tool_calls");
	j = reply_completion(&reply, result, NULL);
	message = json_object_get(choice(j), "message");
	ck_assert(json_is_null(json_object_get(message, "content")));
	ck_assert_uint_eq(json_array_size(json_object_get(message, "tool_calls")), 1);
	json_decref(j);
	json_decref(result);
}
END_TEST

START_TEST(long_texts_grow_the_buffer)
{
	char *z = malloc(100001);
	json_t *delta, *j;

	memset(z, 'x', 100000);
	z[100000] = '\0';
	delta = json_pack("{s:s}", "content", z);
	fresh_reply(0);
	for (int i = 0; i < 3; i++) {
		reply_chunk(&text, &reply, delta);
		j = common();
		ck_assert(json_equal(json_object_get(choice(j), "delta"), delta));
		json_decref(j);
	}
	json_decref(delta);
	free(z);
	fresh_reply(0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("openai");
	TCase *t = tcase_create("requests");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, NULL, reset);
	tcase_add_test(t, smallest_request_is_taken);
	tcase_add_test(t, model_and_messages_are_required);
	tcase_add_test(t, body_that_is_no_object_is_refused);
	tcase_add_test(t, numbers_have_bounds);
	tcase_add_test(t, unknown_fields_are_refused_with_their_place);
	tcase_add_test(t, what_we_do_not_do_is_refused_not_ignored);
	tcase_add_test(t, stream_options_need_a_stream);
	tcase_add_test(t, tools_and_stops_have_a_form);
	tcase_add_test(t, messages_have_roles_and_content);
	tcase_add_test(t, answer_may_be_sent_back_as_history);
	tcase_add_test(t, counts_of_messages_are_bounded);
	tcase_add_test(t, question_is_the_last_thing_the_user_said);
	tcase_add_test(t, model_sees_what_concerns_it_and_no_more);
	suite_add_tcase(suite, t);

	t = tcase_create("answers");
	tcase_add_test(t, chunks_have_the_form_that_clients_expect);
	tcase_add_test(t, usage_is_null_until_the_last_chunk_when_asked_for);
	tcase_add_test(t, last_chunk_carries_citations_and_extras);
	tcase_add_test(t, error_frame_has_all_four_keys);
	tcase_add_test(t, error_names_become_codes);
	tcase_add_test(t, whole_answer_has_the_form_that_clients_expect);
	tcase_add_test(t, long_texts_grow_the_buffer);
	suite_add_tcase(suite, t);

	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
