/*
 * timer.c: a binary heap of deadlines per loop. Runs on the loop's thread.
 *
 * The uv timer is armed for the earliest deadline and left alone when that one is stopped: it then
 * fires once for nothing, which is cheaper than moving it for every request that ends in time.
 */
#include "loop/timer.h"

#include "loop/loop.h"

#define TIMER_FIRST 64u
#define NEVER INT64_MAX
#define FAR_MS (INT64_C(366) * 24 * 3600 * 1000) /* keeps the sums from overflowing */

static void
place(struct ins_loop *loop, unsigned pos, struct timer *t)
{
	loop->heap[pos] = t;
	t->pos = pos;
}

static void
sift_up(struct ins_loop *loop, unsigned pos, struct timer *t)
{
	while (pos > 1 && loop->heap[pos / 2]->at_us > t->at_us) {
		place(loop, pos, loop->heap[pos / 2]);
		pos /= 2;
	}
	place(loop, pos, t);
}

static void
sift_down(struct ins_loop *loop, unsigned pos, struct timer *t)
{
	unsigned child;

	while ((child = pos * 2) <= loop->n_timers) {
		if (child < loop->n_timers &&
		    loop->heap[child + 1]->at_us < loop->heap[child]->at_us)
			child++;
		if (loop->heap[child]->at_us >= t->at_us)
			break;
		place(loop, pos, loop->heap[child]);
		pos = child;
	}
	place(loop, pos, t);
}

static void fire(uv_timer_t *);

static void
arm(struct ins_loop *loop, int64_t now)
{
	int64_t at = loop->n_timers == 0 ? NEVER : loop->heap[1]->at_us;

	if (at >= loop->armed_us)
		return;
	loop->armed_us = at;
	/* uv counts from the time it read last; an early shot only arms again */
	uv_update_time(&loop->uv);
	AZ(uv_timer_start(
	    &loop->timer, fire, at <= now ? 0 : (uint64_t)((at - now + 999) / 1000), 0));
}

static void
fire(uv_timer_t *h)
{
	struct ins_loop *loop = h->data;
	int64_t now = base_mono_us();
	struct timer *t;

	CHECK_OBJ(loop, LOOP_MAGIC);
	loop->armed_us = NEVER;
	while (loop->n_timers > 0 && (t = loop->heap[1])->at_us <= now) {
		timer_stop(loop, t);
		t->fn(t);
	}
	arm(loop, base_mono_us());
}

void
timer_start(struct ins_loop *loop, struct timer *t, int64_t ms, void (*fn)(struct timer *))
{
	int64_t now = base_mono_us();

	ASSERT(loop == loop_self());
	timer_stop(loop, t);
	if (loop->n_timers + 1 >= loop->heap_cap) {
		loop->heap_cap = loop->heap_cap == 0 ? TIMER_FIRST : loop->heap_cap * 2;
		loop->heap = base_realloc(loop->heap, loop->heap_cap * sizeof(struct timer *));
	}
	/* past now, so that a timer of 0 ms set by a timer waits for the next turn */
	t->at_us = now + (ms <= 0 ? 1 : ms > FAR_MS ? FAR_MS * 1000 : ms * 1000);
	t->fn = fn;
	sift_up(loop, ++loop->n_timers, t);
	arm(loop, now);
}

void
timer_stop(struct ins_loop *loop, struct timer *t)
{
	unsigned pos = t->pos;
	struct timer *last;

	if (pos == 0)
		return;
	ASSERT(loop == loop_self());
	ASSERT(pos <= loop->n_timers && loop->heap[pos] == t);
	t->pos = 0;
	last = loop->heap[loop->n_timers--];
	if (last == t)
		return;
	if (pos > 1 && loop->heap[pos / 2]->at_us > last->at_us)
		sift_up(loop, pos, last);
	else
		sift_down(loop, pos, last);
}

void
timer_loop_init(struct ins_loop *loop)
{
	AZ(uv_timer_init(&loop->uv, &loop->timer));
	loop->timer.data = loop;
	loop->armed_us = NEVER;
}

void
timer_loop_fini(struct ins_loop *loop)
{
	AZ(loop->n_timers);
	free(loop->heap);
	loop->heap = NULL;
	loop->heap_cap = 0;
	uv_close((uv_handle_t *)&loop->timer, NULL);
}
