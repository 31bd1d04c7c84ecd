/*
 * openai.c: OpenAI's HTTP API in front of models and workflows.
 *
 * POST /v1/chat/completions, GET /v1/models, GET /v1/models/{id}. This file holds the descriptor
 * and the way of a chat request: parse, validate, resolve the model's name, answer by a model
 * (openai_chat_models.c) or by a run (openai_chat_workflow.c). The plugin keeps no state between
 * requests.
 */
#include "openai.h"

INS_AWAITS
static int
chat(ins_ctx *ctx, void *self)
{
	struct openai *openai = self;
	struct chat_request request;
	struct chat_error err;
	struct target *target;
	json_t *body;
	int r = ins_body_json(ctx, &body);

	if (r != 0)
		return r;
	if (chat_validate(body, &request, &err) != 0) {
		if (err.param[0] != '\0')
			ins_field(ctx, err.param);
		return ins_fail(ctx, INS_EINVAL, "%s", err.text);
	}
	target = ins_alloc(ctx, sizeof *target);
	if (target == NULL)
		return ins_fail(ctx, INS_ENOMEM, "out of memory");
	r = openai_resolve(ctx, openai, &request, target);
	if (r != 0)
		return r;
	return target->workflow != NULL
	    ? openai_chat_workflow(ctx, openai, &request, target->workflow)
	    : openai_chat_models(ctx, openai, &request, target);
}

static int
init(ins_host *host, const void *conf, void **ret_self)
{
	struct openai *openai = ins_new(host, sizeof *openai);
	int r;

	openai->host = host;
	openai->conf = *(const struct conf *)conf;
	openai->requests = ins_counter(host, "chat_completions_total",
	    "Chat completions that were begun, by how they ended", "result");
	openai->fallbacks = ins_counter(host, "chat_fallbacks_total",
	    "Models that failed before their first piece and were followed by another", "tier");
	openai->first_token = ins_histogram(host, "chat_first_token_seconds",
	    "Time from the parsed request to the first byte of its answer");
	openai->unmetered = ins_counter(host, "chat_unmetered_total",
	    "Completions whose usage could not be stored; the log has it", NULL);
	*ret_self = openai;
	r = ins_route(host, "POST", "/v1/chat/completions", "chat:write", chat);
	if (r == 0)
		r = ins_route(host, "GET", "/v1/models", "models:read", openai_list_models);
	if (r == 0)
		r = ins_route(host, "GET", "/v1/models/{id*}", "models:read", openai_get_model);
	return r;
}

static const ins_need needs[] = {
	[NEED_MODEL] = { INS_MODEL_IFACE, INS_MANY | INS_OPTIONAL },
	[NEED_POLICY] = { INS_POLICY_IFACE, INS_OPTIONAL },
	[NEED_RUNS] = { INS_RUNS_IFACE, INS_OPTIONAL },
	[NEED_METER] = { INS_METER_IFACE, INS_OPTIONAL },
	{ NULL, 0 },
};

static const ins_option options[] = {
	INS_OPT_BOOL(struct conf, meter_first, "false",
	    "store what a completion used before its answer ends"),
	INS_OPT_END(struct conf),
};

INS_PLUGIN(.name = "openai", .version = "1.0.0", .summary = "OpenAI's HTTP API",
    .caps = INS_CAP_HTTP, .options = options, .needs = needs, .init = init);
