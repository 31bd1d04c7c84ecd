/* absent.c: weak stand-ins for the layers that are not in the tree yet; each goes with the layer's
 * arrival. */
#include "child/child.h"
#include "data/bus.h"
#include "data/devstack.h"

#define WEAK __attribute__((weak))

WEAK void
bus_init(const char *url)
{
}
WEAK void
bus_fini(void)
{
}
WEAK int
bus_up(void)
{
	return 0;
}
WEAK struct bus_sub *
bus_subscribe(
    const char *d, const char *e, void (*f)(struct ins_loop *, void *, json_t *, void *), void *u)
{
	return NULL;
}
WEAK void
bus_unsubscribe(struct bus_sub *s)
{
}
WEAK void
bus_done(void *t, int r, const char *e)
{
}
WEAK int
outbox_event(struct ins_ctx *c, const ins_principal *p, const char *e, const char *r, const char *w,
    const char *t, const json_t *j, ins_call *ret)
{
	return task_fail(c, INS_EUNAVAILABLE, "no outbox");
}
WEAK void
outbox_start(struct ins_loop *l)
{
}
WEAK void
outbox_stop(struct ins_loop *l)
{
}
WEAK int
bus_dlq_list(const char *u)
{
	return 1;
}
WEAK int
bus_dlq_redrive(const char *u, const char *i)
{
	return 1;
}
