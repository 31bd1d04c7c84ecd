/*
 * model_openai_conf.h: the providers and models of the configuration, checked and immutable.
 *
 * Owns what it parsed: the strings, the key included, which never leaves these structs but in the
 * Authorization header. Pure; built on the control thread, read by all loops.
 */
#ifndef MODEL_OPENAI_CONF_H
#define MODEL_OPENAI_CONF_H

#include <jansson.h>
#include <stdint.h>

/* Named limits. */
#define CONF_PROVIDERS_MAX 64
#define CONF_MODELS_MAX 1024
#define CONF_ID_MAX 128 /* bytes of a name, a model's id, an upstream name */
#define CONF_TIMEOUT_MAX_MS (6 * 3600 * 1000LL) /* of any phase */
#define CONF_RESPONSE_MIN (4 * 1024LL)
#define CONF_RESPONSE_MAX (256 * 1024 * 1024LL)
#define CONF_PRICE_MAX 1000000000LL /* nano-units a token: one unit of money for one token */

#define CONF_PRICE_NONE (-1)

struct provider {
	char *name;
	char *url;  /* of the chat completions */
	char *key;  /* "" = none */
	char *auth; /* "Authorization: Bearer ...", NULL = none */
	int private_addresses;
	int64_t connect_ms, first_byte_ms, idle_ms, total_ms;
	int64_t max_response; /* bytes */
};

struct model {
	char *id;       /* what clients say */
	char *upstream; /* what the provider says */
	const char *tier;
	const struct provider *provider;
	int64_t price_prompt,
	    price_completion; /* nano-units of money a token, or CONF_PRICE_NONE */
};

struct conf {
	struct provider *providers;
	size_t n_providers;
	struct model *models;
	size_t n_models;
	json_t *list; /* what ins_model.models() gives */
};

/* What is wrong and where ("providers[0].models[2].tier"). */
struct conf_error {
	char path[160], text[240];
};

/* providers: the list of the configuration, borrowed. created: what the models say as theirs, in
 * seconds since 1970. 0, or -1 with err; ret is then empty. */
int conf_parse(const json_t *providers, int64_t created, struct conf *ret, struct conf_error *err);
void conf_fini(struct conf *);
/* NULL when there is no such model. */
const struct model *conf_model(const struct conf *, const char *id);

/* "250ms", "5s", "2m", "1h" to milliseconds; "64k", "4m", "1g" or plain bytes to bytes. -1 when it
 * is neither. */
int64_t conf_duration(const char *z);
int64_t conf_size(const char *z);

#endif
