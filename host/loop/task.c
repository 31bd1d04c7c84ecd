/*
 * task.c: the life of a task: made, run, parked, woken, cancelled, ended. Runs on the task's loop.
 *
 * A task is in exactly one place: running (or its resumer's coroutine runs), parked and waiting for
 * an adaptor, or parked and on its loop's ready list. Three things put it on that list: a start or
 * a wake from inside another coroutine, and a cancel. Waking from the loop's own stack goes on at
 * once, which is what makes an await cost two switches and nothing else. Cancels always go through
 * the list, so that a callback that cancels can finish its work before the task reacts to it.
 */
#include "loop/task.h"

#include <stdarg.h>

#include "base/log.h"

#define TASK_POOL 128u /* ended tasks' structs that a thread keeps */

const char *(*task_plugin_name)(const struct instance *);

static __thread struct ins_ctx *pool; /* by `arg` */
static __thread unsigned n_pool;

static struct ins_ctx *
task_alloc(void)
{
	struct ins_ctx *ctx = pool;

	if (ctx == NULL)
		return calloc(1, sizeof *ctx);
	pool = ctx->arg;
	n_pool--;
	return memset(ctx, 0, sizeof *ctx);
}

static void
task_free(struct ins_ctx *ctx)
{
	ctx->magic = 0;
	/* under AddressSanitizer a stale pointer shall show */
	if (BASE_ASAN || n_pool == TASK_POOL) {
		free(ctx);
		return;
	}
	ctx->arg = pool;
	pool = ctx;
	n_pool++;
}

void
task_pool_fini(void)
{
	struct ins_ctx *ctx;

	while ((ctx = pool) != NULL) {
		pool = ctx->arg;
		free(ctx);
	}
	n_pool = 0;
}

static void
task_main(void *arg)
{
	struct ins_ctx *ctx = arg;

	ctx->result = ctx->fn(ctx, ctx->arg);
	ctx->returned = 1;
}

static void
end(struct ins_ctx *ctx)
{
	struct ins_loop *loop = ctx->loop;

	ASSERT(!ctx->parked && !ctx->queued);
	timer_stop(loop, &ctx->deadline);
	if (ctx->on_end != NULL)
		ctx->on_end(ctx, ctx->result);
	CHECK_OBJ(ctx, TASK_MAGIC);
	list_remove(&ctx->link);
	if (--loop->n_tasks == 0 && loop->stopping)
		uv_stop(&loop->uv); /* close_loop() waits for this */
	arena_fini(&ctx->arena);
	task_free(ctx);
}

/* On the loop's stack. */
static void
resume(struct ins_ctx *ctx)
{
	struct ins_loop *loop = ctx->loop;

	ASSERT(co_self() == NULL && loop->running == NULL);
	loop->running = ctx;
	if (co_resume(ctx->co)) {
		ctx->co = NULL;
		loop->running = NULL;
		end(ctx);
	} else {
		loop->running = NULL;
		ASSERT(ctx->parked);
	}
}

static void
unpark(struct ins_ctx *ctx, int result)
{
	ctx->parked = 0;
	ctx->park_result = result;
	ctx->park_cancel = NULL;
	resume(ctx);
}

static void
enqueue(struct ins_ctx *ctx)
{
	ASSERT(!ctx->queued);
	ctx->queued = 1;
	list_append(&ctx->loop->ready, &ctx->ready);
	loop_turn(ctx->loop);
}

/* One turn's worth: what becomes ready meanwhile waits for the next. */
void
task_run_ready(struct ins_loop *loop)
{
	struct list turn;
	struct ins_ctx *ctx;

	if (list_empty(&loop->ready))
		return;
	turn = loop->ready;
	turn.next->prev = turn.prev->next = &turn;
	list_init(&loop->ready);
	while (!list_empty(&turn)) {
		ctx = LIST_FIRST(&turn, struct ins_ctx, ready);
		CHECK_OBJ(ctx, TASK_MAGIC);
		list_remove(&ctx->ready);
		ctx->queued = 0;
		if (ctx->cancel_due) {
			ctx->cancel_due = 0;
			ctx->park_cancel(ctx, ctx->park_arg);
			/* it may have given back a result that came in just now */
			ASSERT(ctx->parked && !ctx->queued);
			unpark(ctx, -INS_ECANCELED);
		} else if (ctx->parked) {
			unpark(ctx, ctx->park_result);
		} else {
			resume(ctx); /* its start */
		}
	}
}

static struct ins_ctx *
make(const char *name, int (*fn)(struct ins_ctx *, void *), void *arg,
    void (*setup)(struct ins_ctx *, void *), void (*on_end)(struct ins_ctx *, int))
{
	struct ins_loop *loop = loop_self();
	struct ins_ctx *ctx;

	CHECK_OBJ(loop, LOOP_MAGIC);
	if (loop->n_tasks >= TASKS_PER_LOOP)
		return NULL;
	ctx = task_alloc();
	if (ctx == NULL)
		return NULL;
	ctx->co = co_new(task_main, ctx);
	if (ctx->co == NULL) {
		task_free(ctx);
		return NULL;
	}
	ctx->magic = TASK_MAGIC;
	ctx->loop = loop;
	list_init(&ctx->ready);
	list_append(&loop->tasks, &ctx->link);
	loop->n_tasks++;
	arena_init(&ctx->arena, TASK_ARENA_LIMIT);
	ctx->permissions = "";
	ctx->fn = fn;
	ctx->arg = arg;
	ctx->on_end = on_end;
	ctx->start_us = base_mono_us();
	ctx->name = arena_strdup(&ctx->arena, name == NULL ? "" : name);
	if (ctx->name == NULL)
		ctx->name = "";
	if (setup != NULL)
		setup(ctx, arg);
	return ctx;
}

struct ins_ctx *
task_new_later(const char *name, int (*fn)(struct ins_ctx *, void *), void *arg,
    void (*setup)(struct ins_ctx *, void *), void (*on_end)(struct ins_ctx *, int))
{
	struct ins_ctx *ctx = make(name, fn, arg, setup, on_end);

	if (ctx != NULL)
		enqueue(ctx);
	return ctx;
}

struct ins_ctx *
task_new(const char *name, int (*fn)(struct ins_ctx *, void *), void *arg,
    void (*setup)(struct ins_ctx *, void *), void (*on_end)(struct ins_ctx *, int))
{
	struct ins_ctx *ctx = make(name, fn, arg, setup, on_end);

	if (ctx == NULL)
		return NULL;
	if (co_self() != NULL)
		enqueue(ctx);
	else
		resume(ctx);
	return ctx;
}

struct ins_ctx *
task_self(void)
{
	struct ins_loop *loop = loop_self();

	return loop == NULL ? NULL : loop->running;
}

int
task_park(struct ins_ctx *ctx, void (*cancel)(struct ins_ctx *, void *), void *arg)
{
	CHECK_OBJ(ctx, TASK_MAGIC);
	ASSERT(ctx == task_self() && !ctx->parked);
	if (ctx->woken) {
		ctx->woken = 0;
		return ctx->park_result;
	}
	ctx->parked = 1;
	ctx->park_cancel = cancel;
	ctx->park_arg = arg;
	if (ctx->canceled && cancel != NULL) {
		ctx->cancel_due = 1;
		enqueue(ctx);
	}
	co_yield();
	ASSERT(!ctx->parked);
	return ctx->park_result;
}

static void
wake(struct ins_ctx *ctx, int result, int at_once)
{
	CHECK_OBJ(ctx, TASK_MAGIC);
	ASSERT(ctx->loop == loop_self());
	ASSERT(!ctx->returned);
	if (!ctx->parked) {
		ASSERT(!ctx->woken); /* an operation wakes its task once */
		ctx->woken = 1;
		ctx->park_result = result;
		return;
	}
	if (ctx->queued) {
		/* the result overtook a cancel that had not been delivered: nothing to cancel */
		ASSERT(ctx->cancel_due);
		ctx->cancel_due = 0;
		ctx->park_result = result;
		return;
	}
	if (at_once && co_self() == NULL) {
		unpark(ctx, result);
		return;
	}
	ctx->park_result = result;
	enqueue(ctx);
}

void
task_wake(struct ins_ctx *ctx, int result)
{
	wake(ctx, result, 1);
}

void
task_wake_later(struct ins_ctx *ctx, int result)
{
	wake(ctx, result, 0);
}

void
task_cancel(struct ins_ctx *ctx, int reason)
{
	CHECK_OBJ(ctx, TASK_MAGIC);
	ASSERT(ctx->loop == loop_self());
	if (ctx->returned || ctx->canceled)
		return;
	ctx->canceled = 1;
	ctx->cancel_reason = reason;
	if (ctx->parked && !ctx->queued && ctx->park_cancel != NULL) {
		ctx->cancel_due = 1;
		enqueue(ctx);
	}
}

void
task_cancel_all(struct ins_loop *loop)
{
	struct list *l;

	/* safe to walk: a cancel runs nothing */
	for (l = loop->tasks.next; l != &loop->tasks; l = l->next)
		task_cancel(CONTAINER_OF(l, struct ins_ctx, link), INS_ECANCELED);
}

static void
deadline_passed(struct timer *t)
{
	task_cancel(CONTAINER_OF(t, struct ins_ctx, deadline), INS_ETIMEOUT);
}

void
task_deadline(struct ins_ctx *ctx, int64_t ms)
{
	int64_t at;

	CHECK_OBJ(ctx, TASK_MAGIC);
	if (ms < 0)
		ms = 0;
	if (ctx->returned || __builtin_mul_overflow(ms, 1000, &at) ||
	    __builtin_add_overflow(at, base_mono_us(), &at))
		return;
	if (ctx->deadline_us != 0 && ctx->deadline_us <= at)
		return;
	ctx->deadline_us = at;
	timer_start(ctx->loop, &ctx->deadline, ms, deadline_passed);
}

struct sleeper {
	struct timer timer;
	struct ins_ctx *ctx;
};

static void
sleep_over(struct timer *t)
{
	task_wake(CONTAINER_OF(t, struct sleeper, timer)->ctx, 0);
}

static void
sleep_cancel(struct ins_ctx *ctx, void *arg)
{
	struct sleeper *s = arg;

	timer_stop(ctx->loop, &s->timer);
}

int
task_sleep(struct ins_ctx *ctx, int64_t ms)
{
	struct sleeper s = { .ctx = ctx };

	timer_start(ctx->loop, &s.timer, ms, sleep_over);
	return task_park(ctx, sleep_cancel, &s);
}

struct work {
	uv_work_t req;
	void (*fn)(void *);
	void *arg;
	struct ins_ctx *ctx;
};

static void
work_run(uv_work_t *req)
{
	struct work *w = CONTAINER_OF(req, struct work, req);

	w->fn(w->arg);
}

static void
work_done(uv_work_t *req, int status)
{
	struct work *w = CONTAINER_OF(req, struct work, req);

	task_wake(w->ctx, status == 0 ? 0 : -INS_EUNAVAILABLE);
}

int
task_blocking(struct ins_ctx *ctx, void (*fn)(void *), void *arg)
{
	struct work w = { .fn = fn, .arg = arg, .ctx = ctx };

	if (ctx->canceled)
		return -INS_ECANCELED;
	if (uv_queue_work(&ctx->loop->uv, &w.req, work_run, work_done) != 0)
		return -INS_EUNAVAILABLE;
	return task_park(ctx, NULL, NULL);
}

int
task_fail(struct ins_ctx *ctx, int code, const char *fmt, ...)
{
	va_list ap;

	CHECK_OBJ(ctx, TASK_MAGIC);
	if (code < 0)
		code = -code;
	if (code == 0)
		code =
		    INS_EINTERNAL; /* a failure that says "no error" is a mistake, not a success */
	if (ctx->err_code != 0)
		return -code;
	ctx->err_code = code;
	va_start(ap, fmt);
	ctx->err_text = arena_vprintf(&ctx->arena, fmt, ap);
	va_end(ap);
	if (ctx->err_text == NULL)
		ctx->err_text = "the request used more memory than a task may";
	return -code;
}

void
task_clear_error(struct ins_ctx *ctx)
{
	CHECK_OBJ(ctx, TASK_MAGIC);
	ctx->err_code = 0;
	ctx->err_text = ctx->err_detail = ctx->err_hint = ctx->err_field = NULL;
	ctx->err_retry_s = 0;
}

void
task_log_ids(const struct ins_ctx *ctx, struct log_line *l)
{
	char trace[33];

	log_str(l, "request_id", ctx->request_id);
	if (strlen(ctx->traceparent) == 55) { /* 00-<32 trace>-<16 span>-<2 flags> */
		memcpy(trace, ctx->traceparent + 3, 32);
		trace[32] = '\0';
		log_str(l, "trace_id", trace);
	}
	log_str(l, "tenant_id", ctx->tenant_id);
	if (ctx->inst != NULL && task_plugin_name != NULL)
		log_str(l, "plugin", task_plugin_name(ctx->inst));
}

void
task_log(struct ins_ctx *ctx, int level, const char *event, json_t *fields)
{
	struct log_line l;

	CHECK_OBJ(ctx, TASK_MAGIC);
	if (log_begin(&l, level, event)) {
		log_json(&l, fields);
		task_log_ids(ctx, &l);
		log_end(&l);
	}
	json_decref(fields);
}
