/*
 * fuzz_answer: what a provider may send as JSON. Each line is one chunk, the last also a whole body
 * and the body of an error; the text that was put together is searched for citations.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/model_openai/model_openai_answer.h"
#include "plugins/model_openai/model_openai_cite.h"
#include "plugins/model_openai/model_openai_error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CAP 2048

static void
one(struct answer *a, const char *p, size_t n)
{
	json_t *chunk = json_loadb(p, n, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL), *delta;
	struct upstream_error e;
	struct answer *w;

	if (chunk == NULL)
		return;
	answer_chunk(a, chunk, &delta);
	assert(a->content.n <= CAP && a->n_tools <= ANSWER_TOOL_CALLS_MAX);
	json_decref(delta);
	w = answer_new(CAP);
	answer_whole(w, chunk);
	json_decref(answer_as_delta(w));
	answer_free(w);
	error_judge(429, chunk, p, n < 40 ? n : 40, "key", 0, &e);
	assert(strstr(e.text, "key") == NULL);
	json_decref(chunk);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct provider provider = { .name = (char *)"p" };
	static const struct model model = { .id = (char *)"m",
		.provider = &provider,
		.price_prompt = CONF_PRICE_MAX,
		.price_completion = CONF_PRICE_MAX };
	const char *p = (const char *)data, *end = p + size, *eol;
	struct answer *a = answer_new(CAP);
	json_t *passages = json_pack("[{}, {}]"), *usage, *result;

	for (; p < end; p = eol == NULL ? end : eol + 1) {
		eol = memchr(p, '\n', (size_t)(end - p));
		one(a, p, (size_t)((eol == NULL ? end : eol) - p));
	}
	result = answer_result(a, &model, size);
	usage = json_object_get(result, "usage");
	assert(result == NULL || json_integer_value(json_object_get(usage, "cost_nanos")) >= 0);
	json_decref(result);
	json_decref(cite(a->content.p == NULL ? "" : a->content.p, a->content.n, passages, 2));
	json_decref(passages);
	answer_free(a);
	return 0;
}
