/* fuzz_chat.c: a chat completion request of anybody's: judged, and turned into what lies behind. */
#include <assert.h>
#include <string.h>

#include <stdint.h>

#include "plugins/openai/openai_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	json_t *body = json_loadb(
	    (const char *)data, n, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
	struct chat_request request;
	struct chat_error err = { "", "" };
	json_t *in, *query;

	if (body == NULL)
		return 0;
	if (chat_validate(body, &request, &err) == 0) {
		query = chat_query(&request);
		assert(query == NULL || json_string_length(query) > 0);
		json_decref(query);
		in = chat_model_input(&request, "m");
		assert(json_array_size(json_object_get(in, "messages")) > 0);
		json_decref(in);
	} else {
		assert(err.text[0] != '\0');
	}
	json_decref(body);
	return 0;
}
