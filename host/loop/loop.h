/*
 * loop.h: one event loop per thread, sharing nothing, and the mailbox by which other threads reach
 * it.
 *
 * Layers above keep per-loop state in slots that they claim once at start-up (loop_slot_new). The
 * control thread has a loop as well (index LOOP_CONTROL) so that signals, the admin socket and
 * timers work there; it runs no plugin tasks.
 */
#ifndef HOST_LOOP_H
#define HOST_LOOP_H

#include <pthread.h>
#include <uv.h>

#include "base/base.h"
#include "loop/timer.h"

#define LOOP_MAX 64
#define LOOP_CONTROL (-1)
#define LOOP_SLOTS_MAX 16
#define LOOP_STOP_MS 5000 /* for tasks that are still there when the loops stop */
#define LOOP_MAGIC 0x4c4f4f50u

struct ins_loop {
	uint32_t magic;
	int index; /* 0 .., or LOOP_CONTROL */
	uv_loop_t uv;
	pthread_t thread;
	struct list tasks; /* struct ins_ctx.link */
	unsigned n_tasks;
	void *slots[LOOP_SLOTS_MAX]; /* by loop_slot_new() */

	/* private to loop.c */
	uv_async_t async;
	uv_idle_t idle; /* active while there is something for the next turn */
	pthread_mutex_t mail_lock;
	struct loop_mail *mail_head, *mail_tail;
	int closed; /* under mail_lock: takes no more mail */
	int stopping, started;

	/* private to task.c */
	struct list ready; /* struct ins_ctx.ready: goes on in the next turn */
	struct ins_ctx *running;

	/* private to timer.c */
	uv_timer_t timer;
	struct timer **heap; /* from 1 */
	unsigned n_timers, heap_cap;
	int64_t armed_us;
};

/* Makes the control loop on the calling thread and n loops, not yet running. Calls metric_init. */
void loop_init(unsigned n);
unsigned loop_count(void);
struct ins_loop *loop_get(int index);
struct ins_loop *loop_self(void); /* this thread's loop, or NULL */
int loop_slot_new(void);          /* before loop_start(); good for the life of the process */
/* Starts the threads; each runs its loop until loop_stop_all(). */
void loop_start(void);
/* Runs fn(loop, arg) on that loop's thread and stack, in order of posting, never before this
 * returns; any thread. Mail to a loop that has stopped is dropped, and arg is the poster's loss. */
void loop_post(struct ins_loop *, void (*fn)(struct ins_loop *, void *), void *arg);
/* Control thread: runs fn on every loop and waits until all have returned. The control loop stands
 * still meanwhile, so fn waits for nothing from it. */
void loop_call_all(void (*fn)(struct ins_loop *, void *), void *arg);
/* Control thread: runs fn on one loop and waits. */
void loop_call(struct ins_loop *, void (*fn)(struct ins_loop *, void *), void *arg);
/* Control thread, outside its own uv_run: stops the loops, joins their threads, frees everything.
 * Mail posted before is delivered. Tasks that are left are cancelled and have LOOP_STOP_MS to end.
 * Open handles must have been closed; what is still open is named in the log. */
void loop_stop_all(void);
/* task.c: something is ready, have a next turn. */
void loop_turn(struct ins_loop *);

#endif
