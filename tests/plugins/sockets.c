/*
 * sockets.c: a WebSocket route that does what it is told, for check_ws.c. A text is a command (see
 * `verbs`); anything else is echoed. How a connection ended is published to the topic "ends".
 */
#include <insula/ws.h>

#include <stdlib.h>

struct conf {
	const char *word, *permission;
	int32_t pinned, need;
	int64_t ping, pong, message, frame, send;
};

struct sockets {
	struct conf conf;
	ins_host *host;
};

struct state {
	uint32_t layout;
	uint32_t count;
};

static int
open_it(ins_ctx *ctx, void *self, ins_ws *ws)
{
	const char *slow = ins_query(ctx, "slow");
	int rc = slow != NULL ? ins_sleep(ctx, atoi(slow)) : 0;

	if (rc != 0)
		return rc;
	if (ins_query(ctx, "refuse") != NULL)
		return ins_fail(ctx, INS_ECONFLICT, "not now");
	if (ins_query(ctx, "answer") != NULL)
		return ins_reply_json(ctx, 200, "{s:b}", "answered", 1);
	if (ins_ws_close(ws, 1000, NULL) != -INS_EINVAL)
		return ins_fail(ctx, INS_EINTERNAL, "a close in open must be refused");
	if (ins_query(ctx, "welcome") != NULL)
		rc = ins_ws_send_text(ctx, ws, "welcome");
	return rc;
}

static int say(ins_ctx *ctx, ins_ws *ws, const char *fmt, ...) INS_PRINTF(3, 4);
static int
say(ins_ctx *ctx, ins_ws *ws, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return ins_ws_send_text(ctx, ws, text);
}

/* n messages of size bytes, to this connection or to a topic. */
static int
flood(ins_ctx *ctx, struct sockets *s, ins_ws *ws, const char *topic, long n, size_t size)
{
	char *p = ins_alloc(ctx, size);
	int rc = 0;

	memset(p, 'x', size);
	for (; n > 0 && rc == 0; n--)
		rc = topic != NULL ? ins_ws_publish(ctx, s->host, topic, INS_WS_BINARY, p, size)
				   : ins_ws_send(ctx, ws, INS_WS_BINARY, p, size);
	return rc;
}

static int
verbs(ins_ctx *ctx, struct sockets *s, ins_ws *ws, char *verb)
{
	char *arg = strchr(verb, ' '), *rest;
	struct state *st = ins_ws_state(ws, sizeof *st);
	int rc;

	if (arg != NULL)
		*arg++ = '\0';
	rest = arg != NULL ? strchr(arg, ' ') : NULL;
	if (rest != NULL)
		*rest++ = '\0';
	if (strcmp(verb, "count") == 0) {
		st->layout = 1;
		return say(ctx, ws, "%u", ++st->count);
	}
	if (strcmp(verb, "who") == 0)
		return say(
		    ctx, ws, "%s %s %s", s->conf.word, ins_tenant_id(ctx), ins_ws_protocol(ws));
	if (strcmp(verb, "state") == 0)
		return say(ctx, ws, "%d %d", ins_ws_state(ws, INS_WS_STATE_MAX + 1) == NULL,
		    ins_ws_state(ws, sizeof *st + 1) == NULL);
	if (strcmp(verb, "badsend") == 0)
		return say(ctx, ws, "%d", ins_ws_send(ctx, ws, INS_WS_TEXT, "\xff", 1));
	if (strcmp(verb, "sleep") == 0) {
		rc = ins_sleep(ctx, atoi(arg));
		return rc != 0 ? rc : say(ctx, ws, "slept");
	}
	if (strcmp(verb, "fail") == 0)
		return ins_fail(ctx, atoi(arg), "%s", rest);
	if (strcmp(verb, "close") == 0)
		return ins_ws_close(ws, (uint32_t)atoi(arg), rest);
	if (strcmp(verb, "flood") == 0)
		return flood(ctx, s, ws, NULL, atol(arg), (size_t)atol(rest));
	if (strcmp(verb, "floodtopic") == 0) {
		rc = flood(ctx, s, ws, "flood", atol(arg), (size_t)atol(rest));
		return rc != 0 ? rc : say(ctx, ws, "published");
	}
	if (strcmp(verb, "join") == 0) {
		rc = ins_ws_join(ws, arg);
		return say(ctx, ws, "joined %d", rc);
	}
	if (strcmp(verb, "leave") == 0) {
		rc = ins_ws_leave(ws, arg);
		return say(ctx, ws, "left %d", rc);
	}
	if (strcmp(verb, "publish") == 0)
		return ins_ws_publish(ctx, s->host, arg, INS_WS_TEXT, rest, strlen(rest));
	return 1;
}

static int
message(ins_ctx *ctx, void *self, ins_ws *ws, uint32_t kind, ins_str data)
{
	char command[600];
	int rc = 1;

	if (kind == INS_WS_TEXT && data.n < sizeof command) {
		memcpy(command, data.p, data.n);
		command[data.n] = '\0';
		rc = verbs(ctx, self, ws, command);
	}
	return rc <= 0 ? rc : ins_ws_send(ctx, ws, kind, data.p, data.n);
}

static void
closed(ins_ctx *ctx, void *self, ins_ws *ws, uint32_t code)
{
	struct sockets *s = self;
	char text[64];

	snprintf(text, sizeof text, "ended %u", code);
	if (ins_ws_send_text(ctx, ws, "too late") == 0)
		abort();
	ins_ws_publish(ctx, s->host, "ends", INS_WS_TEXT, text, strlen(text));
}

static int
init(ins_host *host, const void *conf, void **ret_self)
{
	static const char *const protocols[] = { "two", "one", NULL };
	static const char *const origins[] = { "https://console.example", NULL };
	struct sockets *s = ins_new(host, sizeof *s);
	const struct conf *c = conf;
	ins_ws_route route = INS_WS_ROUTE(.open = open_it, .message = message, .close = closed,
	    .protocols = protocols, .origins = origins);

	s->conf = *c;
	s->host = host;
	*ret_self = s;
	route.flags = (c->pinned ? INS_WS_PINNED : 0) | (c->need ? INS_WS_NEED_PROTOCOL : 0);
	route.message_max = c->message;
	route.frame_max = c->frame;
	route.send_max = c->send;
	route.ping_ms = c->ping;
	route.pong_ms = c->pong;
	return ins_ws_route_add(host, "/sockets", c->permission, &route);
}

static const ins_option options[] = {
	INS_OPT_STR(struct conf, word, "one", "said by who"),
	INS_OPT_STR(struct conf, permission, "sockets:use", "of the route"),
	INS_OPT_BOOL(struct conf, pinned, "false", "end with the instance"),
	INS_OPT_BOOL(struct conf, need, "false", "a sub-protocol is needed"),
	INS_OPT_MS(struct conf, ping, "30s", "silence before a ping"),
	INS_OPT_MS(struct conf, pong, "10s", "silence after it"),
	INS_OPT_SIZE(struct conf, message, "1m", "of a message"),
	INS_OPT_SIZE(struct conf, frame, "0", "of a frame"),
	INS_OPT_SIZE(struct conf, send, "256k", "of the queue"),
	INS_OPT_END(struct conf),
};

INS_PLUGIN(.name = "sockets", .version = "1.0.0", .summary = "WebSocket on demand",
    .caps = INS_CAP_HTTP | INS_CAP_WS, .options = options, .init = init);
