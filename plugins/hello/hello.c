/* hello: the smallest plugin. GET /v1/hello/{name} greets in the caller's tenant. */
#include <insula/insula.h>

struct conf {
	const char *greeting;
};

static int
hello(ins_ctx *ctx, void *self)
{
	struct conf *conf = self;

	return ins_reply_json(ctx, 200, "{s:s, s:s, s:s}", "greeting", conf->greeting, "name",
	    ins_param(ctx, "name"), "tenant", ins_tenant_id(ctx));
}

static int
init(ins_host *host, const void *conf, void **ret_self)
{
	*ret_self = ins_dup(host, conf, sizeof(struct conf));
	return ins_route(host, "GET", "/v1/hello/{name}", "hello:read", hello);
}

static const ins_option options[] = {
	INS_OPT_STR(struct conf, greeting, "Hello", "the word before the name"),
	INS_OPT_END(struct conf),
};

INS_PLUGIN(.name = "hello", .version = "1.0.0", .summary = "the smallest plugin",
    .caps = INS_CAP_HTTP, .options = options, .init = init);
