/*
 * redis_uv.c: hiredis' five event hooks on a uv_poll_t.
 *
 * hiredis ships an adapter of its own, which drops poll errors: a refused connection would never
 * be heard of. Here an error counts as readable, and the read says what it was.
 */
#include <stdlib.h>

#include "base/base.h"
#include "data/redis_impl.h"

struct events {
	uv_poll_t poll;
	redisAsyncContext *ac; /* NULL once the context is gone */
	int events;
};

static void
on_poll(uv_poll_t *h, int status, int events)
{
	struct events *e = h->data;

	if (status < 0 || (events & UV_READABLE))
		redisAsyncHandleRead(e->ac);
	if (e->ac != NULL && status >= 0 && (events & UV_WRITABLE))
		redisAsyncHandleWrite(e->ac);
}

static void
want(struct events *e, int events)
{
	e->events = events;
	if (events == 0)
		uv_poll_stop(&e->poll);
	else
		AZ(uv_poll_start(&e->poll, events, on_poll));
}

static void
add_read(void *arg)
{
	struct events *e = arg;

	want(e, e->events | UV_READABLE);
}

static void
del_read(void *arg)
{
	struct events *e = arg;

	want(e, e->events & ~UV_READABLE);
}

static void
add_write(void *arg)
{
	struct events *e = arg;

	want(e, e->events | UV_WRITABLE);
}

static void
del_write(void *arg)
{
	struct events *e = arg;

	want(e, e->events & ~UV_WRITABLE);
}

static void
on_close(uv_handle_t *h)
{
	free(h->data);
}

static void
cleanup(void *arg)
{
	struct events *e = arg;

	e->ac = NULL;
	uv_close((uv_handle_t *)&e->poll, on_close);
}

int
redis_uv_attach(redisAsyncContext *ac, uv_loop_t *uv)
{
	struct events *e = base_alloc(sizeof *e);

	if (uv_poll_init(uv, &e->poll, ac->c.fd) != 0) {
		free(e);
		return -1;
	}
	e->poll.data = e;
	e->ac = ac;
	ac->ev.data = e;
	ac->ev.addRead = add_read;
	ac->ev.delRead = del_read;
	ac->ev.addWrite = add_write;
	ac->ev.delWrite = del_write;
	ac->ev.cleanup = cleanup;
	return 0;
}
