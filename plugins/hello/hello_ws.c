/*
 * hello_ws.c: WebSocket in two routes.
 *
 * GET /v1/hello/echo says back whatever it hears. GET /v1/hello/rooms/{room} is a room of the
 * caller's tenant: what one says, all hear, on whichever loop of the host they are.
 */
#include "hello.h"

#include <insula/ws.h>

#define ROOM_MAX 100

static int
echo(ins_ctx *ctx, void *self, ins_ws *ws, uint32_t kind, ins_str data)
{
	return ins_ws_send(ctx, ws, kind, data.p, data.n);
}

/* The path is known in open only; what the messages need of it stays with the connection. */
static int
room_open(ins_ctx *ctx, void *self, ins_ws *ws)
{
	const char *room = ins_param(ctx, "room");
	char *kept = ins_ws_state(ws, ROOM_MAX + 1);

	if (strlen(room) > ROOM_MAX)
		return ins_fail(ctx, INS_EINVAL, "a room's name has at most %d bytes", ROOM_MAX);
	strcpy(kept, room);
	return ins_ws_join(ws, room);
}

static int
room_message(ins_ctx *ctx, void *self, ins_ws *ws, uint32_t kind, ins_str data)
{
	struct hello *hello = self;

	return ins_ws_publish(
	    ctx, hello->host, ins_ws_state(ws, ROOM_MAX + 1), kind, data.p, data.n);
}

int
hello_ws_init(ins_host *host)
{
	static const char *const protocols[] = { "hello.v2", "hello.v1", NULL };
	static const ins_ws_route echo_route = INS_WS_ROUTE(.message = echo,
	    .protocols = protocols);
	static const ins_ws_route room_route = INS_WS_ROUTE(.open = room_open,
	    .message = room_message, .message_max = 64 << 10);
	int rc = ins_ws_route_add(host, "/v1/hello/echo", "hello:read", &echo_route);

	return rc != 0
	    ? rc
	    : ins_ws_route_add(host, "/v1/hello/rooms/{room}", "hello:read", &room_route);
}
