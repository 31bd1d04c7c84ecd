/*
 * ws.h: WebSocket (INS_CAP_WS), RFC 6455.
 *
 * A route of WebSocket connections is registered beside the plugin's HTTP routes and goes the same
 * way: routing, who is calling, permission. Then the host owns the connection. What a plugin writes
 * is one function per event, each a task of its own with the tenant and the user of the handshake:
 * open, message, close. An idle connection is no task and holds no generation.
 *
 * The events of one connection come one at a time and in order: while message() is suspended the
 * next message waits, and past a few of them the host stops reading from that client.
 *
 * Connections outlive a reload: the next message goes to the plugin that serves then, if it still
 * has the route and the permissions of the handshake still cover the route's; else the connection
 * is closed with 1012 or 1008. Who is calling is asked once, at the handshake: a key that is
 * revoked or a token that expires ends no connection. What a plugin wants to know of a connection
 * it keeps in ins_ws_state(), bytes of the host, not in pointers.
 *
 * Two ways to send. ins_ws_send() is for one connection and waits while its client reads too
 * slowly. ins_ws_publish() is for all connections of the tenant that joined a topic, on every loop
 * of this host: the frame is encoded once, nobody waits, and a connection whose queue is full is
 * closed with 1013.
 *
 * Since ABI 1.0.
 */
#ifndef INSULA_WS_H
#define INSULA_WS_H

#include <insula/insula.h>

#ifdef __cplusplus
extern "C" {
#endif

#define INS_WS_TEXT 1u   /* valid UTF-8, checked by the host in both directions */
#define INS_WS_BINARY 2u /* any bytes */

#define INS_WS_TOPIC_MAX 128u /* bytes of a topic's name */
#define INS_WS_TOPICS_MAX 64u /* of one connection */
#define INS_WS_STATE_MAX 4096u

/* Flags of a route. */
#define INS_WS_PINNED 1u        /* the connection ends (1012) with the instance that opened it */
#define INS_WS_NEED_PROTOCOL 2u /* a client that offers none of protocols is refused with 400 */

struct ins_ws_route {
	uint32_t size; /* INS_WS_ROUTE sets it */
	uint32_t flags;
	/*
	 * In the task of the handshake, before it is answered: the http getters work, and
	 * ins_fail() refuses it with that error's status. A task may already send and join here.
	 * NULL = accept.
	 */
	int (*open)(ins_ctx *, void *self, ins_ws *);
	/*
	 * data lives as long as the task. A failure closes the connection: with 1008 for what the
	 * client did wrong, 1013 for limits, 1011 else, and the text of ins_fail() as reason.
	 */
	int (*message)(ins_ctx *, void *self, ins_ws *, uint32_t kind, ins_str data);
	/*
	 * Once for each connection that was made, after it ended, if the plugin still has the
	 * route; not when the client left while open ran: what open takes, it keeps in the state.
	 * code: what the client closed with, 1005 when it gave none, 1006 when it vanished,
	 * or what the host closed with. Sending does nothing any more. NULL = not asked.
	 */
	void (*close)(ins_ctx *, void *self, ins_ws *, uint32_t code);
	/* Sub-protocols by preference, NULL-terminated; the first that the client offers is taken.
	 * NULL = none. Borrowed for the life of the instance, as is origins. */
	const char *const *protocols;
	/* Values of Origin that may connect ("https://console.example"), NULL-terminated. A client
	 * without an Origin is no browser and may too. NULL = any. */
	const char *const *origins;
	/* bytes of a message; longer ones close with 1009, and those that are not whole within a
	 * minute of their first frame with 1008; 0 = 1 MiB */
	int64_t message_max;
	int64_t frame_max; /* bytes of one frame of it; 0 = message_max */
	int64_t send_max;  /* bytes queued for one connection; 0 = 256 KiB */
	int64_t ping_ms;   /* a ping after this much silence of the client; 0 = 30 s */
	int64_t pong_ms;   /* and its end after this much more; 0 = 10 s */
};

struct ins_ws_api {
	uint32_t size;
	int (*route)(ins_host *, const char *pattern, const char *permission, const ins_ws_route *);
	int (*send)(ins_ctx *, ins_ws *, uint32_t kind, const char *p, size_t n);
	int (*close)(ins_ws *, uint32_t code, const char *reason);
	int (*join)(ins_ws *, const char *topic);
	int (*leave)(ins_ws *, const char *topic);
	int (*publish)(
	    ins_ctx *, ins_host *, const char *topic, uint32_t kind, const char *p, size_t n);
	void *(*state)(ins_ws *, size_t n);
	const char *(*id)(const ins_ws *);
	const char *(*protocol)(const ins_ws *);
	size_t (*queued)(const ins_ws *);
};

/* In init: GET of the pattern with this permission ("area:verb" or INS_PUBLIC) is a WebSocket.
 * The route's struct is copied, what it points at is not. */
static inline int
ins_ws_route_add(
    ins_host *host, const char *pattern, const char *permission, const ins_ws_route *route)
{
	return ins_api_->ws->route(host, pattern, permission, route);
}

#define INS_WS_ROUTE(...)                                        \
	{                                                        \
		.size = sizeof(struct ins_ws_route), __VA_ARGS__ \
	}

/*
 * One message to this connection; the bytes are copied. Suspends ctx while more than the route's
 * send_max is queued. -INS_EINVAL for text that is not UTF-8, -INS_ECANCELED when the connection is
 * closing or gone. An ins_ws is good inside the event that was given it (and its spawned
 * children's life ends before: do not hand it to them).
 */
INS_AWAITS
static inline int
ins_ws_send(ins_ctx *ctx, ins_ws *ws, uint32_t kind, const char *p, size_t n)
{
	return ins_api_->ws->send(ctx, ws, kind, p, n);
}

INS_AWAITS
static inline int
ins_ws_send_text(ins_ctx *ctx, ins_ws *ws, const char *z)
{
	return ins_api_->ws->send(ctx, ws, INS_WS_TEXT, z, strlen(z));
}

/* Begins the close handshake; what was sent before goes out first. code: 1000, 1001, 1003, 1007 to
 * 1014 or 3000 to 4999; reason: at most 123 bytes of UTF-8, NULL = none. In open it is
 * -INS_EINVAL: refuse with ins_fail() there. */
static inline int
ins_ws_close(ins_ws *ws, uint32_t code, const char *reason)
{
	return ins_api_->ws->close(ws, code, reason);
}

/* From now on this connection gets what is published to the topic of its tenant and plugin. Joining
 * twice is joining once. -INS_ELIMIT past INS_WS_TOPICS_MAX. */
static inline int
ins_ws_join(ins_ws *ws, const char *topic)
{
	return ins_api_->ws->join(ws, topic);
}

static inline int
ins_ws_leave(ins_ws *ws, const char *topic)
{
	return ins_api_->ws->leave(ws, topic);
}

/*
 * To every connection of ctx's tenant that joined the topic by this plugin, on all loops of this
 * host (not of others: that is what the bus is for). Any task; does not suspend. On one loop the
 * order is that of the calls. 0 also when nobody listens.
 */
static inline int
ins_ws_publish(
    ins_ctx *ctx, ins_host *host, const char *topic, uint32_t kind, const char *p, size_t n)
{
	return ins_api_->ws->publish(ctx, host, topic, kind, p, n);
}

/* n bytes (at most INS_WS_STATE_MAX) kept with the connection, zero at first; the same ones at each
 * call, also after a reload: begin with a number that names their layout. A larger n than at the
 * first call gives NULL. */
static inline void *
ins_ws_state(ins_ws *ws, size_t n)
{
	return ins_api_->ws->state(ws, n);
}

/* A uuid of this connection. */
static inline const char *
ins_ws_id(const ins_ws *ws)
{
	return ins_api_->ws->id(ws);
}

/* The agreed sub-protocol, "" when none. */
static inline const char *
ins_ws_protocol(const ins_ws *ws)
{
	return ins_api_->ws->protocol(ws);
}

/* Bytes that wait to be sent. */
static inline size_t
ins_ws_queued(const ins_ws *ws)
{
	return ins_api_->ws->queued(ws);
}

#ifdef __cplusplus
}
#endif
#endif
