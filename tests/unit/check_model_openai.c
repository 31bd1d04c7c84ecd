/* check_model_openai: what model_openai judges without a network: its configuration, the request it
 * sends, and every shape of answer and failure. */
#include <insula/insula.h> /* before check.h, which makes a macro of fail */

#include <check.h>
#include <stdlib.h>

#include "plugins/model_openai/model_openai_answer.h"
#include "plugins/model_openai/model_openai_cite.h"
#include "plugins/model_openai/model_openai_conf.h"
#include "plugins/model_openai/model_openai_error.h"
#include "plugins/model_openai/model_openai_request.h"

static json_t *
load(const char *z)
{
	json_error_t e;
	json_t *j = json_loads(z, JSON_DECODE_ANY, &e);

	ck_assert_msg(j != NULL, "%s in %s", e.text, z);
	return j;
}

static void
assert_json(json_t *got, const char *want)
{
	json_t *w = load(want);
	char *z = json_dumps(got, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);

	ck_assert_msg(json_equal(got, w), "got %s, want %s", z, want);
	free(z);
	json_decref(w);
	json_decref(got);
}

/* ---------------------------------------------------------------- configuration */

static void
conf_refused(const char *providers, const char *path, const char *word)
{
	json_t *j = load(providers);
	struct conf conf;
	struct conf_error err;

	ck_assert_int_eq(conf_parse(j, 0, &conf, &err), -1);
	ck_assert_str_eq(err.path, path);
	ck_assert_msg(strstr(err.text, word) != NULL, "\"%s\" does not say \"%s\"", err.text, word);
	ck_assert_ptr_null(strstr(err.text, "secret"));
	json_decref(j);
}

START_TEST(a_provider_gets_its_defaults)
{
	json_t *j = load("[{\"name\":\"p\",\"base_url\":\"https://h/v1//\",\"api_key\":\"k\","
			 "\"models\":[{\"id\":\"m\",\"tier\":\"LLM\"}]}]");
	struct conf conf;
	struct conf_error err;
	const struct model *m;

	ck_assert_int_eq(conf_parse(j, 7, &conf, &err), 0);
	json_decref(j); /* the conf keeps nothing of it */
	m = conf_model(&conf, "m");
	ck_assert_ptr_nonnull(m);
	ck_assert_ptr_null(conf_model(&conf, "n"));
	ck_assert_ptr_null(conf_model(&conf, NULL));
	ck_assert_str_eq(m->upstream, "m");
	ck_assert_str_eq(m->provider->url, "https://h/v1/chat/completions");
	ck_assert_str_eq(m->provider->auth, "Authorization: Bearer k");
	ck_assert_int_eq(m->provider->private_addresses, 0);
	ck_assert_int_eq(m->provider->connect_ms, 5000);
	ck_assert_int_eq(m->provider->max_response, 8 << 20);
	ck_assert_int_eq(m->price_prompt, CONF_PRICE_NONE);
	assert_json(json_incref(conf.list),
	    "[{\"id\":\"m\",\"tier\":\"LLM\",\"owned_by\":\"p\",\"created\":7}]");
	conf_fini(&conf);
}
END_TEST

START_TEST(a_provider_takes_every_option)
{
	json_t *j = load(
	    "[{\"name\":\"p\",\"base_url\":\"http://10.0.0.1:8000\",\"api_key\":\"k\","
	    "\"private_addresses\":true,\"max_response\":\"64k\","
	    "\"timeouts\":{\"connect\":\"250ms\",\"first_byte\":\"2m\",\"idle\":\"7s\","
	    "\"total\":\"1h\"},\"models\":[{\"id\":\"m\",\"upstream_model\":\"u\","
	    "\"tier\":\"SLM_B\",\"price_prompt_nanos\":150,"
	    "\"price_completion_nanos\":0}]}]");
	struct conf conf;
	struct conf_error err;
	const struct model *m;

	ck_assert_int_eq(conf_parse(j, 0, &conf, &err), 0);
	json_decref(j);
	m = conf_model(&conf, "m");
	ck_assert_str_eq(m->upstream, "u");
	ck_assert_int_eq(m->price_prompt, 150);
	ck_assert_int_eq(m->price_completion, 0);
	ck_assert_int_eq(m->provider->private_addresses, 1);
	ck_assert_int_eq(m->provider->connect_ms, 250);
	ck_assert_int_eq(m->provider->first_byte_ms, 120000);
	ck_assert_int_eq(m->provider->idle_ms, 7000);
	ck_assert_int_eq(m->provider->total_ms, 3600000);
	ck_assert_int_eq(m->provider->max_response, 65536);
	conf_fini(&conf);
}
END_TEST

#define P "[{\"name\":\"p\",\"base_url\":\"https://h/v1\",\"api_key\":\"secret\""
#define M ",\"models\":[{\"id\":\"m\",\"tier\":\"LLM\"}]}]"

START_TEST(bad_configuration_is_refused_with_its_place)
{
	conf_refused("[]", "providers", "at least one");
	conf_refused("{}", "providers", "list");
	conf_refused("[{\"base_url\":\"https://h\"" M, "providers[0].name", "required");
	conf_refused("[{\"name\":\"p\"" M, "providers[0].base_url", "required");
	conf_refused(
	    "[{\"name\":\"p\",\"base_url\":\"ftp://h\"" M, "providers[0].base_url", "http");
	conf_refused(
	    "[{\"name\":\"p\",\"base_url\":\"https:///v1\"" M, "providers[0].base_url", "http");
	conf_refused("[{\"name\":\"p\",\"base_url\":\"https://u:secret@h\"" M,
	    "providers[0].base_url", "user name");
	conf_refused(
	    "[{\"name\":\"p\",\"base_url\":\"https://h?x=1\"" M, "providers[0].base_url", "query");
	conf_refused("[{\"name\":\"p\",\"base_url\":\"http://h\",\"api_key\":\"secret\"" M,
	    "providers[0].base_url", "clear text");
	conf_refused("[{\"name\":\"p\",\"base_url\":\"https://h\",\"api_key\":\"secret\\nX: y\"" M,
	    "providers[0].api_key", "control character");
	conf_refused(P ",\"private_addresses\":1" M, "providers[0].private_addresses", "true");
	conf_refused(P ",\"timeouts\":{\"idle\":30}" M, "providers[0].timeouts.idle", "duration");
	conf_refused(
	    P ",\"timeouts\":{\"idle\":\"0s\"}" M, "providers[0].timeouts.idle", "duration");
	conf_refused(P ",\"timeouts\":{\"idle\":\"7h\"}" M, "providers[0].timeouts.idle", "6h");
	conf_refused(
	    P ",\"timeouts\":{\"read\":\"1s\"}" M, "providers[0].timeouts.read", "no such option");
	conf_refused(P ",\"max_response\":\"1k\"" M, "providers[0].max_response", "size");
	conf_refused(P ",\"key\":\"x\"" M, "providers[0].key", "no such option");
	conf_refused(P "}]", "providers[0].models", "at least one");
	conf_refused(P ",\"models\":[{\"id\":\"m\",\"tier\":\"XL\"}]}]",
	    "providers[0].models[0].tier", "SLM_A");
	conf_refused(P ",\"models\":[{\"id\":\"LLM\",\"tier\":\"LLM\"}]}]",
	    "providers[0].models[0].id", "tier");
	conf_refused(P ",\"models\":[{\"id\":\"m\",\"tier\":\"LLM\",\"price_prompt_nanos\":1}]}]",
	    "providers[0].models[0]", "together");
	conf_refused(P ",\"models\":[{\"id\":\"m\",\"tier\":\"LLM\",\"price_prompt_nanos\":-1,"
		       "\"price_completion_nanos\":1}]}]",
	    "providers[0].models[0].price_prompt_nanos", "whole number");
	conf_refused(P ",\"models\":[{\"id\":\"m\",\"tier\":\"LLM\"},{\"id\":\"m\",\"tier\":"
		       "\"LLM\"}]}]",
	    "providers[0].models[1].id", "twice");
}
END_TEST

START_TEST(durations_and_sizes_have_units)
{
	ck_assert_int_eq(conf_duration("250ms"), 250);
	ck_assert_int_eq(conf_duration("2h"), 7200000);
	ck_assert_int_eq(conf_duration("5"), -1);
	ck_assert_int_eq(conf_duration("-5s"), -1);
	ck_assert_int_eq(conf_duration("5 s"), -1);
	ck_assert_int_eq(conf_duration("99999999999999999999s"), -1);
	ck_assert_int_eq(conf_duration("90000000000000000h"), -1);
	ck_assert_int_eq(conf_size("4m"), 4 << 20);
	ck_assert_int_eq(conf_size("17"), 17);
	ck_assert_int_eq(conf_size("4mb"), -1);
	ck_assert_int_eq(conf_size(""), -1);
}
END_TEST

/* ---------------------------------------------------------------- request */

static json_t *
build(const char *in, int stream)
{
	struct request_error err;
	json_t *j = load(in), *body = request_build(j, "up", stream, &err);

	ck_assert_msg(body != NULL, "%s", err.text);
	json_decref(j);
	return body;
}

static void
request_refused(const char *in, const char *field)
{
	struct request_error err;
	json_t *j = load(in);

	ck_assert_ptr_null(request_build(j, "up", 0, &err));
	ck_assert_str_eq(err.field, field);
	ck_assert(err.text[0] != '\0');
	json_decref(j);
}

START_TEST(a_stream_asks_for_its_usage)
{
	assert_json(build("{\"model\":\"m\",\"stream_options\":{\"include_usage\":false},"
			  "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
			1),
	    "{\"model\":\"up\",\"stream\":true,\"stream_options\":{\"include_usage\":true},"
	    "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}");
}
END_TEST

START_TEST(what_could_steer_the_provider_is_left_out)
{
	assert_json(
	    build("{\"model\":\"m\",\"temperature\":0.5,\"stop\":null,\"tools\":[{}],\"n\":1,"
		  "\"api_base\":\"http://evil\",\"api_key\":\"x\",\"store\":true,"
		  "\"service_tier\":\"priority\",\"stream\":true,"
		  "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
		0),
	    "{\"model\":\"up\",\"stream\":false,\"temperature\":0.5,\"tools\":[{}],"
	    "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}");
}
END_TEST

START_TEST(passages_become_a_system_message)
{
	json_t *body = build("{\"messages\":[{\"role\":\"user\",\"content\":\"q\"}],\"passages\":["
			     "{\"title\":\"T1\",\"content\":\"first\"},"
			     "{\"content\":\"second\"}]}",
	    0);
	json_t *messages = json_object_get(body, "messages");
	const char *system = json_string_value(
	    json_object_get(json_array_get(messages, 0), "content"));

	ck_assert_uint_eq(json_array_size(messages), 2);
	ck_assert_str_eq(
	    json_string_value(json_object_get(json_array_get(messages, 0), "role")), "system");
	ck_assert_ptr_nonnull(strstr(system, "\n[1] T1\nfirst\n"));
	ck_assert_ptr_nonnull(strstr(system, "\n[2] \nsecond\n"));
	ck_assert_ptr_null(json_object_get(body, "passages"));
	json_decref(body);
}
END_TEST

START_TEST(no_passages_is_said_to_the_model)
{
	json_t *body = build(
	    "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"}],\"passages\":[]}", 0);

	ck_assert_ptr_nonnull(
	    strstr(json_string_value(json_object_get(
		       json_array_get(json_object_get(body, "messages"), 0), "content")),
		"no passages"));
	json_decref(body);
}
END_TEST

START_TEST(passages_are_cut_at_their_limits)
{
	json_t *in = load("{\"messages\":[{\"role\":\"user\"}],\"passages\":[]}");
	json_t *list = json_object_get(in, "passages"), *body;
	struct request_error err;
	char *big = calloc(1, 100001);
	int i;

	for (i = 0; i < 40; i++)
		json_array_append_new(list, json_pack("{s:s}", "content", "x"));
	ck_assert_uint_eq(request_passages(in), REQUEST_PASSAGES_MAX);
	json_array_clear(list);
	memset(big, 'x', 100000);
	for (i = 0; i < 4; i++)
		json_array_append_new(list, json_pack("{s:s}", "content", big));
	ck_assert_uint_eq(request_passages(in), 2);
	body = request_build(in, "up", 0, &err);
	ck_assert_ptr_nonnull(body);
	json_decref(body);
	json_decref(in);
	free(big);
}
END_TEST

START_TEST(a_request_without_messages_is_refused)
{
	request_refused("{}", "messages");
	request_refused("{\"messages\":[]}", "messages");
	request_refused("{\"messages\":\"hi\"}", "messages");
	request_refused(
	    "{\"messages\":[{\"role\":\"user\"},{\"content\":\"x\"}]}", "messages[1].role");
	request_refused("{\"messages\":[{\"role\":\"user\"}],\"n\":2}", "n");
}
END_TEST

/* ---------------------------------------------------------------- answer */

static const struct provider provider = { .name = (char *)"p" };
static const struct model free_model = { .id = (char *)"m",
	.provider = &provider,
	.price_prompt = CONF_PRICE_NONE,
	.price_completion = CONF_PRICE_NONE };
static const struct model priced = {
	.id = (char *)"m", .provider = &provider, .price_prompt = 150, .price_completion = 600
};

static enum answer_result
chunk(struct answer *a, const char *z, json_t **ret_delta)
{
	json_t *j = load(z);
	enum answer_result r = answer_chunk(a, j, ret_delta);

	json_decref(j);
	return r;
}

/* Feeds a chunk whose delta the sink should see as `want` (NULL = none). */
static void
says(struct answer *a, const char *z, const char *want)
{
	json_t *delta;
	enum answer_result r = chunk(a, z, &delta);

	ck_assert_msg(r == ANSWER_OK, "%s: %d (%s)", z, (int)r, a->why == NULL ? "" : a->why);
	if (want == NULL)
		ck_assert_ptr_null(delta);
	else
		assert_json(delta, want);
}

static void
is_bad(const char *z, enum answer_result want)
{
	struct answer *a = answer_new(1000);
	json_t *delta;
	enum answer_result r = chunk(a, z, &delta);

	ck_assert_msg(r == want, "%s: %d", z, (int)r);
	ck_assert_ptr_null(delta);
	answer_free(a);
}

#define CHOICE(x) "{\"choices\":[{\"index\":0," x "}]}"

START_TEST(pieces_of_text_are_joined)
{
	struct answer *a = answer_new(1000);

	says(a, CHOICE("\"delta\":{\"role\":\"assistant\",\"content\":\"\"}"), NULL);
	says(a, CHOICE("\"delta\":{\"content\":\"Hal\"},\"finish_reason\":null"),
	    "{\"content\":\"Hal\"}");
	says(a, CHOICE("\"delta\":{\"content\":\"lo\"}"), "{\"content\":\"lo\"}");
	ck_assert_ptr_null(a->finish_reason);
	says(a, CHOICE("\"delta\":{},\"finish_reason\":\"length\""), NULL);
	says(a,
	    "{\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":2,"
	    "\"total_tokens\":999,\"prompt_tokens_details\":{\"cached_tokens\":4},"
	    "\"completion_tokens_details\":{\"reasoning_tokens\":1},\"cost\":5}}",
	    NULL);
	assert_json(answer_result(a, &priced, 100),
	    "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"Hallo\"},"
	    "\"finish_reason\":\"length\",\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":2,"
	    "\"total_tokens\":12,\"prompt_tokens_details\":{\"cached_tokens\":4},"
	    "\"completion_tokens_details\":{\"reasoning_tokens\":1},\"cost_nanos\":2700}}");
	answer_free(a);
}
END_TEST

START_TEST(tool_calls_are_put_together_by_index)
{
	struct answer *a = answer_new(1000);

	says(a,
	    CHOICE("\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c0\",\"type\":\"function\","
		   "\"function\":{\"name\":\"f\",\"arguments\":\"\"},\"x\":1}]}"),
	    "{\"tool_calls\":[{\"index\":0,\"id\":\"c0\",\"type\":\"function\","
	    "\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}");
	says(a,
	    CHOICE(
		"\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"a\"}},"
		"{\"index\":1,\"id\":\"c1\",\"function\":{\"name\":\"g\"}}]}"),
	    "{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"a\"}},"
	    "{\"index\":1,\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"g\"}}]}");
	says(a,
	    CHOICE("\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"\\\":1}"
		   "\"}}]},"
		   "\"finish_reason\":\"tool_calls\""),
	    "{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"\\\":1}\"}}]}");
	assert_json(answer_result(a, &free_model, 8),
	    "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":null,\"tool_calls\":["
	    "{\"id\":\"c0\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":"
	    "\"{\\\"a\\\":1}\"}},"
	    "{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"g\",\"arguments\":\"\"}}"
	    "]},"
	    "\"finish_reason\":\"tool_calls\",\"usage\":{\"prompt_tokens\":2,\"completion_tokens\":"
	    "2,"
	    "\"total_tokens\":4,\"estimated\":true}}");
	answer_free(a);
}
END_TEST

START_TEST(tool_calls_without_an_index_are_told_apart_by_id)
{
	struct answer *a = answer_new(1000);

	says(a,
	    CHOICE("\"delta\":{\"tool_calls\":[{\"id\":\"c0\",\"function\":{\"name\":\"f\","
		   "\"arguments\":\"1\"}},{\"id\":\"c1\",\"function\":{\"name\":\"g\","
		   "\"arguments\":\"2\"}}]}"),
	    "{\"tool_calls\":[{\"index\":0,\"id\":\"c0\",\"type\":\"function\",\"function\":{"
	    "\"name\":"
	    "\"f\",\"arguments\":\"1\"}},{\"index\":1,\"id\":\"c1\",\"type\":\"function\","
	    "\"function\":{\"name\":\"g\",\"arguments\":\"2\"}}]}");
	says(a, CHOICE("\"delta\":{\"tool_calls\":[{\"function\":{\"arguments\":\"3\"}}]}"),
	    "{\"tool_calls\":[{\"index\":1,\"function\":{\"arguments\":\"3\"}}]}");
	ck_assert_uint_eq(a->n_tools, 2);
	ck_assert_str_eq(a->tools[1].arguments.p, "23");
	answer_free(a);
}
END_TEST

START_TEST(a_tool_call_without_a_name_is_malformed)
{
	struct answer *a = answer_new(1000);

	says(a,
	    CHOICE("\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":{"
		   "\"arguments\":\"{}\"}}]},\"finish_reason\":\"tool_calls\""),
	    "{\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"type\":\"function\",\"function\":{"
	    "\"arguments\":\"{}\"}}]}");
	ck_assert_ptr_null(answer_result(a, &free_model, 8));
	ck_assert_ptr_nonnull(a->why);
	answer_free(a);
}
END_TEST

START_TEST(chunks_of_the_wrong_shape_are_malformed)
{
	is_bad("[]", ANSWER_BAD);
	is_bad("7", ANSWER_BAD);
	is_bad("{}", ANSWER_BAD);
	is_bad("{\"choices\":{}}", ANSWER_BAD);
	is_bad("{\"choices\":[7]}", ANSWER_BAD);
	is_bad("{\"choices\":[{}]}", ANSWER_BAD);
	is_bad(CHOICE("\"delta\":[]"), ANSWER_BAD);
	is_bad(CHOICE("\"delta\":{\"content\":7}"), ANSWER_BAD);
	is_bad(CHOICE("\"delta\":{},\"finish_reason\":7"), ANSWER_BAD);
	is_bad(CHOICE("\"delta\":{\"tool_calls\":{}}"), ANSWER_BAD);
	is_bad(CHOICE("\"delta\":{\"tool_calls\":[7]}"), ANSWER_BAD);
	is_bad(CHOICE("\"delta\":{\"tool_calls\":[{\"index\":-1}]}"), ANSWER_BAD);
	is_bad(CHOICE("\"delta\":{\"tool_calls\":[{\"index\":1}]}"), ANSWER_BAD);
	is_bad(CHOICE("\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":7}]}"), ANSWER_BAD);
	is_bad(CHOICE("\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":{}}}]}"),
	    ANSWER_BAD);
	is_bad("{\"error\":{\"message\":\"overloaded\"}}", ANSWER_ERROR);
	is_bad("{\"error\":\"overloaded\",\"choices\":[]}", ANSWER_ERROR);
}
END_TEST

START_TEST(an_answer_past_its_cap_ends)
{
	struct answer *a = answer_new(5);
	json_t *delta;

	says(a, CHOICE("\"delta\":{\"content\":\"12345\"}"), "{\"content\":\"12345\"}");
	ck_assert_int_eq(chunk(a, CHOICE("\"delta\":{\"content\":\"6\"}"), &delta), ANSWER_LARGE);
	ck_assert_ptr_null(delta);
	answer_free(a);
}
END_TEST

START_TEST(usage_that_cannot_be_is_estimated)
{
	static const char *const lies[] = { "-1", "1.5", "\"7\"", "null", "2000000000", "[]" };
	struct answer *a;
	char z[200];
	size_t i;

	for (i = 0; i < sizeof lies / sizeof lies[0]; i++) {
		a = answer_new(1000);
		says(a, CHOICE("\"delta\":{\"content\":\"12345\"},\"finish_reason\":\"stop\""),
		    "{\"content\":\"12345\"}");
		snprintf(z, sizeof z,
		    "{\"choices\":[],\"usage\":{\"prompt_tokens\":%s,\"completion_tokens\":1}}",
		    lies[i]);
		says(a, z, NULL);
		assert_json(answer_result(a, &priced, 9),
		    "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"12345\"},"
		    "\"finish_reason\":\"stop\",\"usage\":{\"prompt_tokens\":3,\"completion_"
		    "tokens\":"
		    "2,\"total_tokens\":5,\"estimated\":true,\"cost_nanos\":1650}}");
		answer_free(a);
	}
}
END_TEST

START_TEST(a_whole_body_gives_the_same_result)
{
	struct answer *a = answer_new(1000);
	json_t *j = load(
	    "{\"id\":\"x\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
	    "\"content\":\"Hi\",\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\","
	    "\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},"
	    "\"finish_reason\":\"tool_calls\"}],"
	    "\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}");

	ck_assert_int_eq(answer_whole(a, j), ANSWER_OK);
	json_decref(j);
	assert_json(answer_as_delta(a),
	    "{\"content\":\"Hi\",\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"type\":\"function\","
	    "\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}");
	assert_json(answer_result(a, &free_model, 1),
	    "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"Hi\",\"tool_"
	    "calls\":[{"
	    "\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}"
	    "]},"
	    "\"finish_reason\":\"tool_calls\",\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":"
	    "2,"
	    "\"total_tokens\":3}}");
	answer_free(a);
	a = answer_new(1000);
	j = load("{\"choices\":[]}");
	ck_assert_int_eq(answer_whole(a, j), ANSWER_BAD);
	json_decref(j);
	answer_free(a);
}
END_TEST

/* ---------------------------------------------------------------- errors */

static struct upstream_error
judge(int status, const char *body, const char *retry)
{
	struct upstream_error e;
	json_t *j = body == NULL ? NULL : load(body);

	error_judge(
	    status, j, retry, retry == NULL ? 0 : strlen(retry), "hush-hush", 784111767, &e);
	json_decref(j);
	return e;
}

START_TEST(statuses_become_our_codes)
{
	ck_assert_int_eq(judge(400, NULL, NULL).code, INS_EINVAL);
	ck_assert_int_eq(judge(422, NULL, NULL).code, INS_EINVAL);
	ck_assert_int_eq(judge(401, NULL, NULL).code, INS_EUPSTREAM);
	ck_assert_int_eq(judge(403, NULL, NULL).code, INS_EUPSTREAM);
	ck_assert_int_eq(judge(404, NULL, NULL).code, INS_EUPSTREAM);
	ck_assert_int_eq(judge(302, NULL, NULL).code, INS_EUPSTREAM);
	ck_assert_int_eq(judge(429, NULL, NULL).code, INS_ELIMIT);
	ck_assert_int_eq(judge(500, NULL, NULL).code, INS_EUPSTREAM);
	ck_assert_int_eq(judge(503, NULL, NULL).code, INS_EUPSTREAM);
	ck_assert_int_eq(judge(504, NULL, NULL).code, INS_ETIMEOUT);
	ck_assert_int_eq(judge(200, "{\"error\":{\"message\":\"x\"}}", NULL).code, INS_EUPSTREAM);
	ck_assert_int_eq(
	    judge(200, "{\"error\":{\"message\":\"x\",\"code\":429}}", NULL).code, INS_ELIMIT);
	ck_assert_int_eq(
	    judge(429, "{\"error\":{\"code\":\"insufficient_quota\"}}", "5").code, INS_EUPSTREAM);
}
END_TEST

START_TEST(retry_after_is_seconds_or_a_date_and_bounded)
{
	ck_assert_int_eq(judge(429, NULL, "7").retry_s, 7);
	ck_assert_int_eq(judge(429, NULL, "0").retry_s, 1);
	ck_assert_int_eq(judge(429, NULL, "-3").retry_s, 1);
	ck_assert_int_eq(judge(429, NULL, "86400").retry_s, 3600);
	ck_assert_int_eq(judge(429, NULL, "Sun, 06 Nov 1994 08:49:37 GMT").retry_s, 10);
	ck_assert_int_eq(judge(429, NULL, "soon").retry_s, 0);
	ck_assert_int_eq(judge(429, NULL, "7 s").retry_s, 0);
	ck_assert_int_eq(judge(429, NULL, "").retry_s, 0);
	ck_assert_int_eq(judge(500, NULL, "7").retry_s, 0);
}
END_TEST

START_TEST(the_providers_sentence_is_found)
{
	ck_assert_str_eq(
	    judge(400, "{\"error\":{\"message\":\"too long\",\"type\":\"t\",\"code\":\"c\"}}", NULL)
		.text,
	    "too long");
	ck_assert_str_eq(judge(400, "{\"error\":{\"type\":\"t\"}}", NULL).reason, "t");
	ck_assert_str_eq(judge(400, "{\"error\":\"plain\"}", NULL).text, "plain");
	ck_assert_str_eq(judge(400, "{\"message\":\"m\"}", NULL).text, "m");
	ck_assert_str_eq(judge(400, "{\"detail\":\"d\"}", NULL).text, "d");
	ck_assert_str_eq(judge(400, "[]", NULL).text, "");
	ck_assert_int_eq(judge(400, "{\"error\":\"plain\"}", NULL).show, 1);
	ck_assert_int_eq(judge(500, "{\"error\":\"plain\"}", NULL).show, 0);
}
END_TEST

START_TEST(no_secret_of_ours_is_repeated)
{
	char out[80], small[12];

	error_redact("Incorrect API key: hush-hush.", "hush-hush", out, sizeof out);
	ck_assert_str_eq(out, "Incorrect API key: [hidden].");
	error_redact("key sk-proj-abc*****xyz is bad", "k1", out, sizeof out);
	ck_assert_str_eq(out, "key [hidden] is bad");
	error_redact("got Bearer abc.def, want more", "", out, sizeof out);
	ck_assert_str_eq(out, "got Bearer [hidden], want more");
	error_redact("header isk_aa_bb\nX", "", out, sizeof out);
	ck_assert_str_eq(out, "header [hidden] X");
	error_redact("12345678\xc3\xa4\xc3\xa4", "", small, sizeof small);
	ck_assert_str_eq(small, "12345678\xc3\xa4");
	error_redact("12345 hush-hush", "hush-hush", small, sizeof small);
	ck_assert_str_eq(small, "12345 ");
}
END_TEST

/* ---------------------------------------------------------------- citations */

static json_t *
cited(const char *text, size_t n)
{
	json_t *passages = load("[{\"document_id\":\"d1\",\"content\":\"c\",\"score\":0.5},"
				"{\"document_id\":\"d2\"},{\"document_id\":\"d3\"}]");
	json_t *list = cite(text, strlen(text), passages, n);

	json_decref(passages);
	return list;
}

START_TEST(markers_name_their_passages)
{
	assert_json(cited("As said [2]. And so [1], again [2].", 3),
	    "[{\"marker\":2,\"document_id\":\"d2\"},"
	    "{\"marker\":1,\"document_id\":\"d1\",\"score\":0.5}]");
	assert_json(cited("both [1, 3]", 3),
	    "[{\"marker\":1,\"document_id\":\"d1\",\"score\":0.5},"
	    "{\"marker\":3,\"document_id\":\"d3\"}]");
}
END_TEST

START_TEST(what_is_no_marker_cites_nothing)
{
	assert_json(cited("", 3), "[]");
	assert_json(
	    cited("[0] [4] [99999999999999999999] [x] [1 [1, two] [] [1,] [,1] [", 3), "[]");
	assert_json(cited("[3]", 2), "[]"); /* the model did not see it */
	assert_json(cited("a[[1]", 3), "[{\"marker\":1,\"document_id\":\"d1\",\"score\":0.5}]");
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("model_openai");
	TCase *t = tcase_create("model_openai");
	SRunner *runner;
	int failed;

	tcase_add_test(t, a_provider_gets_its_defaults);
	tcase_add_test(t, a_provider_takes_every_option);
	tcase_add_test(t, bad_configuration_is_refused_with_its_place);
	tcase_add_test(t, durations_and_sizes_have_units);
	tcase_add_test(t, a_stream_asks_for_its_usage);
	tcase_add_test(t, what_could_steer_the_provider_is_left_out);
	tcase_add_test(t, passages_become_a_system_message);
	tcase_add_test(t, no_passages_is_said_to_the_model);
	tcase_add_test(t, passages_are_cut_at_their_limits);
	tcase_add_test(t, a_request_without_messages_is_refused);
	tcase_add_test(t, pieces_of_text_are_joined);
	tcase_add_test(t, tool_calls_are_put_together_by_index);
	tcase_add_test(t, tool_calls_without_an_index_are_told_apart_by_id);
	tcase_add_test(t, a_tool_call_without_a_name_is_malformed);
	tcase_add_test(t, chunks_of_the_wrong_shape_are_malformed);
	tcase_add_test(t, an_answer_past_its_cap_ends);
	tcase_add_test(t, usage_that_cannot_be_is_estimated);
	tcase_add_test(t, a_whole_body_gives_the_same_result);
	tcase_add_test(t, statuses_become_our_codes);
	tcase_add_test(t, retry_after_is_seconds_or_a_date_and_bounded);
	tcase_add_test(t, the_providers_sentence_is_found);
	tcase_add_test(t, no_secret_of_ours_is_repeated);
	tcase_add_test(t, markers_name_their_passages);
	tcase_add_test(t, what_is_no_marker_cites_nothing);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
