/*
 * openai_models.c: what a model's name stands for, and the list of names.
 *
 * A name is, in this order, a workflow of the run engine, a tier (the policy says which tiers to
 * try), or one model of one provider. Nothing is remembered: providers come and go with
 * generations, and their lists are a few entries in memory.
 */
#include "openai.h"

#include <string.h>

#define TIERS_MAX 16u /* that a policy may name for one request */

/* Calls each(arg, ...) for every model of every provider until it returns non-zero, which it then
 * returns. */
static int
each_model(ins_ctx *ctx, struct openai *openai,
    int (*each)(void *arg, uint32_t provider, const char *name, const json_t *model), void *arg)
{
	const ins_model *service;
	const json_t *model;
	const char *name;
	size_t i;
	int r;

	for (uint32_t p = 0;
	     (service = ins_service(ctx, openai->host, NEED_MODEL, p, &name)) != NULL; p++) {
		json_array_foreach(service->models(service->self), i, model)
		{
			r = each(arg, p, name, model);
			if (r != 0)
				return r;
		}
	}
	return 0;
}

static const char *
member(const json_t *model, const char *name)
{
	const char *z = json_string_value(json_object_get(model, name));

	return z == NULL ? "" : z;
}

/* ---------------------------------------------------------------- resolving */

struct search {
	const char *id, *tier; /* either */
	struct target *target;
};

static int
add_matching(void *arg, uint32_t provider, const char *name, const json_t *model)
{
	struct search *s = arg;
	struct target *t = s->target;

	if (s->id != NULL ? strcmp(member(model, "id"), s->id) != 0
			  : strcmp(member(model, "tier"), s->tier) != 0)
		return 0;
	if (t->n == OPENAI_CANDIDATES_MAX)
		return 1;
	t->candidate[t->n++] = (struct candidate){
		.provider = provider,
		.id = member(model, "id"),
		.tier = member(model, "tier"),
		.name = name,
	};
	return s->id != NULL; /* an id means one model: the first */
}

static int
is_tier(void *arg, uint32_t provider, const char *name, const json_t *model)
{
	return strcmp(member(model, "tier"), arg) == 0;
}

/* A workflow's name as the task may keep it; *ret is NULL when it is none. */
static int
find_workflow(ins_ctx *ctx, struct openai *openai, const char *name, const char **ret)
{
	const ins_runs *runs = ins_service(ctx, openai->host, NEED_RUNS, 0, NULL);
	const json_t *one;
	json_t *list = NULL;
	size_t i;
	int r;

	*ret = NULL;
	if (runs == NULL)
		return 0;
	r = runs->workflows(ctx, runs->self, &list);
	if (r != 0)
		return r;
	json_array_foreach(list, i, one)
	{
		if (strcmp(member(one, "name"), name) == 0)
			*ret = name;
	}
	json_decref(list);
	return 0;
}

static int
by_tier(ins_ctx *ctx, struct openai *openai, const struct chat_request *request, struct target *ret)
{
	const ins_policy *policy = ins_service(ctx, openai->host, NEED_POLICY, 0, NULL);
	struct search search = { .target = ret, .tier = request->model };
	json_t *in, *out = NULL;
	const json_t *tier;
	size_t i;
	int r;

	if (policy == NULL) {
		each_model(ctx, openai, add_matching, &search);
		return 0;
	}
	in = json_pack("{s:s, s:s, s:I, s:s}", "workflow", "", "plan", ins_plan(ctx), "input_chars",
	    (json_int_t)request->input_chars, "tier", request->model);
	r = in == NULL ? -INS_ENOMEM : policy->choose(ctx, policy->self, in, &out);
	json_decref(in);
	if (r != 0)
		return r;
	json_array_foreach(json_object_get(out, "tiers"), i, tier)
	{
		search.tier = json_string_value(tier);
		if (search.tier != NULL && i < TIERS_MAX)
			each_model(ctx, openai, add_matching, &search);
	}
	json_decref(out);
	return 0;
}

static int
no_such_model(ins_ctx *ctx, const char *name)
{
	ins_field(ctx, "model");
	return ins_fail(ctx, INS_EMODEL,
	    "The model '%.128s' does not exist or you do not have access to it.", name);
}

int
openai_resolve(
    ins_ctx *ctx, struct openai *openai, const struct chat_request *request, struct target *ret)
{
	static const char *const tiers[] = { "SLM_A", "SLM_B", "LLM" };
	struct search search = { .target = ret, .id = request->model };
	int r, tier = 0;

	memset(ret, 0, sizeof *ret);
	r = find_workflow(ctx, openai, request->model, &ret->workflow);
	if (r != 0 || ret->workflow != NULL)
		return r;
	for (size_t i = 0; i < sizeof tiers / sizeof *tiers; i++)
		tier |= strcmp(request->model, tiers[i]) == 0;
	if (tier || each_model(ctx, openai, is_tier, (void *)request->model) != 0) {
		r = by_tier(ctx, openai, request, ret);
		if (r != 0)
			return r;
	} else {
		each_model(ctx, openai, add_matching, &search);
	}
	return ret->n == 0 ? no_such_model(ctx, request->model) : 0;
}

/* ---------------------------------------------------------------- listing */

/* Adds a tier once, as new as its newest model. */
static void
add_tier(json_t *list, const char *tier, int64_t created)
{
	json_t *one;
	size_t i;

	json_array_foreach(list, i, one)
	{
		if (strcmp(member(one, "id"), tier) != 0 ||
		    strcmp(member(one, "kind"), "tier") != 0)
			continue;
		if (json_integer_value(json_object_get(one, "created")) < created)
			json_object_set_new(one, "created", json_integer(created));
		return;
	}
	json_array_append_new(list, reply_model(tier, created, "insula", "tier", tier));
}

static int
list_model(void *arg, uint32_t provider, const char *name, const json_t *model)
{
	json_t *const *lists = arg;
	const char *tier = member(model, "tier");
	int64_t created = json_integer_value(json_object_get(model, "created"));

	if (*tier != '\0')
		add_tier(lists[0], tier, created);
	json_array_append_new(lists[1],
	    reply_model(member(model, "id"), created, member(model, "owned_by"), "model",
		*tier ? tier : NULL));
	return 0;
}

/* Tiers, models, workflows: a new reference. */
static int
list_all(ins_ctx *ctx, struct openai *openai, json_t **ret)
{
	const ins_runs *runs = ins_service(ctx, openai->host, NEED_RUNS, 0, NULL);
	json_t *lists[2] = { json_array(), json_array() }, *workflows = NULL;
	const json_t *one;
	size_t i;
	int r = 0;

	each_model(ctx, openai, list_model, lists);
	json_array_extend(lists[0], lists[1]);
	json_decref(lists[1]);
	if (runs != NULL)
		r = runs->workflows(ctx, runs->self, &workflows);
	json_array_foreach(workflows, i, one)
	{
		json_array_append_new(
		    lists[0], reply_model(member(one, "name"), 0, "insula", "workflow", NULL));
	}
	json_decref(workflows);
	*ret = lists[0];
	return r;
}

int
openai_list_models(ins_ctx *ctx, void *self)
{
	json_t *list;
	int r = list_all(ctx, self, &list);

	if (r != 0) {
		json_decref(list);
		return r;
	}
	return ins_reply_json(ctx, 200, "{s:s, s:o}", "object", "list", "data", list);
}

int
openai_get_model(ins_ctx *ctx, void *self)
{
	const char *id = ins_param(ctx, "id");
	json_t *list, *one;
	size_t i;
	int r = list_all(ctx, self, &list);

	json_array_foreach(list, i, one)
	{
		if (r != 0 || strcmp(member(one, "id"), id) != 0)
			continue;
		json_incref(one);
		json_decref(list);
		return ins_reply_take(ctx, 200, one);
	}
	json_decref(list);
	return r != 0 ? r : no_such_model(ctx, id);
}
