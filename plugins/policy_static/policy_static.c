/*
 * policy_static: picks a model tier by the rules of the configuration, as "ins.policy/1".
 *
 * No capability, no I/O, no state but the rules. policy_static_rules.c decides; this file turns
 * JSON into its input and its answer into JSON.
 */
#include <insula/policy.h>

#include "plugins/policy_static/policy_static_rules.h"

struct options {
	json_t *rules, *tiers;
};

struct plugin {
	struct rules rules;
	ins_policy vtable;
};

static const char *
text(const json_t *in, const char *key)
{
	const char *z = json_string_value(json_object_get(in, key));

	return z == NULL ? "" : z;
}

static int
choose(ins_ctx *ctx, void *self, const json_t *in, json_t **ret_out)
{
	const struct plugin *p = self;
	const json_t *tier = json_object_get(in, "tier"), *v = json_object_get(in, "confidence");
	struct rules_input input;
	struct tier_order order;
	const char *rule;
	json_t *tiers;
	unsigned i;

	*ret_out = NULL;
	memset(&input, 0, sizeof input);
	input.workflow = text(in, "workflow");
	input.plan = text(in, "plan");
	input.chars = json_integer_value(json_object_get(in, "input_chars"));
	input.has_confidence = json_is_number(v);
	input.confidence = input.has_confidence ? json_number_value(v) : 0;
	input.asked = tier_parse(json_string_value(tier));
	if (tier != NULL && !json_is_null(tier) && input.asked < 0) {
		ins_field(ctx, "tier");
		return ins_fail(ctx, INS_EINVAL, "tier must be SLM_A, SLM_B or LLM");
	}
	order = rules_choose(&p->rules, &input, &rule);
	tiers = json_array();
	for (i = 0; i < order.n; i++)
		json_array_append_new(tiers, json_string(tier_name(order.tier[i])));
	*ret_out = json_pack("{s:o, s:s}", "tiers", tiers, "rule", rule);
	return *ret_out == NULL ? ins_fail(ctx, INS_ENOMEM, "out of memory") : 0;
}

static int
init(ins_host *host, const void *conf, void **ret_self)
{
	const struct options *o = conf;
	struct plugin *p = ins_new(host, sizeof *p);
	struct rules_error err;
	int r;

	if (rules_parse(o->rules, o->tiers, &p->rules, &err) != 0)
		return ins_conf_error(host, err.path, "%s", err.text);
	*ret_self = p;
	p->vtable.size = sizeof p->vtable;
	p->vtable.self = p;
	p->vtable.choose = choose;
	r = ins_provide(host, INS_POLICY_IFACE, "policy_static", &p->vtable);
	if (r != 0)
		rules_fini(&p->rules); /* fini is for an init that succeeded */
	return r;
}

static void
fini(void *self)
{
	struct plugin *p = self;

	rules_fini(&p->rules);
}

static const ins_option options[] = {
	INS_OPT_JSON(struct options, rules,
	    "list of rules: name, workflow, plan, min_chars, max_chars, min_confidence, "
	    "max_confidence, tiers; the first that matches decides"),
	INS_OPT_JSON(struct options, tiers,
	    "tiers to try when no rule matches, first choice first (SLM_A, SLM_B, LLM)"),
	INS_OPT_END(struct options),
};

INS_PLUGIN(.name = "policy_static", .version = "1.0.0",
    .summary = "picks a model tier by rules on workflow, plan, length and confidence",
    .options = options, .init = init, .fini = fini);
