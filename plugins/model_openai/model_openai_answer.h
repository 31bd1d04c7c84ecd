/*
 * model_openai_answer.h: puts a provider's answer together, from the chunks of a stream or from one
 * body, and judges each piece: what does not have the right shape is an error of the provider's,
 * never ours. Pure; parsing the JSON text is the caller's (the host's capped parser).
 */
#ifndef MODEL_OPENAI_ANSWER_H
#define MODEL_OPENAI_ANSWER_H

#include <jansson.h>
#include <stdint.h>

#include "plugins/model_openai/model_openai_buf.h"
#include "plugins/model_openai/model_openai_conf.h"

/* Named limits. */
#define ANSWER_TOOL_CALLS_MAX 128
#define ANSWER_NAME_MAX 256 /* bytes of a tool call's id and name */
/* More in one answer is no count of tokens. With CONF_PRICE_MAX it keeps a cost within 64 bits. */
#define ANSWER_TOKENS_MAX 1000000000LL

enum answer_result {
	ANSWER_OK,
	ANSWER_BAD,   /* not the shape of a chat completion; why says what */
	ANSWER_ERROR, /* the provider says that it failed, inside a 200 */
	ANSWER_LARGE, /* past the cap, or memory is out */
};

struct answer_tool {
	char *id, *name;
	struct buf arguments;
};

struct answer {
	struct buf content;
	struct answer_tool tools[ANSWER_TOOL_CALLS_MAX];
	size_t n_tools;
	const char *finish_reason; /* NULL until told */
	int any;                   /* a choice was seen */
	int has_usage;
	int64_t prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens;
	const char *why; /* of ANSWER_BAD */
	size_t max;
};

/* Heap: the struct is too large for a coroutine's stack. NULL when memory is out. */
struct answer *answer_new(size_t max);
void answer_free(struct answer *);
/* One chunk of a stream. *ret_delta: what the sink should get, a new reference, or NULL. */
enum answer_result answer_chunk(struct answer *, const json_t *chunk, json_t **ret_delta);
/* The body of an answer that was not streamed. */
enum answer_result answer_whole(struct answer *, const json_t *body);
/* The whole message as one delta, for a sink whose provider did not stream; NULL if empty. */
json_t *answer_as_delta(const struct answer *);
/*
 * The result of ins_model.generate, a new reference: NULL when a tool call has no name or id (why
 * says so) or memory is out. Usage that the provider did not tell, or told wrong, is estimated
 * (four bytes a token), since an answer that costs nothing would be an invitation. prompt_bytes:
 * length of the upstream body.
 */
json_t *answer_result(struct answer *, const struct model *, size_t prompt_bytes);

#endif
