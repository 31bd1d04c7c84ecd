/*
 * model_openai: models behind any OpenAI-compatible base URL, as "ins.model/1".
 *
 * This file: the descriptor and the service. model_openai_conf.c: providers and models.
 * model_openai_request.c: the body. model_openai_call.c: the exchange. model_openai_sse.c,
 * model_openai_answer.c, model_openai_error.c, model_openai_cite.c: what comes back, judged.
 */
#include <insula/model.h>

#include "plugins/model_openai/model_openai_call.h"
#include "plugins/model_openai/model_openai_conf.h"

struct options {
	json_t *providers;
};

struct plugin {
	struct conf conf;
	ins_model vtable;
	ins_metric *calls, *seconds;
};

static const char *
outcome(int r)
{
	switch (-r) {
	case 0: return "ok";
	case INS_EINVAL: return "invalid";
	case INS_ELIMIT: return "limit";
	case INS_ETIMEOUT: return "timeout";
	case INS_ECANCELED: return "canceled";
	default: return "error";
	}
}

static const json_t *
models(void *self)
{
	const struct plugin *p = self;

	return p->conf.list;
}

static int
generate(ins_ctx *ctx, void *self, const json_t *in, const ins_sink *sink, json_t **ret_out)
{
	struct plugin *p = self;
	const char *id = json_string_value(json_object_get(in, "model"));
	const struct model *m = conf_model(&p->conf, id);
	int64_t begin = ins_mono_us();
	int r;

	*ret_out = NULL;
	if (m == NULL) {
		ins_field(ctx, "model");
		return ins_fail(ctx, INS_EMODEL, "there is no model %.128s", id == NULL ? "" : id);
	}
	r = call_generate(ctx, m, in, sink, ret_out);
	ins_add(p->calls, outcome(r), 1);
	ins_observe(p->seconds, (double)(ins_mono_us() - begin) / 1e6);
	return r;
}

static int
init(ins_host *host, const void *conf, void **ret_self)
{
	const struct options *options = conf;
	struct plugin *p = ins_new(host, sizeof *p);
	struct conf_error err;
	int r;

	if (conf_parse(options->providers, ins_now_us() / 1000000, &p->conf, &err) != 0)
		return ins_conf_error(host, err.path, "%s", err.text);
	*ret_self = p;
	p->calls = ins_counter(
	    host, "model_upstream_requests_total", "requests to model providers", "outcome");
	p->seconds = ins_histogram(
	    host, "model_upstream_duration_seconds", "whole time of a request to a model provider");
	p->vtable.size = sizeof p->vtable;
	p->vtable.self = p;
	p->vtable.models = models;
	p->vtable.generate = generate;
	r = ins_provide(host, INS_MODEL_IFACE, "model_openai", &p->vtable);
	if (r != 0)
		conf_fini(&p->conf); /* fini is for an init that succeeded */
	return r;
}

static void
fini(void *self)
{
	struct plugin *p = self;

	conf_fini(&p->conf);
}

static const ins_option options[] = {
	INS_OPT_JSON(struct options, providers,
	    "list of providers: name, base_url, api_key, private_addresses, models, timeouts, "
	    "max_response"),
	INS_OPT_END(struct options),
};

INS_PLUGIN(.name = "model_openai", .version = "1.0.0",
    .summary = "models behind any OpenAI-compatible base URL", .caps = INS_CAP_FETCH,
    .options = options, .init = init, .fini = fini);
