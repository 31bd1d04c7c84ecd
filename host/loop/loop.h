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

#define LOOP_MAX 64
#define LOOP_CONTROL (-1)
#define LOOP_SLOTS_MAX 16
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
	pthread_mutex_t mail_lock;
	struct loop_mail *mail_head, *mail_tail;
	int stopping, started;
};

/* Makes the control loop on the calling thread and n loops, not yet running. */
void loop_init(unsigned n);
unsigned loop_count(void);
struct ins_loop *loop_get(int index);
struct ins_loop *loop_self(void); /* this thread's loop, or NULL */
int loop_slot_new(void);          /* before loop_start() */
/* Starts the threads; each runs its loop until loop_stop_all(). */
void loop_start(void);
/* Runs fn(loop, arg) on that loop's thread, in order of posting; any thread. */
void loop_post(struct ins_loop *, void (*fn)(struct ins_loop *, void *), void *arg);
/* Control thread: runs fn on every loop and waits until all have returned. */
void loop_call_all(void (*fn)(struct ins_loop *, void *), void *arg);
/* Control thread: runs fn on one loop and waits. */
void loop_call(struct ins_loop *, void (*fn)(struct ins_loop *, void *), void *arg);
/* Control thread: stops the loops, joins their threads, frees everything. Open handles must have
 * been closed. */
void loop_stop_all(void);

#endif
