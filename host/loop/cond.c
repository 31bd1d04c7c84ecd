/*
 * cond.c: a condition that tasks of one loop wait for. Runs on that loop.
 *
 * Waiters lie on their own stacks. A broadcast never runs them inside the call, so the caller's
 * state is whole when they look at it, and a waiter may free the condition.
 */
#include "loop/task.h"

#define COND_MAGIC 0x434f4e44u

struct ins_cond {
	uint32_t magic;
	struct ins_loop *loop;
	struct list waiters;
};

struct waiter {
	struct list link;
	struct timer timer;
	struct ins_ctx *ctx;
};

struct ins_cond *
cond_new(struct ins_loop *loop)
{
	struct ins_cond *cond = base_alloc(sizeof *cond);

	CHECK_OBJ(loop, LOOP_MAGIC);
	cond->magic = COND_MAGIC;
	cond->loop = loop;
	list_init(&cond->waiters);
	return cond;
}

static void
wake_all(struct ins_cond *cond, int result)
{
	struct waiter *w;

	CHECK_OBJ(cond, COND_MAGIC);
	ASSERT(cond->loop == loop_self());
	while (!list_empty(&cond->waiters)) {
		w = LIST_FIRST(&cond->waiters, struct waiter, link);
		list_remove(&w->link);
		timer_stop(cond->loop, &w->timer);
		task_wake_later(w->ctx, result);
	}
}

void
cond_free(struct ins_cond *cond)
{
	if (cond == NULL)
		return;
	wake_all(cond, -INS_ECANCELED);
	cond->magic = 0;
	free(cond);
}

void
cond_broadcast(struct ins_cond *cond)
{
	wake_all(cond, 0);
}

static void
wait_over(struct timer *t)
{
	struct waiter *w = CONTAINER_OF(t, struct waiter, timer);

	list_remove(&w->link);
	task_wake(w->ctx, -INS_ETIMEOUT);
}

static void
wait_cancel(struct ins_ctx *ctx, void *arg)
{
	struct waiter *w = arg;

	list_remove(&w->link);
	timer_stop(ctx->loop, &w->timer);
}

int
cond_wait(struct ins_ctx *ctx, struct ins_cond *cond, int64_t ms)
{
	struct waiter w = { .ctx = ctx };

	CHECK_OBJ(cond, COND_MAGIC);
	ASSERT(cond->loop == ctx->loop);
	list_append(&cond->waiters, &w.link);
	if (ms >= 0)
		timer_start(ctx->loop, &w.timer, ms, wait_over);
	return task_park(ctx, wait_cancel, &w);
}
