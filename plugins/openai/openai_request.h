/* openai_request.h: what a chat completion request may look like. Pure. */
#ifndef OPENAI_REQUEST_H
#define OPENAI_REQUEST_H

#include <jansson.h>
#include <stddef.h>

#define CHAT_MESSAGES_MAX 2048u
#define CHAT_PARTS_MAX 256u      /* of one message */
#define CHAT_TOOLS_MAX 128u      /* OpenAI's */
#define CHAT_TOOL_CALLS_MAX 128u /* of one message */
#define CHAT_STOPS_MAX 4u        /* OpenAI's */
#define CHAT_MODEL_MAX 128u      /* bytes of a model's name */

struct chat_request {
	const json_t *body; /* borrowed, as are the others */
	const char *model;
	int stream, include_usage;
	int has_tools;
	size_t input_chars; /* bytes of text in all messages */
};

struct chat_error {
	char param[96]; /* "messages[0].role"; "" when no one place is at fault */
	char text[256];
};

/* Checks a request body. 0; or -1 and what is wrong with it. Strict: a field that we do not know,
 * or know and could not honour, is an error rather than silently nothing. null is taken as absent
 * where OpenAI's description allows null. */
int chat_validate(const json_t *body, struct chat_request *ret, struct chat_error *err);

/* 1 for a field that a model is given, 0 for one that ends at the gateway. */
int chat_passes_on(const char *field);

/* The text of the last user message (its parts joined by a line end), a new string; NULL when there
 * is none or it is empty. */
json_t *chat_query(const struct chat_request *);

/* The request as a model takes it: without what concerns the transport (stream, stream_options,
 * user ids and the like), without nulls, and without what only we add to messages (citations). A
 * new reference; NULL when there is no memory. */
json_t *chat_model_input(const struct chat_request *, const char *model);

#endif
