/*
 * model_openai_request.h: from a chat completion request of ours to the body that a provider gets.
 *
 * Parameters go through an allow-list. A deny-list would let a tenant steer the provider: a proxy
 * in front of the models that honours `api_base` would send our key to wherever the tenant says,
 * and `store` or `service_tier` keep data or spend money that nobody agreed to. Passages become a
 * system message that marks them as data. Pure.
 */
#ifndef MODEL_OPENAI_REQUEST_H
#define MODEL_OPENAI_REQUEST_H

#include <jansson.h>

/* Named limits. */
#define REQUEST_MESSAGES_MAX 4096
#define REQUEST_PASSAGES_MAX 32
#define REQUEST_PASSAGE_BYTES_MAX (256 * 1024) /* of all passages in one request */

/* What is wrong with the request, for the client. */
struct request_error {
	char field[64], text[160];
};

/* The upstream body, a new reference, or NULL with err. in is borrowed. */
json_t *request_build(
    const json_t *in, const char *upstream_model, int stream, struct request_error *err);
/* How many of in's passages the model gets to see; markers above it cite nothing. */
size_t request_passages(const json_t *in);

#endif
