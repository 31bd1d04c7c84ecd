/* redis_impl.h: what the files of redis share: hiredis and libuv meet in redis_uv.c. */
#ifndef HOST_REDIS_IMPL_H
#define HOST_REDIS_IMPL_H

#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <uv.h>

/* redis_uv.c: gives the context its events from this loop; 0 or -1. */
int redis_uv_attach(redisAsyncContext *, uv_loop_t *);

#endif
