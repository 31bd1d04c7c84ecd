/* api.h: fills the capability tables. The functions stand in api_core.c (always there) and one file
 * per capability; a table that was not granted stays NULL. */
#ifndef HOST_API_H
#define HOST_API_H

#include <insula/ws.h>

#include "plugin/plugin.h"

void api_core_fill(ins_api *);
void api_grant(ins_api *, uint64_t caps);

extern const ins_core_api api_core;
extern const ins_task_api api_task;
extern const ins_service_api api_service;
extern const ins_metric_api api_metric;
extern const ins_http_api api_http;
extern const ins_db_api api_db;
extern const ins_bus_api api_bus;
extern const ins_fetch_api api_fetch;
extern const ins_auth_api api_auth;
extern const ins_engine_api api_engine;
extern const ins_child_api api_child;
extern const ins_ws_api api_ws;

/* api_auth.c: who the task is for; fails the task with -INS_EUNAUTHENTICATED. */
int api_set_principal(struct ins_ctx *, const ins_principal *);
/* api_task.c: a task that holds a generation with the instance; who NULL: as its maker. */
int api_spawn_in(struct ins_ctx *maker, ins_host *, const ins_principal *who, const char *name,
    ins_task_fn, void *arg);
/* api_engine.c: names this host and this boot of it; control thread, once. */
void api_engine_init(void);
/* api_bus.c: the bus hands a message of a plugin_sub over. */
void api_bus_deliver(struct ins_loop *, void *user, json_t *envelope, void *token);
void api_bus_subscribe(struct instance *);   /* control thread, when it begins to serve */
void api_bus_unsubscribe(struct instance *); /* before it stops to */

#endif
