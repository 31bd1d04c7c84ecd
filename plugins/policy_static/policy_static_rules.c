/* policy_static_rules.c: see policy_static_rules.h. */
#include "plugins/policy_static/policy_static_rules.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const tier_names[TIERS] = { "SLM_A", "SLM_B", "LLM" };

static const char *const keys[] = { "name", "workflow", "plan", "min_chars", "max_chars",
	"min_confidence", "max_confidence", "tiers", NULL };

int
tier_parse(const char *z)
{
	int i;

	for (i = 0; z != NULL && i < TIERS; i++)
		if (strcmp(tier_names[i], z) == 0)
			return i;
	return -1;
}

const char *
tier_name(int tier)
{
	return tier_names[tier];
}

static int __attribute__((format(printf, 4, 5)))
wrong(struct rules_error *err, const char *path, const char *key, const char *fmt, ...)
{
	va_list ap;

	snprintf(err->path, sizeof err->path, "%s%s%s", path, key == NULL ? "" : ".",
	    key == NULL ? "" : key);
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof err->text, fmt, ap);
	va_end(ap);
	return -1;
}

static int
parse_order(const json_t *list, const char *path, struct tier_order *ret, struct rules_error *err)
{
	unsigned i, k;
	int tier;

	if (!json_is_array(list) || json_array_size(list) == 0)
		return wrong(err, path, NULL, "must be a list of tiers, first choice first");
	for (i = 0; i < json_array_size(list); i++) {
		tier = tier_parse(json_string_value(json_array_get(list, i)));
		if (tier < 0)
			return wrong(
			    err, path, NULL, "entry %u is none of SLM_A, SLM_B, LLM", i + 1);
		for (k = 0; k < ret->n; k++)
			if (ret->tier[k] == tier)
				return wrong(err, path, NULL, "%s stands twice", tier_names[tier]);
		ret->tier[ret->n++] = (unsigned char)tier;
	}
	return 0;
}

static int
text(const json_t *o, const char *key, const char *path, const char **ret, struct rules_error *err)
{
	const json_t *v = json_object_get(o, key);

	if (v == NULL || json_is_null(v))
		return 0;
	if (!json_is_string(v) || json_string_length(v) == 0 ||
	    json_string_length(v) > RULES_NAME_MAX)
		return wrong(err, path, key, "must be a text of 1 to %d bytes", RULES_NAME_MAX);
	*ret = json_string_value(v);
	return 0;
}

static int
chars(const json_t *o, const char *key, const char *path, int64_t *ret, struct rules_error *err)
{
	const json_t *v = json_object_get(o, key);

	if (v == NULL || json_is_null(v))
		return 0;
	if (!json_is_integer(v) || json_integer_value(v) < 0)
		return wrong(err, path, key, "must be a whole number, 0 or more");
	*ret = json_integer_value(v);
	return 0;
}

static int
confidence(const json_t *o, const char *key, const char *path, struct rule *r, double *ret,
    struct rules_error *err)
{
	const json_t *v = json_object_get(o, key);

	if (v == NULL || json_is_null(v))
		return 0;
	if (!json_is_number(v) || !(json_number_value(v) >= 0 && json_number_value(v) <= 1))
		return wrong(err, path, key, "must be a number from 0 to 1");
	*ret = json_number_value(v);
	r->has_confidence = 1;
	return 0;
}

static int
only_keys(const json_t *o, const char *path, struct rules_error *err)
{
	const char *key;
	json_t *value;
	size_t i;

	json_object_foreach((json_t *)o, key, value)
	{
		for (i = 0; keys[i] != NULL && strcmp(keys[i], key) != 0; i++)
			;
		if (keys[i] == NULL)
			return wrong(err, path, key, "there is no such option");
	}
	return 0;
}

static int
parse_rule(const json_t *o, const char *path, struct rule *r, struct rules_error *err)
{
	char sub[80];

	r->max_chars = INT64_MAX;
	r->max_confidence = 1;
	if (!json_is_object(o))
		return wrong(err, path, NULL, "must be a map with name, conditions and tiers");
	if (only_keys(o, path, err) != 0 || text(o, "name", path, &r->name, err) != 0 ||
	    text(o, "workflow", path, &r->workflow, err) != 0 ||
	    text(o, "plan", path, &r->plan, err) != 0 ||
	    chars(o, "min_chars", path, &r->min_chars, err) != 0 ||
	    chars(o, "max_chars", path, &r->max_chars, err) != 0 ||
	    confidence(o, "min_confidence", path, r, &r->min_confidence, err) != 0 ||
	    confidence(o, "max_confidence", path, r, &r->max_confidence, err) != 0)
		return -1;
	if (r->name == NULL)
		return wrong(err, path, "name", "is required");
	if (strcmp(r->name, "default") == 0)
		return wrong(err, path, "name", "default is what no rule's choice is called");
	if (r->min_chars > r->max_chars)
		return wrong(
		    err, path, "min_chars", "is above max_chars: the rule matches nothing");
	if (r->min_confidence > r->max_confidence)
		return wrong(err, path, "min_confidence",
		    "is above max_confidence: the rule matches nothing");
	snprintf(sub, sizeof sub, "%s.tiers", path);
	return parse_order(json_object_get(o, "tiers"), sub, &r->order, err);
}

static int
matches(const struct rule *r, const struct rules_input *in)
{
	return (r->workflow == NULL || strcmp(r->workflow, in->workflow) == 0) &&
	    (r->plan == NULL || strcmp(r->plan, in->plan) == 0) && in->chars >= r->min_chars &&
	    in->chars <= r->max_chars &&
	    (!r->has_confidence ||
		(in->has_confidence && in->confidence >= r->min_confidence &&
		    in->confidence <= r->max_confidence));
}

static int
any_matches(const struct rule *rules, size_t n, const struct rules_input *in)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (matches(&rules[i], in))
			return 1;
	return 0;
}

/*
 * 1 if rule `at` matches an input that no rule before it does.
 *
 * What the earlier rules leave of a rule's box, if anything, has a corner that lies, in each
 * dimension, at the rule's own minimum or just past an earlier rule's maximum; so trying those
 * corners decides it exactly. A workflow, plan or confidence that the rule does not ask for is
 * tried as one that no rule names ("\1", absent): no other value is matched by fewer rules.
 */
static int
reachable(const struct rule *rules, size_t at)
{
	const struct rule *r = &rules[at];
	struct rules_input in;
	size_t i, k;

	in.workflow = r->workflow == NULL ? "\1" : r->workflow;
	in.plan = r->plan == NULL ? "\1" : r->plan;
	in.has_confidence = r->has_confidence;
	in.asked = -1;
	for (i = 0; i <= at; i++) {
		if (i < at && rules[i].max_chars == INT64_MAX)
			continue;
		in.chars = i == at ? r->min_chars : rules[i].max_chars + 1;
		for (k = 0; k <= at; k++) {
			if (k < at && !r->has_confidence)
				continue;
			in.confidence = k == at ? r->min_confidence
						: nextafter(rules[k].max_confidence, 2);
			if (matches(r, &in) && !any_matches(rules, at, &in))
				return 1;
		}
	}
	return 0;
}

static int
parse_all(const json_t *list, const json_t *tiers, struct rules *ret, struct rules_error *err)
{
	char path[64];
	size_t i, k;

	for (i = 0; tiers == NULL && i < TIERS; i++)
		ret->dflt.tier[ret->dflt.n++] = (unsigned char)i;
	if (tiers != NULL && parse_order(tiers, "tiers", &ret->dflt, err) != 0)
		return -1;
	if (list == NULL)
		return 0;
	if (!json_is_array(list) || json_array_size(list) > RULES_MAX)
		return wrong(err, "rules", NULL, "must be a list of at most %d rules", RULES_MAX);
	ret->rules = calloc(json_array_size(list) + 1, sizeof *ret->rules);
	if (ret->rules == NULL)
		return wrong(err, "rules", NULL, "out of memory");
	for (i = 0; i < json_array_size(list); i++) {
		snprintf(path, sizeof path, "rules[%zu]", i);
		if (parse_rule(json_array_get(list, i), path, &ret->rules[i], err) != 0)
			return -1;
		for (k = 0; k < i; k++)
			if (strcmp(ret->rules[k].name, ret->rules[i].name) == 0)
				return wrong(
				    err, path, "name", "%.100s stands twice", ret->rules[i].name);
		if (!reachable(ret->rules, i))
			return wrong(err, path, NULL,
			    "rule %.100s never matches: the rules before it take all that it would",
			    ret->rules[i].name);
		ret->n++;
	}
	return 0;
}

int
rules_parse(const json_t *list, const json_t *tiers, struct rules *ret, struct rules_error *err)
{
	memset(ret, 0, sizeof *ret);
	memset(err, 0, sizeof *err);
	if (parse_all(list, tiers, ret, err) == 0)
		return 0;
	rules_fini(ret);
	return -1;
}

void
rules_fini(struct rules *r)
{
	free(r->rules);
	memset(r, 0, sizeof *r);
}

struct tier_order
rules_choose(const struct rules *r, const struct rules_input *in, const char **ret_name)
{
	const struct tier_order *from = &r->dflt;
	struct tier_order order = { 0, { 0 } };
	unsigned i;
	size_t k;

	*ret_name = "default";
	for (k = 0; k < r->n; k++)
		if (matches(&r->rules[k], in)) {
			from = &r->rules[k].order;
			*ret_name = r->rules[k].name;
			break;
		}
	if (in->asked >= 0)
		order.tier[order.n++] = (unsigned char)in->asked;
	for (i = 0; i < from->n; i++)
		if (from->tier[i] != in->asked)
			order.tier[order.n++] = from->tier[i];
	return order;
}
