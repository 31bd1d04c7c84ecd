/* api_ws.c: WebSocket routes (in init, control thread), and what a task may do with a connection
 * (loops): send, close, topics, state. */
#include "plugin/api.h"
#include "plugin/ws.h"

static int
api_ws_limits_ok(const ins_ws_route *r)
{
	return r->message_max >= 0 && r->message_max <= WS_SEND_MAX && r->frame_max >= 0 &&
	    r->send_max >= 0 && r->send_max <= WS_SEND_MAX && r->ping_ms >= 0 && r->pong_ms >= 0 &&
	    !(r->flags & ~(INS_WS_PINNED | INS_WS_NEED_PROTOCOL)) &&
	    (r->protocols != NULL || !(r->flags & INS_WS_NEED_PROTOCOL));
}

static int
api_ws_no_handler(ins_ctx *ctx, void *self)
{
	return -INS_EINTERNAL; /* request.c looks at the route's ws first */
}

static int
api_ws_route(ins_host *host, const char *pattern, const char *permission, const ins_ws_route *given)
{
	struct instance *inst = plugin_of(host);
	struct plugin_route *r;
	ins_ws_route *copy;
	int rc;

	if (given == NULL || given->size < sizeof(uint32_t) * 2)
		return api_core.host_fail(host, NULL, "ins_ws_route_add: a route with its size");
	/* A plugin of an older minor knows fewer members: they are zero. */
	copy = arena_alloc(&inst->arena, sizeof *copy);
	AN(copy);
	memset(copy, 0, sizeof *copy);
	memcpy(copy, given, given->size < sizeof *copy ? given->size : sizeof *copy);
	if (!api_ws_limits_ok(copy))
		return api_core.host_fail(
		    host, NULL, "ins_ws_route_add: a limit out of range or an unknown flag");
	rc = api_http.route(host, "GET", pattern, permission, api_ws_no_handler);
	if (rc != 0)
		return rc;
	for (r = inst->routes; r->next != NULL; r = r->next)
		;
	r->ws = copy;
	return 0;
}

static void
api_ws_on_cancelled(struct ins_ctx *ctx, void *arg)
{
	struct ins_ws *ws = arg;

	ws->waiter = NULL;
	ws->conn.wants_room = 0;
}

static int
api_ws_send(ins_ctx *ctx, ins_ws *given, uint32_t kind, const char *p, size_t n)
{
	struct ins_ws *ws = ws_of(given);
	struct ws_frame *f;
	int rc;

	if ((kind != INS_WS_TEXT && kind != INS_WS_BINARY) || n > WS_SEND_MAX || ws->task != ctx ||
	    (kind == INS_WS_TEXT && !ws_utf8_valid(p, n)))
		return -INS_EINVAL;
	f = ws_frame_new(kind == INS_WS_TEXT ? WS_OP_TEXT : WS_OP_BINARY, p, n);
	while ((rc = ws_send(&ws->conn, f)) == -INS_ELIMIT) {
		/* Before the 101 nothing drains: open may queue up to its limit and no more. */
		if (ctx->http != NULL)
			break;
		ws->waiter = ctx;
		ws->conn.wants_room = 1;
		rc = task_park(ctx, api_ws_on_cancelled, ws);
		if (rc != 0)
			break;
	}
	ws_frame_unref(f);
	return rc;
}

static int
api_ws_close(ins_ws *given, uint32_t code, const char *reason)
{
	struct ins_ws *ws = ws_of(given);

	if (!ws->accepted || !ws_code_valid(code) ||
	    (reason != NULL &&
		(strlen(reason) > WS_REASON_MAX || !ws_utf8_valid(reason, strlen(reason)))))
		return -INS_EINVAL;
	ws_close(&ws->conn, code, reason, 0);
	return 0;
}

int
ws_topic_name(
    char ret[WS_TOPIC_NAME_MAX], const char *tenant, const char *plugin, const char *topic)
{
	size_t n = topic == NULL ? 0 : strlen(topic);
	int len;

	if (n == 0 || n > INS_WS_TOPIC_MAX)
		return -INS_EINVAL;
	/* Neither a tenant's id nor a plugin's name has a slash. */
	len = snprintf(ret, WS_TOPIC_NAME_MAX, "%s/%s/%s", tenant, plugin, topic);
	return len > 0 && len < WS_TOPIC_NAME_MAX ? 0 : -INS_EINVAL;
}

static int
api_ws_join(ins_ws *given, const char *topic)
{
	struct ins_ws *ws = ws_of(given);
	char name[WS_TOPIC_NAME_MAX];

	if (ws->group == NULL)
		return -INS_ECANCELED;
	if (ws_topic_name(name, ws->tenant_id, ws->group->plugin, topic) != 0)
		return -INS_EINVAL;
	return ws_topic_join(&ws->conn, name, INS_WS_TOPICS_MAX);
}

static int
api_ws_leave(ins_ws *given, const char *topic)
{
	struct ins_ws *ws = ws_of(given);
	char name[WS_TOPIC_NAME_MAX];

	if (ws->group == NULL)
		return -INS_ECANCELED;
	if (ws_topic_name(name, ws->tenant_id, ws->group->plugin, topic) != 0)
		return -INS_EINVAL;
	ws_topic_leave(&ws->conn, name);
	return 0;
}

static int
api_ws_publish(
    ins_ctx *ctx, ins_host *host, const char *topic, uint32_t kind, const char *p, size_t n)
{
	char name[WS_TOPIC_NAME_MAX];

	if ((kind != INS_WS_TEXT && kind != INS_WS_BINARY) || n > WS_SEND_MAX ||
	    ws_topic_name(name, ctx->tenant_id, plugin_of(host)->name, topic) != 0 ||
	    (kind == INS_WS_TEXT && !ws_utf8_valid(p, n)))
		return -INS_EINVAL;
	ws_topic_publish(name, ws_frame_new(kind == INS_WS_TEXT ? WS_OP_TEXT : WS_OP_BINARY, p, n));
	return 0;
}

static void *
api_ws_state(ins_ws *given, size_t n)
{
	struct ins_ws *ws = ws_of(given);

	if (n == 0 || n > INS_WS_STATE_MAX || (ws->state != NULL && n > ws->state_n))
		return NULL;
	if (ws->state == NULL) {
		ws->state = base_alloc(n);
		ws->state_n = n;
	}
	return ws->state;
}

static const char *
api_ws_id(const ins_ws *ws)
{
	return ws->id;
}

static const char *
api_ws_protocol(const ins_ws *ws)
{
	return ws->protocol;
}

static size_t
api_ws_queued(const ins_ws *ws)
{
	return ws->conn.q_bytes;
}

const ins_ws_api api_ws = {
	.size = sizeof(ins_ws_api),
	.route = api_ws_route,
	.send = api_ws_send,
	.close = api_ws_close,
	.join = api_ws_join,
	.leave = api_ws_leave,
	.publish = api_ws_publish,
	.state = api_ws_state,
	.id = api_ws_id,
	.protocol = api_ws_protocol,
	.queued = api_ws_queued,
};
