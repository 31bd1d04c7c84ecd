/*
 * policy_static_rules.h: rules of the configuration that pick model tiers. Pure: the same input and
 * configuration give the same answer, on any thread.
 */
#ifndef POLICY_STATIC_RULES_H
#define POLICY_STATIC_RULES_H

#include <jansson.h>
#include <stdint.h>

/* Named limits. */
#define RULES_MAX 256
#define RULES_NAME_MAX 128 /* bytes of a rule's name, a workflow, a plan */

enum { TIER_SLM_A, TIER_SLM_B, TIER_LLM, TIERS };

/* The tiers to try, in order. */
struct tier_order {
	unsigned n;
	unsigned char tier[TIERS];
};

/* A rule matches when all of its conditions do; bounds are inclusive. */
struct rule {
	const char *name; /* these three: of the configuration, which outlives the rules */
	const char *workflow, *plan; /* NULL = any */
	int64_t min_chars, max_chars;
	int has_confidence; /* a bound was given: an input without a confidence does not match */
	double min_confidence, max_confidence;
	struct tier_order order;
};

struct rules {
	struct rule *rules;
	size_t n;
	struct tier_order dflt; /* when no rule matches */
};

struct rules_error {
	char path[160], text[240];
};

/* list: the rules (NULL = none); tiers: the default order (NULL = SLM_A, SLM_B, LLM). Both borrowed
 * and kept. 0, or -1 with err; ret is then empty. A rule that no input can reach, because the rules
 * before it take all that it matches, is an error: it is a mistake that nobody would see. */
int rules_parse(
    const json_t *list, const json_t *tiers, struct rules *ret, struct rules_error *err);
void rules_fini(struct rules *);

struct rules_input {
	const char *workflow, *plan; /* "" when unknown */
	int64_t chars;
	int has_confidence;
	double confidence;
	int asked; /* a tier, or -1 */
};
/* The first matching rule's order, with the asked tier moved or put to its front. *ret_name: the
 * rule, or "default". */
struct tier_order rules_choose(
    const struct rules *, const struct rules_input *, const char **ret_name);

/* -1 when there is no such tier. */
int tier_parse(const char *z);
const char *tier_name(int tier);

#endif
