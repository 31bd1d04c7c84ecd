/*
 * engine_commit.c: natural group commit. One batch of a loop is in flight; whatever is recorded
 * meanwhile waits in the queue and goes with the next. There is no timer: an idle engine commits at
 * once, a busy one in batches.
 *
 * A batch commits whole or not at all. When one fails for a reason in its data, the next is half as
 * large, down to one run: the one that fails alone is looked up in its log (engine_load.c). When
 * the database is away, runs wait and new ones are refused.
 *
 * Each batch is a task of its own, so that its memory ends with it.
 */
#include "engine.h"

#include <stdlib.h>

#define BACKOFF_MIN_MS 50
#define BACKOFF_MAX_MS 2000
#define FLUSH_NAP_MS 2

static int commit_task(ins_ctx *, void *arg);

void
run_drop_pending(struct run *run)
{
	struct run_event *ev;

	while ((ev = run->pending) != NULL) {
		run->pending = ev->next;
		run_event_free(ev);
	}
	run->pending_tail = &run->pending;
	run->n_pending = run->n_flying = run->n_settling = 0;
	run->pending_bytes = 0;
}

static void
append(struct run *run, struct run_event *ev)
{
	*run->pending_tail = ev;
	run->pending_tail = &ev->next;
	run->n_pending++;
	run->pending_bytes += ev->bytes + 128;
}

int
run_record(ins_ctx *ctx, struct run *run, struct run_event *ev)
{
	struct engine *e = run->engine;
	const ins_workflow *wf = run_workflow(ctx, e->plugin, run->workflow, run->version);
	int r;

	if (ev == NULL)
		return -INS_ENOMEM;
	ev->ts_us = ins_now_us();
	do {
		ev->seq = run->fold.next_seq;
		/* the clock may be set back between two events of a run */
		if (ev->ts_us < run->fold.last_us)
			ev->ts_us = run->fold.last_us;
		r = fold_apply(&run->fold, ctx, wf, ev);
		if (r != 0) {
			run_event_free(ev);
			return r;
		}
		append(run, ev);
		ev = fold_derive(&run->fold);
		if (ev != NULL)
			ev->ts_us = run->fold.last_us;
	} while (ev != NULL);
	run_set_timer(run);
	run_dispatch(ctx, run);
	run_queue(ctx, run);
	return 0;
}

void
engine_kick(ins_ctx *ctx, struct engine *e)
{
	if (e->committing || e->queue == NULL || e->stopping)
		return;
	if (ins_spawn(e->plugin->host, e->loop, "runs.commit", commit_task, e) == 0)
		e->committing = 1;
	else
		ins_log(ctx, INS_LOG_WARN, "runs.commit_delayed", NULL);
}

void
run_queue(ins_ctx *ctx, struct run *run)
{
	struct engine *e = run->engine;

	if (!run->queued && run->state != RUN_GONE && run->n_pending > 0 && run->n_flying == 0 &&
	    (run->holds == 0 || run->state == RUN_NEW || run->fold.ended)) {
		run->queued = 1;
		run->queue_next = NULL;
		run_ref(run);
		*e->queue_tail = run;
		e->queue_tail = &run->queue_next;
	}
	engine_kick(ctx, e);
}

/* A new run that its starter was told is refused: it goes alone, and only to look whether the log
 * has it after all. */
static int
lost(const struct run *run)
{
	return run->abandoned && run->state == RUN_NEW;
}

/* Runs from the head of the queue, which lose their place but keep the queue's reference. */
static unsigned
collect(struct engine *e, struct run **runs)
{
	unsigned n = 0;
	size_t bytes = 0;
	struct run *run;

	while ((run = e->queue) != NULL && n < e->batch_max) {
		if (n > 0 && (bytes + run->pending_bytes > RUNS_BATCH_BYTES || lost(run)))
			break;
		e->queue = run->queue_next;
		if (e->queue == NULL)
			e->queue_tail = &e->queue;
		run->queued = 0;
		if (run->state == RUN_GONE || run->n_pending == 0) {
			run_unref(run);
			continue;
		}
		run->n_flying = run->n_pending;
		bytes += run->pending_bytes;
		runs[n++] = run;
		if (lost(run))
			break;
	}
	return n;
}

/* Back to the head, in order. */
static void
put_back(struct engine *e, struct run **runs, unsigned n)
{
	while (n-- > 0) {
		struct run *run = runs[n];

		run->n_flying = 0;
		run->queued = 1;
		run->queue_next = e->queue;
		if (e->queue == NULL)
			e->queue_tail = &run->queue_next;
		e->queue = run;
	}
}

static void
run_over(ins_ctx *ctx, struct run *run)
{
	struct plugin *p = run->engine->plugin;
	const char *status = json_string_value(json_object_get(run->fold.end, "status"));

	ins_add(p->metric.ended, status == NULL ? "failed" : status, 1);
	ins_observe(p->metric.duration, (double)(run->fold.last_us - run->fold.started_us) / 1e6);
	run_remove(run);
	if (run->thread_id[0] != '\0')
		engine_poll(ctx, run->engine); /* the thread's next run may begin */
}

static void
committed(ins_ctx *ctx, struct run *run)
{
	struct run_event *ev;
	unsigned i, n = run->n_flying;

	if (run->state == RUN_NEW)
		run->state = RUN_LIVE;
	for (i = 0; i < n; i++) {
		ev = run->pending;
		run->pending = ev->next;
		if (run->pending == NULL)
			run->pending_tail = &run->pending;
		run->n_pending--;
		run->pending_bytes -= ev->bytes + 128;
		run->committed = ev->seq + 1;
		run_tell(run, ev);
		run_event_free(ev);
	}
	run->n_flying = 0;
	if (run->snapping >= 0)
		run->snapped = run->snapping;
	run->n_ready -= run->n_settling;
	memmove(run->ready_ids, run->ready_ids + run->n_settling,
	    run->n_ready * sizeof *run->ready_ids);
	run->n_settling = 0;
	ins_add(run->engine->plugin->metric.events, NULL, n);
	ins_cond_broadcast(run->cond);
	if (run->fold.ended && run->n_pending == 0)
		run_over(ctx, run);
	else if (run->abandoned && !run->fold.ended)
		run_record(ctx, run,
		    run_event_new(
			EV_RUN_ENDED, -1, 0, NULL, json_pack("{s:s}", "status", "cancelled")));
	else {
		run_dispatch(ctx, run);
		run_queue(ctx, run);
		run_rest(ctx, run);
	}
	run_unref(run);
}

/* The database is away. Nothing is known of a new run's RunStarted: whoever asked for it is told
 * no, and if it turns out to be in the log it is cancelled. */
static void
refuse_new(struct run **runs, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++) {
		if (runs[i]->state != RUN_NEW || runs[i]->abandoned)
			continue;
		runs[i]->abandoned = 1;
		runs[i]->start_error = -INS_EUNAVAILABLE;
		ins_cond_broadcast(runs[i]->cond);
	}
}

static int
transient(int r)
{
	return r == -INS_EUNAVAILABLE || r == -INS_ETIMEOUT || r == -INS_ELIMIT ||
	    r == -INS_ECANCELED;
}

static void
failed(ins_ctx *ctx, struct engine *e, struct run **runs, unsigned n, int r)
{
	if (transient(r)) {
		refuse_new(runs, n);
		put_back(e, runs, n);
		e->backoff_ms = e->backoff_ms == 0 ? BACKOFF_MIN_MS : e->backoff_ms * 2;
		if (e->backoff_ms > BACKOFF_MAX_MS)
			e->backoff_ms = BACKOFF_MAX_MS;
		ins_sleep(ctx, e->backoff_ms);
		return;
	}
	if (n > 1) {
		put_back(e, runs, n);
		e->batch_max = n / 2;
		return;
	}
	e->batch_max = 1;
	if (e->stopping) { /* the next owner finds out */
		run_remove(runs[0]);
		run_unref(runs[0]);
		return;
	}
	r = run_reload(ctx, runs[0], r);
	if (r == 0) {
		run_unref(runs[0]);
		return;
	}
	put_back(e, runs, 1);
	ins_sleep(ctx, BACKOFF_MIN_MS);
}

INS_AWAITS
static void
commit_once(ins_ctx *ctx, struct engine *e)
{
	struct run *runs[RUNS_BATCH_RUNS];
	unsigned i, n = collect(e, runs);
	int r;

	if (n > 0) {
		failpoint(e, FAIL_BEFORE_COMMIT);
		if (!engine_leased(e))
			r = -INS_EUNAVAILABLE;
		else if (lost(runs[0]))
			r = -INS_ECONFLICT;
		else
			r = batch_commit(ctx, e, runs, n);
		ins_clear_error(ctx);
		if (r == 0) {
			failpoint(e, FAIL_AFTER_COMMIT);
			ins_add(e->plugin->metric.commits, NULL, 1);
			e->backoff_ms = 0;
			e->batch_max = e->batch_max * 2 > RUNS_BATCH_RUNS ? RUNS_BATCH_RUNS
									  : e->batch_max * 2;
			for (i = 0; i < n; i++)
				committed(ctx, runs[i]);
			engine_pump(ctx, e);
		} else {
			failed(ctx, e, runs, n, r);
		}
	}
}

static int
commit_task(ins_ctx *ctx, void *arg)
{
	struct engine *e = arg;

	commit_once(ctx, e);
	e->committing = 0;
	if (!ins_cancelled(ctx))
		engine_kick(ctx, e);
	return 0;
}

static int
any_pending(const struct engine *e)
{
	const struct run *run;
	unsigned i;

	for (i = 0; i < RUNS_TABLE; i++)
		for (run = e->table[i]; run != NULL; run = run->bucket_next)
			if (run->n_pending > 0)
				return 1;
	return 0;
}

void
engine_flush(ins_ctx *ctx, struct engine *e, int64_t ms)
{
	int64_t until = ins_mono_us() + ms * 1000;
	/* A batch may be on its way, and local steps that hold a run's commit come to their end. */
	while (any_pending(e) && engine_leased(e) && ins_mono_us() < until)
		if (e->committing || e->queue == NULL) {
			if (ins_sleep(ctx, FLUSH_NAP_MS) != 0)
				return;
		} else {
			commit_once(ctx, e);
		}
}
