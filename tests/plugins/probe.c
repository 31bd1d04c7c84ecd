/*
 * probe.c: does on demand what a host must cope with: fails in init or start, forgets a condition,
 * gives no answer, answers late, streams and breaks off, keeps a background task.
 */
#include <insula/insula.h>

#include <stdlib.h>

struct conf {
	const char *fail; /* "init", "start", "conf" */
	int32_t forget, background, clash;
	int64_t number;
};

struct probe {
	struct conf conf;
	ins_host *host;
	ins_metric *ticks;
};

struct local {
	ins_cond *cond;
	int ended; /* the background task saw its cancellation */
};

static int
silent(ins_ctx *ctx, void *self)
{
	return 0;
}

static int
fails(ins_ctx *ctx, void *self)
{
	ins_detail(ctx, "only for the log");
	ins_hint(ctx, "Try something else.");
	ins_field(ctx, "a[0].b");
	return ins_fail(ctx, INS_ECONFLICT, "it is like that already");
}

static int
slow(ins_ctx *ctx, void *self)
{
	const char *ms = ins_query(ctx, "ms");
	int r = ins_sleep(ctx, ms == NULL ? 10 : atoi(ms));

	return r != 0 ? r : ins_reply_json(ctx, 200, "{s:b}", "slept", 1);
}

static int
breaks(ins_ctx *ctx, void *self)
{
	int r = ins_stream(ctx, 200, "text/event-stream");

	if (r == 0)
		r = ins_sse(ctx, NULL, NULL, ins_s("first"));
	return r != 0 ? r : ins_fail(ctx, INS_EUPSTREAM, "the rest is lost");
}

static int
echo(ins_ctx *ctx, void *self)
{
	struct probe *p = self;
	ins_str h = ins_header(ctx, "x-probe");

	return ins_reply_json(ctx, 200, "{s:s, s:s, s:s*, s:s%, s:s, s:s, s:I, s:i, s:s, s:s}",
	    "path", ins_path(ctx), "rest", ins_param(ctx, "rest"), "q", ins_query(ctx, "q"),
	    "header", h.p != NULL ? h.p : "", h.n, "request_id", ins_request_id(ctx), "traceparent",
	    ins_traceparent(ctx), "number", (json_int_t)p->conf.number, "allowed",
	    ins_allowed(ctx, "probe:read"), "user", ins_user_id(ctx), "tenant", ins_tenant_id(ctx));
}

static int
tick(ins_ctx *ctx, void *arg)
{
	struct probe *p = arg;
	struct local *l = ins_local(ctx, p->host);
	int r;

	for (;;) {
		ins_add(p->ticks, NULL, 1);
		r = ins_cond_wait(ctx, l->cond, 5);
		if (r == -INS_ECANCELED)
			break;
	}
	l->ended = 1;
	return 0;
}

static int
start(void *self, ins_loop *loop, void **ret_local)
{
	struct probe *p = self;
	struct local *l;

	if (strcmp(p->conf.fail, "start") == 0 && ins_loop_index(loop) == 1)
		return -INS_EUNAVAILABLE;
	l = calloc(1, sizeof *l);
	l->cond = ins_cond_new(loop);
	*ret_local = l;
	return p->conf.background ? ins_spawn(p->host, loop, "tick", tick, p) : 0;
}

static void
stop(void *self, ins_loop *loop, void *local)
{
	struct probe *p = self;
	struct local *l = local;

	if (p->conf.background && !l->ended)
		abort(); /* stopped under its task */
	if (!p->conf.forget)
		ins_cond_free(l->cond);
	free(l);
}

static int
init(ins_host *host, const void *conf, void **ret_self)
{
	struct probe *p = ins_new(host, sizeof *p);

	p->conf = *(const struct conf *)conf;
	p->host = host;
	*ret_self = p;
	if (strcmp(p->conf.fail, "init") == 0)
		return -INS_EINVAL;
	if (strcmp(p->conf.fail, "conf") == 0)
		return ins_conf_error(host, "number", "%lld is unlucky", (long long)p->conf.number);
	p->ticks = ins_counter(host, "probe_ticks_total", "turns of the background task", NULL);
	if (ins_route(host, "GET", "/probe/silent", INS_PUBLIC, silent) != 0 ||
	    ins_route(host, "GET", "/probe/fails", INS_PUBLIC, fails) != 0 ||
	    ins_route(host, "GET", "/probe/slow", INS_PUBLIC, slow) != 0 ||
	    ins_route(host, "GET", "/probe/breaks", INS_PUBLIC, breaks) != 0 ||
	    ins_route(host, "GET", "/probe/echo/{rest*}", "probe:read", echo) != 0 ||
	    ins_route(host, "GET", "/probe/secret", "probe:admin", echo) != 0)
		return -INS_EINVAL;
	return p->conf.clash ? ins_route(host, "GET", "/livez", INS_PUBLIC, silent) : 0;
}

static const ins_option options[] = {
	INS_OPT_STR(struct conf, fail, "", "where to fail"),
	INS_OPT_BOOL(struct conf, forget, "false", "leave a condition behind"),
	INS_OPT_BOOL(struct conf, background, "false", "keep a background task"),
	INS_OPT_BOOL(struct conf, clash, "false", "claim a route of the host"),
	INS_OPT_INT(struct conf, number, "7", "echoed"),
	INS_OPT_END(struct conf),
};

INS_PLUGIN(.name = "probe", .version = "1.0.0", .summary = "what a host must cope with",
    .caps = INS_CAP_HTTP, .options = options, .init = init, .start = start, .stop = stop);
