/*
 * request.h: the one way of a request through the host: route, who, permission, handler, reply, log
 * line and metrics. On the loops.
 */
#ifndef HOST_REQUEST_H
#define HOST_REQUEST_H

#include "net/http.h"
#include "plugin/gen.h"

void request_init(void);               /* before the loops start */
void request_entry(struct http_req *); /* http_listen's entry */
void request_access_log(int on);
unsigned request_active(void); /* requests being handled; any thread */

/* 1 if the space-separated permissions hold the wanted one: itself, "area:*" or "*". */
int request_permitted(const char *held, const char *wanted);

#endif
