/*
 * prices.h: what tokens cost, and since when. Pure; made once, then read only, from any loop.
 *
 * A list has versions. The version in force at an event's time is the last whose valid_from is not
 * later. A model that this version does not name has no price: an older version's would be a guess.
 */
#ifndef METERING_PRICES_H
#define METERING_PRICES_H

#include <jansson.h>

#include "money.h"

#define PRICES_BYTES_MAX (1u << 20) /* of the file */
#define PRICES_VERSIONS_MAX 1000u
#define PRICES_MODELS_MAX 10000u /* of one version */
#define PRICES_PER_MILLION_MAX INT64_C(1000000000000000)
#define PRICES_TOKENS_MAX INT64_C(1000000000000000) /* of one event; times a price: below 2^101 */
#define PRICES_ERR_MAX 256u

struct prices;

/* nano-dollars for a million tokens. cached: of the prompt's tokens those that were in a cache. */
struct price {
	const char *version;
	int64_t input, cached, output;
};

/*
 * {"versions": [{"version": text, "valid_from": RFC 3339 or a date, "models": {NAME: {"input",
 * "output", "cached"? (input)}}}]}, the numbers nano-dollars for a million tokens. NULL and err
 * when it is something else. The tree is borrowed.
 */
struct prices *prices_new(const json_t *, char err[PRICES_ERR_MAX]);
void prices_free(struct prices *);
/* A YAML text to such a tree: maps, lists, text and whole numbers; no anchors, no tags. A new
 * reference, or NULL and err. */
json_t *prices_yaml(const char *p, size_t n, char err[PRICES_ERR_MAX]);

/* 0, or -1 when the model has no price then. */
int prices_find(const struct prices *, const char *model, int64_t time_us, struct price *ret);
/* Whole nano-dollars, rounded once, half to even. cached <= prompt; none above PRICES_TOKENS_MAX.
 */
money prices_cost(const struct price *, int64_t prompt, int64_t cached, int64_t completion);

#endif
