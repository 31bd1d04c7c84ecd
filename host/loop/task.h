/*
 * task.h: the task, which the SDK calls ins_ctx: one request, one bus delivery, one background job.
 *
 * A task owns a coroutine, an arena, who is calling, a deadline and a cancel flag. It is made, runs
 * and ends on one loop. What suspends it is always task_park(): an adaptor starts something, parks
 * the task, and its callback wakes it. There is one ready path (task_wake) and one cancel path
 * (task_cancel), whatever the task waits for.
 */
#ifndef HOST_TASK_H
#define HOST_TASK_H

#include <insula/insula.h>

#include "base/arena.h"
#include "loop/co.h"
#include "loop/loop.h"

#define TASK_MAGIC 0x5441534bu
#define TASK_ARENA_LIMIT (4u << 20)
#define TASKS_PER_LOOP 8192u /* refused past this: -INS_ELIMIT */

struct gen;
struct instance;
struct http_req;
struct route_match;

struct ins_ctx {
	uint32_t magic;
	struct ins_loop *loop;
	struct list link;
	struct co *co;
	struct arena arena;
	const char *name; /* for logs: the route's pattern, the event type, the job's name; lives in
			     the arena */

	/* who; "" until known */
	char tenant_id[37], user_id[129], plan[33];
	const char *permissions; /* arena; "" until known */
	char request_id[65], traceparent[56];

	/* what holds it up: set by the plugin layer, NULL for the host's own tasks */
	struct gen *gen;
	struct instance *inst; /* whose code it is */
	struct http_req *http; /* NULL unless a request; stays valid until the task ends */
	struct ins_ws *ws;     /* of an event of a WebSocket connection, which it holds */
	const struct route_match *params; /* of the request's route; arena */
	int last_words;                   /* made inside drain(): not cancelled with the others */
	int background; /* counted on inst: it does not keep a generation by itself */

	/* first failure */
	int err_code;                                             /* INS_E*, 0 = none */
	const char *err_text, *err_detail, *err_hint, *err_field; /* arena */
	int64_t err_retry_s; /* Retry-After of the error answer, 0 = the default */

	/* private to task.c, read-only elsewhere */
	int (*fn)(struct ins_ctx *, void *);
	void *arg;
	void (*on_end)(struct ins_ctx *, int result);
	int result;
	/* canceled: for good. parked: in task_park. woken: task_wake came before task_park.
	 * returned: fn is done. queued: on the loop's ready list, to go on with park_result, or,
	 * with cancel_due, to call park_cancel first. */
	unsigned canceled : 1, parked : 1, woken : 1, returned : 1, queued : 1, cancel_due : 1;
	int park_result;
	void (*park_cancel)(struct ins_ctx *, void *);
	void *park_arg;
	struct list ready;
	struct timer deadline;
	int64_t deadline_us; /* base_mono_us(); 0 = none */
	int64_t start_us;    /* base_mono_us() */
	int cancel_reason;   /* INS_ECANCELED or INS_ETIMEOUT: what the end of the task reports */
};

/*
 * Makes a task on the current loop and runs fn(ctx, arg) in a coroutine, at once, until it first
 * parks; called inside a coroutine it is task_new_later(). on_end (may be NULL) runs on the loop's
 * stack after fn returned, before the arena goes. setup (may be NULL) runs before fn, on the
 * caller's stack: place to set gen, http, ids. Returns NULL when a limit refuses it (setup, fn and
 * on_end never run). A task that ran to its end at once is gone: compare the pointer with NULL,
 * nothing else.
 */
struct ins_ctx *task_new(const char *name, int (*fn)(struct ins_ctx *, void *), void *arg,
    void (*setup)(struct ins_ctx *, void *), void (*on_end)(struct ins_ctx *, int result));
/* As task_new on the current loop, but fn starts from the loop's next turn: for callers in a
 * coroutine. */
struct ins_ctx *task_new_later(const char *name, int (*fn)(struct ins_ctx *, void *), void *arg,
    void (*setup)(struct ins_ctx *, void *), void (*on_end)(struct ins_ctx *, int result));
/* The task whose coroutine runs now, or NULL. */
struct ins_ctx *task_self(void);

/*
 * Suspends the current task (which is ctx) until task_wake(), whose result it returns. When the
 * task is cancelled, before or meanwhile, cancel(ctx, arg) is called once on the loop's stack and
 * must make sure that nothing will wake it later (forget the waiter); park then returns
 * -INS_ECANCELED. With cancel == NULL the wait can't be cut short: it ends with task_wake and the
 * cancellation shows at the next park. Use: start the operation, then `return task_park(ctx,
 * cancel, op)`.
 */
int task_park(struct ins_ctx *, void (*cancel)(struct ins_ctx *, void *), void *arg);
/* Makes a parked task go on with this result: at once if called from the loop's stack (callbacks of
 * uv, h2o, ...), from the loop's next turn if called inside another coroutine. May be called
 * between the start of the operation and task_park. */
void task_wake(struct ins_ctx *, int result);
/* Cancels; reason is INS_ECANCELED or INS_ETIMEOUT; the first one stays. The task hears of it in
 * the loop's next turn, never inside this call, so it is safe in the middle of a callback. A task
 * that already returned is not touched by this. */
void task_cancel(struct ins_ctx *, int reason);
/* task_cancel(INS_ETIMEOUT) in ms milliseconds, unless an earlier deadline is set. */
void task_deadline(struct ins_ctx *, int64_t ms);
/* 0 or -INS_ECANCELED. */
int task_sleep(struct ins_ctx *, int64_t ms);
/* Runs fn(arg) on uv's thread pool and waits for it, also when cancelled. 0, -INS_EUNAVAILABLE. */
int task_blocking(struct ins_ctx *, void (*fn)(void *), void *arg);

/* The first failure wins; texts are copied into the arena. Returns -code. */
int task_fail(struct ins_ctx *, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void task_clear_error(struct ins_ctx *);
/* log_event plus request_id, trace_id, tenant_id, plugin. Steals fields. */
void task_log(struct ins_ctx *, int level, const char *event, json_t *fields);
/* Those ids, for a line that is built in place (log_begin). */
struct log_line;
void task_log_ids(const struct ins_ctx *, struct log_line *);
/* Set by the plugin layer: the plugin's name for log lines. */
extern const char *(*task_plugin_name)(const struct instance *);

/* Waits of several tasks on one loop (cond.c). cond_wait: 0 when broadcast, -INS_ETIMEOUT after ms
 * (< 0 = never), -INS_ECANCELED. cond_free wakes who waits with -INS_ECANCELED. Waiters go on in
 * the loop's next turn. */
struct ins_cond;
struct ins_cond *cond_new(struct ins_loop *);
void cond_free(struct ins_cond *);
int cond_wait(struct ins_ctx *, struct ins_cond *, int64_t ms);
void cond_broadcast(struct ins_cond *);

/* cond.c: as task_wake, but always from the loop's next turn. */
void task_wake_later(struct ins_ctx *, int result);
/* loop.c */
void task_run_ready(struct ins_loop *);
void task_cancel_all(struct ins_loop *);
void task_pool_fini(void);

#endif
