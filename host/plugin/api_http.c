/* api_http.c: routes (in init, control thread), and the request and reply of a task (loops). A task
 * that is not a request has neither: getters give "", replies -INS_EINVAL. */
#include "net/http.h"
#include "net/route.h"
#include "plugin/api.h"

static int
http_route(ins_host *host, const char *method, const char *pattern, const char *permission,
    ins_handler handler)
{
	struct instance *inst = plugin_of(host);
	struct plugin_route *r, **tail;
	size_t n = permission == NULL ? 0 : strlen(permission);

	if (!inst->initing || method == NULL || pattern == NULL || handler == NULL)
		return api_core.host_fail(host, NULL, "ins_route: in init, and nothing NULL");
	/* "area:verb" or public; a wildcard belongs to credentials. */
	if (n == 0 || strpbrk(permission, " *") != NULL ||
	    (strcmp(permission, INS_PUBLIC) != 0 && strchr(permission, ':') == NULL))
		return api_core.host_fail(
		    host, NULL, "ins_route: the permission must be \"area:verb\" or INS_PUBLIC");
	if (inst->n_routes == INSTANCE_ROUTES_MAX)
		return api_core.host_fail(host, NULL, "too many routes");
	r = arena_alloc(&inst->arena, sizeof *r);
	AN(r);
	r->method = arena_strdup(&inst->arena, method);
	r->pattern = arena_strdup(&inst->arena, pattern);
	r->permission = arena_strdup(&inst->arena, permission);
	r->is_public = strcmp(permission, INS_PUBLIC) == 0;
	r->handler = handler;
	r->inst = inst;
	for (tail = &inst->routes; *tail != NULL; tail = &(*tail)->next)
		;
	*tail = r;
	inst->n_routes++;
	return 0;
}

static const char *
http_method(ins_ctx *ctx)
{
	return ctx->http == NULL ? "" : ctx->http->method;
}

static const char *
http_path(ins_ctx *ctx)
{
	char *z;

	if (ctx->http == NULL)
		return "";
	z = http_decode(&ctx->arena, ctx->http->path, strlen(ctx->http->path), 0);
	return z != NULL ? z : ctx->http->path;
}

static const char *
http_param(ins_ctx *ctx, const char *name)
{
	const struct route_match *m = ctx->params;
	char *z;
	unsigned i;

	for (i = 0; m != NULL && i < m->n_params; i++)
		if (strcmp(m->params[i].name, name) == 0) {
			z = http_decode(&ctx->arena, m->params[i].p, m->params[i].n, 0);
			return z != NULL ? z : "";
		}
	return "";
}

static const char *
http_query_at(ins_ctx *ctx, const char *name, uint32_t i)
{
	const char *p = ctx->http == NULL ? "" : ctx->http->query, *eq;
	size_t n;
	char *key;

	for (; *p != '\0'; p += n + (p[n] == '&')) {
		n = strcspn(p, "&");
		eq = memchr(p, '=', n);
		key = http_decode(&ctx->arena, p, eq != NULL ? (size_t)(eq - p) : n, 1);
		if (key == NULL || strcmp(key, name) != 0 || i-- > 0)
			continue;
		return eq == NULL ? ""
				  : http_decode(&ctx->arena, eq + 1, n - (size_t)(eq + 1 - p), 1);
	}
	return NULL;
}

static const char *
http_query(ins_ctx *ctx, const char *name)
{
	return http_query_at(ctx, name, 0);
}

static ins_str
http_header_of(ins_ctx *ctx, const char *lower_name)
{
	ins_str none = { NULL, 0 };

	return ctx->http == NULL || ctx->http->gone ? none : http_header(ctx->http, lower_name);
}

static const char *
http_remote(ins_ctx *ctx)
{
	return ctx->http == NULL ? "" : ctx->http->remote;
}

static ins_str
http_body(ins_ctx *ctx)
{
	ins_str none = { "", 0 };

	return ctx->http == NULL ? none : ctx->http->body;
}

static int
http_set(ins_ctx *ctx, const char *name, const char *value)
{
	return ctx->http == NULL ? -INS_EINVAL : http_set_header(ctx->http, name, value);
}

/* What OpenAI's clients read as the time that the answer took. */
static void
http_timing(ins_ctx *ctx)
{
	char ms[24];

	snprintf(ms, sizeof ms, "%lld", (long long)(base_mono_us() - ctx->http->start_us) / 1000);
	http_set_header(ctx->http, "openai-processing-ms", ms);
}

static int
http_do_reply(ins_ctx *ctx, int status, const char *ctype, const char *p, size_t n)
{
	if (ctx->http == NULL || ctx->http->replied || status < 200 || status > 599)
		return -INS_EINVAL;
	http_timing(ctx);
	return http_reply(ctx->http, status, ctype, p, n);
}

static int
http_do_stream(ins_ctx *ctx, int status, const char *ctype)
{
	if (ctx->http == NULL || ctx->http->replied || status < 200 || status > 599)
		return -INS_EINVAL;
	http_timing(ctx);
	return http_stream(ctx->http, status, ctype);
}

static int
http_do_write(ins_ctx *ctx, const char *p, size_t n)
{
	return ctx->http == NULL || !ctx->http->streaming ? -INS_EINVAL
							  : http_write(ctx->http, ctx, p, n);
}

static int
http_do_abort(ins_ctx *ctx)
{
	if (ctx->http == NULL || !ctx->http->streaming)
		return -INS_EINVAL;
	http_stream_end(ctx->http, 1);
	return 0;
}

static int
http_do_heartbeat(ins_ctx *ctx, int64_t ms, const char *p, size_t n)
{
	return ctx->http == NULL ? -INS_EINVAL : http_heartbeat(ctx->http, ms, p, n);
}

const ins_http_api api_http = {
	.size = sizeof(ins_http_api),
	.route = http_route,
	.method = http_method,
	.path = http_path,
	.param = http_param,
	.query = http_query,
	.header = http_header_of,
	.remote = http_remote,
	.body = http_body,
	.set_header = http_set,
	.reply = http_do_reply,
	.stream = http_do_stream,
	.write = http_do_write,
	.abort = http_do_abort,
	.heartbeat = http_do_heartbeat,
	.query_at = http_query_at,
};
