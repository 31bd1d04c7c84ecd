/* hello: the smallest plugin. GET /v1/hello/{name} greets in the caller's tenant; hello_ws.c says
 * the same over WebSocket. */
#include "hello.h"

static int
hello(ins_ctx *ctx, void *self)
{
	struct hello *hello = self;

	return ins_reply_json(ctx, 200, "{s:s, s:s, s:s}", "greeting", hello->greeting, "name",
	    ins_param(ctx, "name"), "tenant", ins_tenant_id(ctx));
}

static int
init(ins_host *host, const void *conf, void **ret_self)
{
	struct hello *self = ins_dup(host, conf, sizeof(struct hello));
	int rc;

	self->host = host;
	*ret_self = self;
	rc = ins_route(host, "GET", "/v1/hello/{name}", "hello:read", hello);
	return rc != 0 ? rc : hello_ws_init(host);
}

static const ins_option options[] = {
	INS_OPT_STR(struct hello, greeting, "Hello", "the word before the name"),
	INS_OPT_END(struct hello),
};

INS_PLUGIN(.name = "hello", .version = "1.0.0", .summary = "the smallest plugin",
    .caps = INS_CAP_HTTP | INS_CAP_WS, .options = options, .init = init);
