/*
 * ws.c: the life of a plugin's WebSocket connection.
 *
 * A connection holds no generation: each of its events is a task that holds the one that serves
 * when the event begins, and that is how a connection outlives a reload. What ties a connection to
 * code is its group (route and plugin, by name); when a loop gets a new generation, each group
 * looks its route up once, and connections whose route is gone, or whose user lost the permission,
 * are closed.
 *
 * References: the connection's own, until closed(), and one for each task that was given it.
 */
#include "plugin/ws.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/err.h"
#include "base/log.h"
#include "base/metric.h"
#include "net/http.h"
#include "plugin/request.h"

#define TENANT_BUCKETS 1024u

static const struct ws_handler ws_events;

static struct list groups[LOOP_MAX];
static atomic_uint n_open;
static atomic_int draining;
static unsigned host_max, tenant_max;
static struct ins_metric *metric_messages, *metric_closed, *metric_refused;

/* How many connections a tenant has on this host. */
struct ws_tenant {
	struct ws_tenant *next;
	char id[37];
	unsigned n;
};
static pthread_mutex_t tenant_lock = PTHREAD_MUTEX_INITIALIZER;
static struct ws_tenant *tenants[TENANT_BUCKETS];

static double
ws_metric_open(void *arg)
{
	return n_open;
}

void
ws_init(int64_t max, int64_t per_tenant)
{
	unsigned i;

	for (i = 0; i < LOOP_MAX; i++)
		list_init(&groups[i]);
	host_max = (unsigned)max;
	tenant_max = (unsigned)per_tenant;
	draining = 0;
	ws_topic_init();
	metric_messages = metric_get(METRIC_COUNTER, "websocket_messages_total",
	    "messages of WebSocket connections, by direction", "direction");
	metric_closed = metric_get(METRIC_COUNTER, "websocket_closed_total",
	    "WebSocket connections that ended, by close code", "code");
	metric_refused = metric_get(METRIC_COUNTER, "websocket_refused_total",
	    "WebSocket handshakes that were refused, by reason", "reason");
	metric_func(
	    "websocket_active_connections", "WebSocket connections open", ws_metric_open, NULL);
}

void
ws_fini(void)
{
	metric_func("websocket_active_connections", "", NULL, NULL);
}

/* ---- counts ---- */

static struct ws_tenant **
ws_tenant_slot(const char *id)
{
	struct ws_tenant **slot;
	unsigned h = 2166136261u;
	const char *p;

	for (p = id; *p != '\0'; p++)
		h = (h ^ (uint8_t)*p) * 16777619u;
	for (slot = &tenants[h % TENANT_BUCKETS]; *slot != NULL; slot = &(*slot)->next)
		if (strcmp((*slot)->id, id) == 0)
			break;
	return slot;
}

static int
ws_count(struct ins_ws *ws)
{
	struct ws_tenant **slot;
	int ok;

	if (atomic_fetch_add(&n_open, 1) >= host_max) {
		atomic_fetch_sub(&n_open, 1);
		return -INS_EUNAVAILABLE;
	}
	pthread_mutex_lock(&tenant_lock);
	slot = ws_tenant_slot(ws->tenant_id);
	if (*slot == NULL) {
		*slot = base_alloc(sizeof **slot);
		strcpy((*slot)->id, ws->tenant_id);
	}
	ok = (*slot)->n < tenant_max;
	if (ok)
		(*slot)->n++;
	pthread_mutex_unlock(&tenant_lock);
	if (!ok)
		atomic_fetch_sub(&n_open, 1);
	ws->counted = ok;
	return ok ? 0 : -INS_ELIMIT;
}

static void
ws_uncount(struct ins_ws *ws)
{
	struct ws_tenant **slot, *t;

	if (!ws->counted)
		return;
	ws->counted = 0;
	atomic_fetch_sub(&n_open, 1);
	pthread_mutex_lock(&tenant_lock);
	slot = ws_tenant_slot(ws->tenant_id);
	t = *slot;
	AN(t);
	if (--t->n == 0) {
		*slot = t->next;
		free(t);
	}
	pthread_mutex_unlock(&tenant_lock);
}

/* ---- groups ---- */

static const struct plugin_route *
ws_find_route(const struct gen *g, const struct ws_group *group)
{
	const struct plugin_route *r;
	size_t i;

	for (i = 0; g != NULL && i < g->n_members; i++)
		if (strcmp(g->members[i].inst->name, group->plugin) == 0)
			for (r = g->members[i].inst->routes; r != NULL; r = r->next)
				if (r->ws != NULL && strcmp(r->pattern, group->pattern) == 0)
					return r;
	return NULL;
}

static void
ws_group_join(struct ins_ws *ws, struct ins_loop *loop, const struct plugin_route *r)
{
	struct list *head = &groups[loop->index], *l;
	struct ws_group *g;

	for (l = head->next; l != head; l = l->next) {
		g = CONTAINER_OF(l, struct ws_group, link);
		if (strcmp(g->pattern, r->pattern) == 0 && strcmp(g->plugin, r->inst->name) == 0)
			break;
	}
	if (l == head) {
		g = base_alloc(sizeof *g);
		list_init(&g->link);
		list_init(&g->conns);
		g->plugin = base_strdup(r->inst->name);
		g->pattern = base_strdup(r->pattern);
		g->route = ws_find_route(gen_current(loop), g);
		g->permission = base_strdup(
		    g->route != NULL ? g->route->permission : r->permission);
		list_append(head, &g->link);
	}
	ws->group = g;
	list_append(&g->conns, &ws->link);
}

static void
ws_group_leave(struct ins_ws *ws)
{
	struct ws_group *g = ws->group;

	if (g == NULL)
		return;
	ws->group = NULL;
	list_remove(&ws->link);
	if (!list_empty(&g->conns))
		return;
	list_remove(&g->link);
	free(g->plugin);
	free(g->pattern);
	free(g->permission);
	free(g);
}

/* Whether the connection may go on with what its route is now; else it is being closed. */
static int
ws_still_good(struct ins_ws *ws)
{
	const struct plugin_route *r = ws->group->route;

	if (r == NULL)
		ws_close(&ws->conn, WS_RESTART, "the route is gone", 0);
	else if ((r->ws->flags & INS_WS_PINNED) && r->inst->id != ws->instance)
		ws_close(&ws->conn, WS_RESTART, "the plugin was replaced", 0);
	else if (!r->is_public && !request_permitted(ws->permissions, r->permission))
		ws_close(&ws->conn, WS_POLICY, "the permission is gone", 0);
	else
		return 1;
	return 0;
}

void
ws_publish_loop(struct ins_loop *loop, const struct gen *next)
{
	struct list *l, *k, *after;

	if (groups[loop->index].next == NULL)
		return;
	for (l = groups[loop->index].next; l != &groups[loop->index]; l = l->next) {
		struct ws_group *g = CONTAINER_OF(l, struct ws_group, link);

		g->route = ws_find_route(next, g);
		if (g->route != NULL && !(g->route->ws->flags & INS_WS_PINNED) &&
		    strcmp(g->permission, g->route->permission) == 0)
			continue;
		if (g->route != NULL) {
			free(g->permission);
			g->permission = base_strdup(g->route->permission);
		}
		for (k = g->conns.next; k != &g->conns; k = after) {
			after = k->next;
			ws_still_good(CONTAINER_OF(k, struct ins_ws, link));
		}
	}
}

static void
ws_drain_loop(struct ins_loop *loop, void *arg)
{
	struct list *l, *k;

	for (l = groups[loop->index].next; l != &groups[loop->index]; l = l->next) {
		struct ws_group *g = CONTAINER_OF(l, struct ws_group, link);

		for (k = g->conns.next; k != &g->conns; k = k->next)
			ws_close(&CONTAINER_OF(k, struct ins_ws, link)->conn, WS_GOING_AWAY,
			    "the host is stopping", 0);
	}
}

void
ws_drain(void)
{
	unsigned i;

	draining = 1;
	for (i = 0; i < loop_count(); i++)
		loop_post(loop_get((int)i), ws_drain_loop, NULL);
}

/* ---- events: tasks ---- */

/* A task for an event of ws in the serving generation; holds the connection. */
struct ws_begin {
	struct ins_ws *ws;
	struct gen *gen;
	const struct plugin_route *route;
};

static void
ws_task_setup(struct ins_ctx *ctx, void *arg)
{
	const struct ws_begin *b = arg;
	struct ins_ws *ws = b->ws;

	ctx->arg = (void *)(uintptr_t)b->route;
	ctx->ws = ws;
	ctx->inst = b->route->inst;
	gen_hold(ctx, b->gen);
	memcpy(ctx->tenant_id, ws->tenant_id, sizeof ctx->tenant_id);
	memcpy(ctx->user_id, ws->user_id, sizeof ctx->user_id);
	memcpy(ctx->plan, ws->plan, sizeof ctx->plan);
	memcpy(ctx->request_id, ws->request_id, sizeof ctx->request_id);
	memcpy(ctx->traceparent, ws->traceparent, sizeof ctx->traceparent);
	ctx->permissions = ws->permissions;
	task_deadline(ctx, b->gen->conf->request_ms);
	ws_conn_ref(&ws->conn);
	ws->task = ctx;
}

static int
ws_message_run(struct ins_ctx *ctx, void *arg)
{
	const struct plugin_route *r = arg;
	struct ins_ws *ws = ctx->ws;
	ins_str data = { ws->message->data, ws->message->n };

	return r->ws->message(ctx, r->inst->self, ws,
	    ws->message->op == WS_OP_TEXT ? INS_WS_TEXT : INS_WS_BINARY, data);
}

/* The close code for a handler's failure, beside err.c's statuses. */
static unsigned
ws_code_of(int result, const struct ins_ctx *ctx)
{
	const struct err_info *info = err_info(result);

	if (info->code == INS_ECANCELED && ctx->gen->replaced_us != 0)
		return WS_RESTART;
	if (info->code == INS_ETOOBIG)
		return WS_TOO_BIG;
	if (info->http_status == 429 || info->http_status == 503)
		return WS_TRY_LATER;
	return info->http_status < 499 ? WS_POLICY : WS_INTERNAL;
}

static void
ws_message_end(struct ins_ctx *ctx, int result)
{
	struct ins_ws *ws = ctx->ws;

	if (result < 0) {
		if (!ctx->canceled && result != -INS_ECANCELED)
			task_log(ctx, INS_LOG_WARN, "websocket.message_failed",
			    json_pack("{s:s, s:s, s:s, s:s*, s:s*}", "route", ctx->name,
				"connection", ws->id, "code", err_info(result)->name, "error",
				ctx->err_text, "detail", ctx->err_detail));
		ws_close(&ws->conn, ws_code_of(result, ctx),
		    ctx->err_text != NULL ? ctx->err_text : "the message failed", 0);
	}
	free(ws->message);
	ws->message = NULL;
	ws->task = NULL;
	ctx->ws = NULL;
	ctx->permissions = ""; /* was the connection's */
	gen_drop(ctx);
	ws_conn_ready(&ws->conn);
	ws_conn_unref(&ws->conn);
}

static void
ws_on_message(struct ws_conn *w, struct ws_message *m)
{
	struct ins_ws *ws = CONTAINER_OF(w, struct ins_ws, conn);
	struct ws_begin b = { ws, gen_current(w->loop), ws->group->route };

	metric_add(metric_messages, "in", 1);
	ws->message = m;
	if (ws_still_good(ws) && b.route->ws->message != NULL) {
		if (task_new(b.route->pattern, ws_message_run, &b, ws_task_setup, ws_message_end) !=
		    NULL)
			return;
		ws_close(w, WS_TRY_LATER, "this host has too many tasks under way", 0);
	}
	ws->message = NULL;
	free(m);
	ws_conn_ready(w);
}

static void
ws_on_cancel(struct ws_conn *w)
{
	struct ins_ws *ws = CONTAINER_OF(w, struct ins_ws, conn);

	if (ws->task != NULL)
		task_cancel(ws->task, INS_ECANCELED);
}

static void
ws_on_room(struct ws_conn *w)
{
	struct ins_ws *ws = CONTAINER_OF(w, struct ins_ws, conn);
	struct ins_ctx *waiter = ws->waiter;

	ws->waiter = NULL;
	if (waiter != NULL)
		task_wake_later(waiter, 0);
}

static int
ws_close_run(struct ins_ctx *ctx, void *arg)
{
	const struct plugin_route *r = arg;

	r->ws->close(ctx, r->inst->self, ctx->ws, ctx->ws->code);
	return 0;
}

static void
ws_close_end(struct ins_ctx *ctx, int result)
{
	struct ins_ws *ws = ctx->ws;

	ws->task = NULL;
	ctx->ws = NULL;
	ctx->permissions = "";
	gen_drop(ctx);
	ws_conn_unref(&ws->conn);
}

static void
ws_log_closed(const struct ins_ws *ws)
{
	const struct ws_conn *w = &ws->conn;

	log_event(INS_LOG_INFO, "websocket.closed",
	    json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:I, s:I, s:I, s:I, s:I, s:s}", "plugin",
		ws->group->plugin, "route", ws->group->pattern, "connection", ws->id, "tenant_id",
		ws->tenant_id, "user_id", ws->user_id, "remote", ws->remote, "code", (int)ws->code,
		"ms", (json_int_t)(base_mono_us() - ws->opened_us) / 1000, "messages_in",
		(json_int_t)w->messages_in, "messages_out", (json_int_t)w->messages_out, "bytes_in",
		(json_int_t)w->bytes_in, "bytes_out", (json_int_t)w->bytes_out, "request_id",
		ws->request_id));
}

static void
ws_on_closed(struct ws_conn *w, unsigned code)
{
	struct ins_ws *ws = CONTAINER_OF(w, struct ins_ws, conn);
	struct ws_begin b = { ws, gen_current(w->loop), ws->group->route };
	char text[8];

	ws->code = code;
	/* What clients choose for themselves is one label. */
	snprintf(text, sizeof text, code >= 3000 ? "own" : "%u", code);
	metric_add(metric_closed, text, 1);
	metric_add(metric_messages, "out", (double)w->messages_out);
	ws_log_closed(ws);
	ws_topic_leave_all(w);
	ws_group_leave(ws);
	ws_uncount(ws);
	if (b.route != NULL && b.route->ws->close != NULL &&
	    (!(b.route->ws->flags & INS_WS_PINNED) || b.route->inst->id == ws->instance) &&
	    task_new(b.route->pattern, ws_close_run, &b, ws_task_setup, ws_close_end) == NULL)
		log_msg(INS_LOG_ERROR, "websocket.close_lost",
		    "%s: too many tasks for the end of connection %s", b.route->inst->name, ws->id);
}

static void
ws_on_free(struct ws_conn *w)
{
	struct ins_ws *ws = CONTAINER_OF(w, struct ins_ws, conn);

	CHECK_OBJ(ws, WS_INS_MAGIC);
	ASSERT(ws->task == NULL && ws->group == NULL);
	free(ws->state);
	free(ws->permissions);
	ws->magic = 0;
	free(ws);
}

static const struct ws_handler ws_events = {
	.message = ws_on_message,
	.cancel = ws_on_cancel,
	.room = ws_on_room,
	.closed = ws_on_closed,
	.free = ws_on_free,
};

/* ---- the handshake ---- */

/* Statuses that have no INS_E* code, as nothing but a handshake needs them. */
static int
ws_refuse(struct ins_ctx *ctx, int status, const char *reason, const char *text)
{
	struct str body;
	int rc;

	metric_add(metric_refused, reason, 1);
	if (status == 426) {
		http_set_header(ctx->http, "sec-websocket-version", "13");
		ws_upgrade_wanted(ctx->http);
	}
	str_init(&body, 4096);
	http_error_body(&body, INS_EINVAL, text, NULL, NULL);
	rc = http_reply(ctx->http, status, "application/json", body.p, body.n);
	str_fini(&body);
	return rc;
}

static int
ws_origin_allowed(const struct ins_ws_route *r, ins_str origin)
{
	const char *const *o;

	if (r->origins == NULL || origin.p == NULL)
		return 1;
	for (o = r->origins; *o != NULL; o++)
		if (ins_str_eq(origin, *o))
			return 1;
	return 0;
}

/* What RFC 6455 §4.2.1 asks of a handshake. 1 when it is good; else it was answered, *ret_rc. */
static int
ws_check(struct ins_ctx *ctx, const struct ins_ws_route *r, int *ret_rc)
{
	struct http_req *req = ctx->http;
	ins_str upgrade = http_header(req, "upgrade"), conn = http_header(req, "connection"),
		key = http_header(req, "sec-websocket-key"),
		version = http_header(req, "sec-websocket-version");

	*ret_rc = 0;
	if (req->http_major == 1 && req->http_minor == 0)
		*ret_rc = ws_refuse(ctx, 400, "http10", "A WebSocket needs HTTP/1.1.");
	else if (req->http_major != 1)
		*ret_rc = ws_refuse(ctx, 505, "http2",
		    "This is a WebSocket, which this host speaks over HTTP/1.1 alone.");
	else if (strcmp(req->method, "GET") != 0 || upgrade.p == NULL || conn.p == NULL ||
	    !ws_token_in(upgrade.p, upgrade.n, "websocket", 1) ||
	    !ws_token_in(conn.p, conn.n, "upgrade", 1))
		*ret_rc = ws_refuse(ctx, 426, "no_upgrade",
		    "This is a WebSocket: send Upgrade: websocket and Connection: Upgrade.");
	else if (!ins_str_eq(version, "13"))
		*ret_rc = ws_refuse(
		    ctx, 426, "version", "The version of WebSocket must be 13 (RFC 6455).");
	else if (key.p == NULL || !ws_key_valid(key.p, key.n))
		*ret_rc = ws_refuse(
		    ctx, 400, "key", "Sec-WebSocket-Key must be 16 bytes in base64.");
	else if (req->body.n > 0)
		*ret_rc = ws_refuse(ctx, 400, "body", "A WebSocket handshake has no body.");
	else if (!ws_origin_allowed(r, http_header(req, "origin")))
		*ret_rc = ws_refuse(ctx, 403, "origin", "This origin may not connect here.");
	else
		return 1;
	return 0;
}

/* The first of the route's protocols that the client offers. 1, or 0 when it must have one. */
static int
ws_agree(struct ins_ws *ws, const struct ins_ws_route *r, ins_str offered)
{
	const char *const *p;

	for (p = r->protocols; p != NULL && *p != NULL; p++)
		if (offered.p != NULL && strlen(*p) <= WS_PROTOCOL_MAX &&
		    ws_token_in(offered.p, offered.n, *p, 0)) {
			strcpy(ws->protocol, *p);
			return 1;
		}
	return !(r->flags & INS_WS_NEED_PROTOCOL);
}

static struct ins_ws *
ws_new(struct ins_ctx *ctx, const struct plugin_route *route)
{
	const struct ins_ws_route *r = route->ws;
	struct ws_limits limits = {
		.message_max = r->message_max > 0 ? r->message_max : WS_DEFAULT_MESSAGE,
		.send_max = r->send_max > 0 ? r->send_max : WS_DEFAULT_SEND,
		.ping_ms = r->ping_ms > 0 ? r->ping_ms : WS_DEFAULT_PING_MS,
		.pong_ms = r->pong_ms > 0 ? r->pong_ms : WS_DEFAULT_PONG_MS,
		.close_ms = WS_CLOSE_MS,
	};
	struct ins_ws *ws = base_alloc(sizeof *ws);

	limits.frame_max = r->frame_max > 0 ? r->frame_max : limits.message_max;
	ws->magic = WS_INS_MAGIC;
	list_init(&ws->link);
	ws_conn_init(&ws->conn, ctx->loop, &ws_events, &limits);
	base_uuid7(ws->id);
	memcpy(ws->tenant_id, ctx->tenant_id, sizeof ws->tenant_id);
	memcpy(ws->user_id, ctx->user_id, sizeof ws->user_id);
	memcpy(ws->plan, ctx->plan, sizeof ws->plan);
	memcpy(ws->request_id, ctx->request_id, sizeof ws->request_id);
	memcpy(ws->traceparent, ctx->traceparent, sizeof ws->traceparent);
	memcpy(ws->remote, ctx->http->remote, sizeof ws->remote);
	ws->permissions = base_strdup(ctx->permissions);
	ws->instance = route->inst->id;
	ws->opened_us = base_mono_us();
	return ws;
}

/* It never became a connection. */
static void
ws_abandon(struct ins_ws *ws)
{
	ws->task = NULL;
	ws_topic_leave_all(&ws->conn);
	ws_group_leave(ws);
	ws_uncount(ws);
	ws_conn_unref(&ws->conn);
}

static int
ws_limit(struct ins_ctx *ctx, struct ins_ws *ws)
{
	int rc;

	if (draining) {
		metric_add(metric_refused, "draining", 1);
		return task_fail(ctx, INS_EUNAVAILABLE, "the host is stopping");
	}
	rc = ws_count(ws);
	if (rc == -INS_EUNAVAILABLE) {
		metric_add(metric_refused, "host_limit", 1);
		return task_fail(
		    ctx, INS_EUNAVAILABLE, "this host has %u WebSocket connections", host_max);
	}
	if (rc != 0) {
		metric_add(metric_refused, "tenant_limit", 1);
		return task_fail(ctx, INS_ELIMIT,
		    "the tenant has %u WebSocket connections on this host, which is its limit",
		    tenant_max);
	}
	return 0;
}

int
ws_handshake(struct ins_ctx *ctx, const struct plugin_route *r)
{
	struct http_req *req = ctx->http;
	char accept[WS_ACCEPT_LEN + 1];
	struct ins_ws *ws;
	ins_str key;
	int rc;

	if (!ws_check(ctx, r->ws, &rc))
		return rc;
	key = http_header(req, "sec-websocket-key");
	ws_accept(accept, key.p, key.n);
	ws = ws_new(ctx, r);
	if (!ws_agree(ws, r->ws, http_header(req, "sec-websocket-protocol"))) {
		ws_abandon(ws);
		return ws_refuse(ctx, 400, "protocol",
		    "None of the offered sub-protocols is spoken here, and one is needed.");
	}
	rc = ws_limit(ctx, ws);
	if (rc != 0) {
		ws_abandon(ws);
		return rc;
	}
	/* Before open, so that nothing that is published while it runs is missed. */
	ws_group_join(ws, ctx->loop, r);
	ws->task = ctx;
	if (r->ws->open != NULL)
		rc = r->ws->open(ctx, r->inst->self, ws);
	ws->task = NULL;
	if (rc >= 0 && !req->replied)
		rc = ws_upgrade(req, &ws->conn, accept, ws->protocol); /* or the client left */
	else if (rc >= 0 && req->replied)
		rc = -INS_EINVAL; /* open answered in its own words: refused */
	if (rc < 0) {
		metric_add(metric_refused, "plugin", 1);
		ws_abandon(ws);
		return req->replied ? 0 : rc;
	}
	ws->accepted = 1;
	/* It may have been closing time, or reload time, while open was suspended. */
	if (draining)
		ws_close(&ws->conn, WS_GOING_AWAY, "the host is stopping", 0);
	else
		ws_still_good(ws);
	return 0;
}

/* ---- for the operator ---- */

struct ws_list_arg {
	json_t *list;
};

static void
ws_list_loop(struct ins_loop *loop, void *arg)
{
	struct ws_list_arg *a = arg;
	struct list *l, *k;

	for (l = groups[loop->index].next; l != &groups[loop->index]; l = l->next) {
		struct ws_group *g = CONTAINER_OF(l, struct ws_group, link);

		for (k = g->conns.next; k != &g->conns && json_array_size(a->list) < WS_LISTED_MAX;
		     k = k->next) {
			const struct ins_ws *ws = CONTAINER_OF(k, struct ins_ws, link);

			json_array_append_new(a->list,
			    json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:I, s:I, s:I, "
				      "s:I, s:b, s:b}",
				"id", ws->id, "plugin", g->plugin, "route", g->pattern, "tenant",
				ws->tenant_id, "user", ws->user_id, "remote", ws->remote,
				"protocol", ws->protocol, "loop", loop->index, "age_ms",
				(json_int_t)(base_mono_us() - ws->opened_us) / 1000, "messages_in",
				(json_int_t)ws->conn.messages_in, "messages_out",
				(json_int_t)ws->conn.messages_out, "queued_bytes",
				(json_int_t)ws->conn.q_bytes, "busy", ws->task != NULL, "closing",
				ws->conn.closing));
		}
	}
}

json_t *
ws_list(void)
{
	struct ws_list_arg a = { json_array() };
	unsigned i;

	for (i = 0; i < loop_count(); i++)
		loop_call(loop_get((int)i), ws_list_loop, &a);
	return json_pack("{s:I, s:o}", "open", (json_int_t)n_open, "connections", a.list);
}
