/*
 * ws.h: WebSocket connections of plugins (the SDK's ins_ws): from the handshake, which is a
 * request, over their messages, each of which is a task, to their end. On the loops, except where a
 * comment says control thread.
 */
#ifndef HOST_PLUGIN_WS_H
#define HOST_PLUGIN_WS_H

#include <insula/ws.h>

#include "net/ws.h"
#include "plugin/gen.h"

#define WS_INS_MAGIC 0x57536e73u
#define WS_PROTOCOL_MAX 64u /* bytes of a sub-protocol's name */
#define WS_LISTED_MAX 1000u /* connections in one admin answer */
#define WS_DEFAULT_MESSAGE (1 << 20)
#define WS_DEFAULT_SEND (256 << 10)
#define WS_DEFAULT_PING_MS 30000
#define WS_DEFAULT_PONG_MS 10000

/* All connections of one loop and one route, whatever generation serves it. */
struct ws_group {
	struct list link;  /* of the loop */
	struct list conns; /* struct ins_ws.link */
	char *plugin, *pattern, *permission;
	const struct plugin_route *route; /* of the loop's serving generation; NULL: it has none */
};

struct ins_ws {
	uint32_t magic;
	struct ws_conn conn;
	struct list link;
	struct ws_group *group;
	struct ins_ctx *task;   /* the event that is being handled */
	struct ins_ctx *waiter; /* in ins_ws_send() */
	struct ws_message *message;
	unsigned code;     /* how it ended */
	int accepted;      /* open() said yes and the 101 is on its way */
	int counted;       /* among the tenant's */
	uint64_t instance; /* that opened it */
	int64_t opened_us;
	void *state;
	size_t state_n;
	char *permissions;
	char id[37], tenant_id[37], user_id[129], plan[33], request_id[65], traceparent[56];
	char remote[64], protocol[WS_PROTOCOL_MAX + 1];
};

static inline struct ins_ws *
ws_of(ins_ws *ws)
{
	CHECK_OBJ(ws, WS_INS_MAGIC);
	return ws;
}

void ws_init(int64_t max, int64_t tenant_max); /* before the loops start */
void ws_fini(void);                            /* after they stopped */
/* The handler of a WebSocket route, in the task of its request. */
int ws_handshake(struct ins_ctx *, const struct plugin_route *);
/* On a loop: this generation serves from now on. */
void ws_publish_loop(struct ins_loop *, const struct gen *);
/* Control thread: no new connections, and the open ones are closed with 1001. */
void ws_drain(void);
/* Control thread. [{"id", "plugin", "route", "tenant", "user", "remote", ...}] */
json_t *ws_list(void);
/* What a topic of this plugin and tenant is called on the host. 0, -INS_EINVAL. */
#define WS_TOPIC_NAME_MAX 320
int ws_topic_name(
    char ret[WS_TOPIC_NAME_MAX], const char *tenant, const char *plugin, const char *topic);

#endif
