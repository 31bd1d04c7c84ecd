/*
 * langgraph.c: the API of LangGraph's Agent Server in front of the run engine.
 *
 * This file holds the descriptor, the options, and the two public routes. What a request may say is
 * checked here and in its siblings; what a run is, and everything durable about it, is the
 * engine's.
 */
#include "langgraph.h"

#include <stddef.h>
#include <time.h>

struct conf {
	int64_t heartbeat;
};

static int
ok(ins_ctx *ctx, void *self)
{
	(void)self;
	return ins_reply_json(ctx, 200, "{s:b}", "ok", 1);
}

static int
info(ins_ctx *ctx, void *self)
{
	(void)self;
	return ins_reply_json(ctx, 200, "{s:s, s:s, s:{s:b, s:b, s:b}}", "version", "1.0.0",
	    "context", "insula", "flags", "assistants", 1, "crons", 0, "langsmith", 0);
}

/* What the SDK has and this host does not: said plainly, instead of a path that nobody knows. */
static int
no_crons(ins_ctx *ctx, void *self)
{
	(void)self;
	return ins_fail(ctx, INS_ENOTFOUND,
	    "there are no crons here: start the run from a scheduler of yours, with after_seconds, "
	    "or "
	    "from a workflow with a timer");
}

int
lg_routes(struct lg *lg, const struct lg_route *routes, size_t n)
{
	size_t i;
	int r = 0;

	for (i = 0; i < n && r == 0; i++)
		r = ins_route(lg->host, routes[i].method, routes[i].pattern, routes[i].permission,
		    routes[i].handler);
	return r;
}

static int
lg_own_init(struct lg *lg)
{
	static const struct lg_route routes[] = {
		{ "GET", "/ok", INS_PUBLIC, ok },
		{ "GET", "/info", INS_PUBLIC, info },
		{ "POST", "/runs/crons", "runs:write", no_crons },
		{ "POST", "/runs/crons/search", "runs:read", no_crons },
		{ "POST", "/runs/crons/count", "runs:read", no_crons },
		{ "PATCH", "/runs/crons/{run_id}", "runs:write", no_crons },
		{ "DELETE", "/runs/crons/{run_id}", "runs:write", no_crons },
		{ "POST", "/threads/{id}/runs/crons", "runs:write", no_crons },
	};
	return lg_routes(lg, routes, sizeof routes / sizeof *routes);
}

static int
statements(struct lg *lg)
{
	size_t i, order;

	for (i = 0; i < S_COUNT; i++)
		if ((lg->sql[i] = ins_stmt_new(lg->host, lg_sql[i])) == NULL)
			return -INS_EINVAL;
	for (i = 0; i < SORT_COUNT; i++)
		for (order = 0; order < 2; order++)
			if ((lg->threads[i][order] = ins_stmt_new(
				 lg->host, lg_sql_threads[i][order])) == NULL)
				return -INS_EINVAL;
	return 0;
}

static void
note_time(struct lg *lg)
{
	time_t s;
	struct tm tm;

	lg->since_us = ins_now_us();
	s = (time_t)(lg->since_us / 1000000);
	gmtime_r(&s, &tm);
	strftime(lg->since, sizeof lg->since, "%Y-%m-%dT%H:%M:%S.000Z", &tm);
	lg->since_us = (int64_t)s * 1000000;
}

static int
init(ins_host *host, const void *options, void **ret_self)
{
	static int (*const parts[])(struct lg *) = { statements, lg_assistants_init, lg_graph_init,
		lg_threads_init, lg_threads_search_init, lg_thread_stream_init, lg_state_init,
		lg_runs_init, lg_run_http_init, lg_store_init, lg_own_init };
	const struct conf *conf = options;
	struct lg *lg = ins_new(host, sizeof *lg);
	size_t i;
	int r = 0;

	if (conf->heartbeat < 1000 || conf->heartbeat > 60000)
		return ins_conf_error(host, "heartbeat", "must be from 1s to 1m");
	lg->host = host;
	lg->heartbeat_ms = conf->heartbeat;
	note_time(lg);
	lg->runs = ins_counter(host, "langgraph_runs_total",
	    "Runs that were begun through the LangGraph API, by how: background, wait, stream, "
	    "batch",
	    "kind");
	lg->streams = ins_counter(host, "langgraph_streams_total",
	    "Streams of runs that are over, by how: ended, left (by the client), cut", "end");
	*ret_self = lg;
	for (i = 0; i < sizeof parts / sizeof *parts && r == 0; i++)
		r = parts[i](lg);
	return r;
}

static const ins_option options[] = {
	INS_OPT_MS(struct conf, heartbeat, "10s",
	    "silence after which a stream, or an answer that is waited for, is kept alive"),
	INS_OPT_END(struct conf),
};

static const ins_need needs[] = { [NEED_RUNS] = { INS_RUNS_IFACE, INS_ONE }, { NULL, 0 } };

static const char schema_1[] =
#include "plugins/langgraph/langgraph.inc"
    ;
static const char *const schema[] = { "0001_langgraph", schema_1, NULL };

INS_PLUGIN(.name = "langgraph", .version = "1.0.0", .summary = "LangGraph's Agent Server API",
    .caps = INS_CAP_HTTP | INS_CAP_DB, .options = options, .needs = needs, .schema = schema,
    .init = init);
