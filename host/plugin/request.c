/*
 * request.c: takes a complete request from its listener to its answer.
 *
 * There is one way through, and each step may end it: route (404, 405), who (401, 403, 503),
 * permission (403), handler, reply, log line and metrics. Deny by default: a route that does not
 * say "public" needs a provider of ins.auth/1 and gets 401 without one.
 *
 * Runs on the loops. It allocates nothing of its own beyond the task; the log line is built in
 * place.
 */
#include "plugin/request.h"

#include <stdatomic.h>

#include "base/err.h"
#include "base/log.h"
#include "base/metric.h"
#include "plugin/trace.h"
#include "plugin/ws.h"

#define ACCESS_PATH_MAX 512 /* bytes of the path in a log line */

static struct ins_metric *metric_requests, *metric_seconds;
static atomic_int access_log;
static atomic_uint active;

void
request_init(void)
{
	metric_requests = metric_get(
	    METRIC_COUNTER, "http_requests_total", "requests answered, by status", "status");
	metric_seconds = metric_get(METRIC_HISTOGRAM, "http_request_duration_seconds",
	    "time from the complete request to the end of its answer", NULL);
}

void
request_access_log(int on)
{
	access_log = on;
}

unsigned
request_active(void)
{
	return active;
}

int
request_permitted(const char *held, const char *wanted)
{
	const char *colon = strchr(wanted, ':');
	size_t n, area = colon == NULL ? 0 : (size_t)(colon - wanted) + 1;

	for (; *held != '\0'; held += n) {
		held += strspn(held, " ");
		n = strcspn(held, " ");
		if (n == 1 && *held == '*')
			return 1;
		if (n == strlen(wanted) && memcmp(held, wanted, n) == 0)
			return n != 0;
		if (area != 0 && n == area + 1 && held[n - 1] == '*' &&
		    memcmp(held, wanted, area) == 0)
			return 1;
	}
	return 0;
}

/* What the metrics and the access log say of every answer, whoever made it. */
static void
request_account(struct http_req *req, const char *id, const struct ins_ctx *ctx, int result)
{
	int64_t us = base_mono_us() - req->start_us;
	/* A client that left before an answer has no status; 499 is nginx's name for it. */
	int status = req->status != 0 ? req->status : 499;
	struct log_line l;
	char code[8];

	snprintf(code, sizeof code, "%d", status);
	metric_add(metric_requests, code, 1);
	metric_observe(metric_seconds, (double)us / 1e6);
	if (!access_log ||
	    !log_begin(&l, status >= 500 ? INS_LOG_WARN : INS_LOG_INFO, "http.request"))
		return;
	log_str(&l, "method", req->method);
	if (strlen(req->path) <= ACCESS_PATH_MAX)
		log_str(&l, "path", req->path);
	log_int(&l, "status", status);
	log_num(&l, "ms", (double)us / 1000, 3);
	log_int(&l, "bytes", req->bytes_sent);
	log_str(&l, "remote", req->remote);
	if (ctx != NULL) {
		log_str(&l, "route", ctx->name);
		if (result < 0) {
			log_str(&l, "error",
			    ctx->err_text != NULL ? ctx->err_text : err_info(result)->name);
			log_str(&l, "detail", ctx->err_detail);
		}
		task_log_ids(ctx, &l);
	} else {
		log_str(&l, "request_id", id);
	}
	log_end(&l);
}

static int
request_run(struct ins_ctx *ctx, void *arg)
{
	const struct plugin_route *r = ((const struct gen_route *)arg)->plugin;
	int ret;

	if (!r->is_public) {
		if (ctx->gen->auth == NULL)
			return task_fail(ctx, INS_EUNAUTHENTICATED,
			    "no plugin of this host says who is calling, so nobody may");
		ret = ctx->gen->auth->identify(ctx, ctx->gen->auth->self);
		if (ret < 0)
			return ret;
		if (ctx->tenant_id[0] == '\0')
			return task_fail(
			    ctx, INS_EUNAUTHENTICATED, "the credential names no tenant");
		if (!request_permitted(ctx->permissions, r->permission))
			return task_fail(ctx, INS_EDENIED, "the credential lacks the permission %s",
			    r->permission);
	}
	return r->ws != NULL ? ws_handshake(ctx, r) : r->handler(ctx, r->inst->self);
}

/* The answer of a handler that failed. */
static void
request_fail(struct ins_ctx *ctx, struct http_req *req, int result)
{
	int code = -result;
	char seconds[24];

	/* Whatever the handler made of it, a deadline is a deadline. */
	if (ctx->canceled && ctx->cancel_reason == INS_ETIMEOUT && code == INS_ECANCELED)
		code = INS_ETIMEOUT;
	if (req->gone)
		return;
	if (req->streaming) {
		http_stream_end(req, 1);
		return;
	}
	if (req->replied)
		return;
	if (ctx->err_retry_s > 0) {
		snprintf(seconds, sizeof seconds, "%lld", (long long)ctx->err_retry_s);
		http_set_header(req, "retry-after", seconds);
	}
	http_reply_error(req, code,
	    ctx->err_text != NULL && code == ctx->err_code ? ctx->err_text
		: code == INS_ETIMEOUT                     ? "the request took too long"
		: ctx->err_text != NULL                    ? ctx->err_text
							   : "the request failed",
	    ctx->err_hint, ctx->err_field);
}

static void
request_end(struct ins_ctx *ctx, int result)
{
	struct http_req *req = ctx->http;

	if (result >= 0 && !req->gone) {
		if (req->streaming) {
			http_stream_end(req, 0);
		} else if (!req->replied) {
			/* A handler that forgot to answer is a bug of its plugin, not a 204. */
			result = task_fail(ctx, INS_EINTERNAL, "the handler gave no answer");
		}
	}
	if (result < 0)
		request_fail(ctx, req, result);
	request_account(req, ctx->request_id, ctx, result);
	gen_drop(ctx);
	ctx->http = NULL;
	req->task = NULL;
	active--;
	http_req_done(req);
}

struct request_begin {
	struct http_req *req;
	struct gen *gen;
	const struct gen_route *route;
	const struct route_match *match;
};

/* Keeps the matched parameters, still encoded, for api_http.c. */
static void
request_keep_params(struct ins_ctx *ctx, const struct route_match *m)
{
	struct route_match *copy;

	if (m->n_params == 0)
		return;
	copy = arena_alloc(&ctx->arena, sizeof *copy);
	if (copy != NULL)
		*copy = *m;
	ctx->params = copy;
}

static void
request_setup(struct ins_ctx *ctx, void *arg)
{
	const struct request_begin *b = arg;
	struct http_req *req = b->req;
	ins_str h;

	ctx->arg = (void *)(uintptr_t)b->route;
	ctx->http = req;
	req->task = ctx;
	ctx->inst = b->route->plugin->inst;
	gen_hold(ctx, b->gen);
	h = http_header(req, "x-request-id");
	trace_request_id(h.p, h.n, ctx->request_id);
	h = http_header(req, "traceparent");
	trace_make(h.p, h.n, ctx->traceparent);
	http_set_header(req, "x-request-id", ctx->request_id);
	request_keep_params(ctx, b->match);
	task_deadline(ctx, b->gen->conf->request_ms);
	active++;
}

/* An answer without a task: unknown path, wrong method, too busy. */
static void
request_refuse(struct http_req *req, int code, const char *text)
{
	char id[65];
	ins_str h = http_header(req, "x-request-id");

	trace_request_id(h.p, h.n, id);
	http_set_header(req, "x-request-id", id);
	http_reply_error(req, code, text, NULL, NULL);
	request_account(req, id, NULL, 0);
	http_req_done(req);
}

void
request_entry(struct http_req *req)
{
	struct request_begin b = { .req = req, .gen = gen_current(req->loop) };
	struct route_match match;
	char allow[64], text[256];

	if (b.gen == NULL) {
		request_refuse(req, INS_EUNAVAILABLE, "the host is starting");
		return;
	}
	switch (route_match(b.gen->routes, req->method, strlen(req->method), req->path,
	    strlen(req->path), &match, allow)) {
	case ROUTE_NO_PATH:
		snprintf(text, sizeof text, "there is no %.200s here", req->path);
		request_refuse(req, INS_ENOTFOUND, text);
		return;
	case ROUTE_NO_METHOD:
		http_set_header(req, "allow", allow);
		snprintf(text, sizeof text, "%.32s is not allowed here; allowed: %s", req->method,
		    allow);
		request_refuse(req, INS_EMETHOD, text);
		return;
	case ROUTE_FOUND: break;
	}
	b.route = match.data;
	b.match = &match;
	if (b.route->plugin == NULL) {
		b.route->host(req);
		request_account(req, NULL, NULL, 0);
		http_req_done(req);
	} else if (task_new(b.route->pattern, request_run, &b, request_setup, request_end) ==
	    NULL) {
		request_refuse(req, INS_EUNAVAILABLE, "this host has too many requests under way");
	}
}
