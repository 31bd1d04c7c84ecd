/* inloop.c: see inloop.h. */
#include "tests/lib/inloop.h"

#include <semaphore.h>

struct run {
	int (*fn)(struct ins_ctx *, void *);
	void *arg;
	int result;
	sem_t done;
};

static void
call(struct ins_loop *loop, void *arg)
{
	((void (*)(struct ins_loop *))(uintptr_t)arg)(loop);
}

void
inloop_start(unsigned n, void (*start)(struct ins_loop *))
{
	loop_start();
	if (start != NULL)
		loop_call_all(call, (void *)(uintptr_t)start);
}

void
inloop_stop(void (*stop)(struct ins_loop *))
{
	if (stop != NULL)
		loop_call_all(call, (void *)(uintptr_t)stop);
	loop_stop_all();
}

static int
body(struct ins_ctx *ctx, void *arg)
{
	struct run *r = arg;

	r->result = r->fn(ctx, r->arg);
	return 0;
}

static void
ended(struct ins_ctx *ctx, int result)
{
	sem_post(&((struct run *)ctx->arg)->done);
}

static void
begin(struct ins_loop *loop, void *arg)
{
	AN(task_new("test", body, arg, NULL, ended));
}

int
inloop_run(unsigned loop, int (*fn)(struct ins_ctx *, void *), void *arg)
{
	struct run r = { fn, arg, 0, { { 0 } } };

	AZ(sem_init(&r.done, 0, 0));
	loop_post(loop_get((int)loop), begin, &r);
	while (sem_wait(&r.done) != 0)
		;
	sem_destroy(&r.done);
	return r.result;
}
