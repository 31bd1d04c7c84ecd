/*
 * timer.h: many cheap timers of one loop behind a single uv_timer_t.
 *
 * Every request carries a deadline that almost never fires. A uv handle each would cost a close
 * callback per request and keep the task's memory until then; here setting and stopping a timer is
 * a move in a binary heap, and memory may go as soon as the timer is stopped.
 */
#ifndef HOST_TIMER_H
#define HOST_TIMER_H

#include "base/base.h"

struct ins_loop;

struct timer {
	int64_t at_us; /* base_mono_us() */
	unsigned pos;  /* place in the loop's heap from 1; 0 = not set */
	void (*fn)(struct timer *);
};

static inline int
timer_active(const struct timer *t)
{
	return t->pos != 0;
}

/* Runs fn on the loop's stack, ms milliseconds from now; ms <= 0 is the loop's next turn. A timer
 * that is set moves. The loop's thread only. */
void timer_start(struct ins_loop *, struct timer *, int64_t ms, void (*fn)(struct timer *));
/* Harmless when not set. */
void timer_stop(struct ins_loop *, struct timer *);

/* loop.c */
void timer_loop_init(struct ins_loop *);
void timer_loop_fini(struct ins_loop *); /* closes the uv handle; the heap must be empty */

#endif
