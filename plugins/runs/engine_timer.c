/*
 * engine_timer.c: timers and time limits of the runs in memory.
 *
 * One task of a loop sleeps until the earliest of them; another, whose memory ends with it, then
 * looks through the runs and records what is due. A second is the longest that it sleeps: the clock
 * on the wall may be set while it does. Runs whose next timer is far away are not in memory: a row
 * of run_ready wakes them.
 */
#include "engine.h"

#define NAP_MAX_MS 1000

/* Records all that is due in one run. */
static void
fire_run(ins_ctx *ctx, struct run *run, int64_t now_us)
{
	struct run_event *ev;

	/* an interrupted run may not come between: its timers wait for the thread */
	if (run->fold.stopped && run_thread_busy(run))
		return;
	while (run->state == RUN_LIVE && run->committed > 0 &&
	    (ev = fold_due(&run->fold, now_us)) != NULL)
		if (run_record(ctx, run, ev) != 0)
			return;
}

static int
fire_task(ins_ctx *ctx, void *arg)
{
	struct engine *e = arg;
	int64_t now_us = ins_now_us(), due;
	struct run *run, *next;
	unsigned i;

	e->due_us = 0;
	for (i = 0; i < RUNS_TABLE && engine_leased(e); i++)
		for (run = e->table[i]; run != NULL; run = next) {
			next = run->bucket_next;
			run_ref(run);
			due = fold_due_us(&run->fold);
			if (due != 0 && due <= now_us)
				fire_run(ctx, run, now_us);
			run_set_timer(run);
			run_unref(run);
		}
	e->firing = 0;
	ins_cond_broadcast(e->due);
	return 0;
}

static int
timer_task(ins_ctx *ctx, void *arg)
{
	struct engine *e = arg;
	int64_t ms;
	int r = 0;

	while (r != -INS_ECANCELED && !e->stopping) {
		ms = e->due_us == 0 ? NAP_MAX_MS : (e->due_us - ins_now_us() + 999) / 1000;
		if (ms <= 0 && !e->firing && e->due_us != 0) {
			e->firing = ins_spawn(
					e->plugin->host, e->loop, "runs.timers", fire_task, e) == 0;
			ms = e->firing ? NAP_MAX_MS : 50;
		} else if (ms <= 0 || ms > NAP_MAX_MS) {
			ms = NAP_MAX_MS;
		}
		r = ins_cond_wait(ctx, e->due, ms);
	}
	return 0;
}

int
engine_timer_start(struct engine *e)
{
	return ins_spawn(e->plugin->host, e->loop, "runs.timer", timer_task, e);
}

void
run_set_timer(struct run *run)
{
	struct engine *e = run->engine;
	int64_t due = run->state == RUN_GONE || run->fold.ended ? 0 : fold_due_us(&run->fold);

	if (due == 0 || (e->due_us != 0 && e->due_us <= due))
		return;
	e->due_us = due;
	ins_cond_broadcast(e->due);
}
