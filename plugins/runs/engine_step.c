/*
 * engine_step.c: from open steps to their results.
 *
 * A step that the log allows becomes a job in the ready list, and a task in the run's tenant when
 * there is room. Each attempt is a job and a task of its own: the attempt's deadline is the task's.
 * may_go() says when. Local steps hold the run's commit until they are done.
 */
#include <stdlib.h>

#include "engine.h"

#define RETRY_MIN_MS 200
#define RETRY_MAX_MS 10000

static int job_task(ins_ctx *, void *arg);

static void
job_free(struct job *job)
{
	ready_done(job);
	run_unref(job->run);
	json_decref(job->input);
	free(job);
}

/* Nothing will come of this attempt: the run ended or is somebody else's now. */
static int
moot(const struct job *job)
{
	return job->run->state == RUN_GONE || job->run->fold.ended ||
	    fold_find(&job->run->fold, job->step_id) == NULL;
}

static struct job *
job_new(struct run *run, const struct fold_step *s, int32_t attempt)
{
	struct job *job = calloc(1, sizeof *job);
	int64_t left;

	if (job == NULL)
		return NULL;
	run_ref(run);
	job->run = run;
	job->step_id = s->id;
	job->attempt = attempt;
	job->delay_ms = s->delay_ms;
	job->timeout_ms = s->timeout_ms;
	job->max_attempts = s->max_attempts;
	job->class = s->class;
	memcpy(job->name, s->name, sizeof job->name);
	job->input = json_incref(s->input);
	if (run->fold.limits.time_ms != 0) {
		left = run->fold.limits.time_ms -
		    (ins_now_us() - run->fold.started_us - run->fold.paused_us) / 1000;
		/* one more millisecond, so that the limit is passed when the step is cut */
		left = left < 0 ? 1 : left + 1;
		job->timeout_ms = left < job->timeout_ms ? left : job->timeout_ms;
	}
	return job;
}

static int
job_spawn(ins_ctx *ctx, struct job *job)
{
	struct run *run = job->run;
	ins_principal who = run_principal(run);

	return ins_engine_spawn(ctx, run->engine->plugin->host, &who, "runs.step", job_task, job);
}

void
engine_pump(ins_ctx *ctx, struct engine *e)
{
	struct job *job;

	while (!e->stopping && engine_leased(e) &&
	    e->n_running < (unsigned)e->plugin->conf.steps_running &&
	    (job = ready_next(e)) != NULL) {
		if (!moot(job) && job_spawn(ctx, job) != 0)
			return; /* the loop is full; a task that ends, or the lease's round, comes
				   back */
		ready_take(e, job, !moot(job));
		if (moot(job))
			job_free(job);
		else
			e->n_running++;
	}
}

/*
 * May this step go out? A local one always. An idempotent one need not wait for the flush of the
 * event that decided on it: to do it again does no harm, nobody is told of its result before that
 * is committed, and a step that takes longer than a flush hides it. It does wait for RunStarted
 * (nothing is done for a run that may be refused), while the database is away, and when the log is
 * too far behind. An effect goes out after the commit of its StepScheduled, never before.
 */
static int
may_go(const struct run *run, const struct fold_step *s)
{
	int durable = s->seq < run->committed;

	if (s->class == STEP_LOCAL)
		return 1;
	if (s->class == STEP_EFFECT)
		return s->scheduled && durable;
	/* what was interrupted may be what stopped the host: its next attempt is counted first */
	return durable ||
	    (!s->scheduled && run->committed > 0 && run->engine->backoff_ms == 0 &&
		run->n_pending <= RUNS_AHEAD_MAX);
}

/* A job whose time has not come waits here, and not in the place of one that could run. */
static int
later_task(ins_ctx *ctx, void *arg)
{
	struct job *job = arg;
	struct run *run = job->run;
	struct fold_step *s;
	int r = ins_sleep(ctx, job->delay_ms);

	job->delay_ms = 0;
	if (r == 0 && !moot(job) && ready_push(run->engine, job) == 0) {
		engine_pump(ctx, run->engine);
		return 0;
	}
	if (job->class == STEP_LOCAL)
		run->holds--;
	if ((s = fold_find(&run->fold, job->step_id)) != NULL)
		s->state = STEP_NEW; /* the next event of the run, or a restart, finds it */
	job_free(job);
	return 0;
}

static int
job_go(struct job *job)
{
	struct engine *e = job->run->engine;

	if (job->delay_ms > 0 &&
	    ins_spawn(e->plugin->host, e->loop, "runs.later", later_task, job) == 0)
		return 0;
	job->delay_ms = 0;
	return ready_push(e, job);
}

void
run_dispatch(ins_ctx *ctx, struct run *run)
{
	struct job *job;
	size_t i;

	if (run->fold.ended)
		run_cancel_jobs(run);
	if (run->fold.ended || run->state == RUN_GONE || run->engine->stopping)
		return;
	for (i = 0; i < run->fold.n_open; i++) {
		struct fold_step *s = &run->fold.open[i];

		if (s->kind != OPEN_STEP || s->held != HELD_NO || s->state != STEP_NEW ||
		    !may_go(run, s))
			continue;
		job = job_new(run, s, s->attempt == 0 ? 1 : s->attempt);
		if (job != NULL && job_go(job) != 0) {
			job_free(job);
			job = NULL;
		}
		if (job == NULL)
			continue; /* stays new: the next event of the run, or a restart, finds it */
		s->state = STEP_DISPATCHED;
		if (s->class == STEP_LOCAL)
			run->holds++;
	}
	engine_pump(ctx, run->engine);
}

/* 200 ms, 400 ms ... 10 s, and up to half of that more, so that many runs do not come back at once.
 */
static int64_t
backoff(int32_t attempt)
{
	int64_t ms = RETRY_MIN_MS;

	while (--attempt > 0 && ms < RETRY_MAX_MS)
		ms *= 2;
	if (ms > RETRY_MAX_MS)
		ms = RETRY_MAX_MS;
	return ms + ins_mono_us() % (ms / 2 + 1);
}

static void
retry(ins_ctx *ctx, struct job *job, const char *why)
{
	struct run *run = job->run;
	struct fold_step *s = fold_find(&run->fold, job->step_id);
	int32_t attempt = job->attempt + 1;
	struct job *again;

	ins_add(run->engine->plugin->metric.retries, NULL, 1);
	ins_log(ctx, INS_LOG_WARN, "runs.step_retried",
	    json_pack("{s:s, s:s, s:i, s:s}", "run_id", run->run_id, "step", job->name, "attempt",
		(int)job->attempt, "text", why));
	s->delay_ms = backoff(job->attempt);
	if (s->class == STEP_EFFECT) {
		/* Goes out after the commit of this. */
		run_record(ctx, run,
		    run_event_new(EV_STEP_SCHEDULED, s->id, attempt, s->name,
			json_pack(
			    "{s:s, s:o}", "class", "effect", "after", fold_error("retried", why))));
		return;
	}
	again = job_new(run, s, attempt);
	if (again != NULL && job_go(again) != 0) {
		job_free(again);
		again = NULL;
	}
	if (again == NULL) {
		s->state = STEP_NEW; /* the next event of the run finds it */
		return;
	}
	if (s->class == STEP_LOCAL)
		run->holds++;
}

static void
step_failed(ins_ctx *ctx, struct job *job, int r)
{
	struct run *run = job->run;
	const char *why = ins_last_error(ctx);
	int timed_out = 0;
	char text[300];

	if (r == -INS_ECANCELED && ins_cancelled(ctx)) {
		timed_out = ins_mono_us() - job->begun_us >= job->timeout_ms * 1000;
		if (!timed_out)
			return; /* the host stops: the next start goes on */
		r = -INS_ETIMEOUT;
	}
	if (timed_out)
		snprintf(text, sizeof text, "no result within %lld ms", (long long)job->timeout_ms);
	else
		snprintf(text, sizeof text, "%s", *why ? why : fold_code_name(r));
	ins_clear_error(ctx);
	if (job->streamed)
		run_tell_cut(run, job->step_id, job->name);
	if (fold_code_retryable(r) && job->attempt < job->max_attempts) {
		retry(ctx, job, text);
		return;
	}
	run_record(ctx, run,
	    run_event_new(EV_STEP_FAILED, job->step_id, job->attempt, job->name,
		json_pack("{s:o}", "error", fold_error(fold_code_name(r), text))));
}

static void
step_done(ins_ctx *ctx, struct job *job, int r, json_t *out)
{
	struct run_event *ev = NULL;

	if (r == 0 && out == NULL)
		out = json_null();
	if (r == 0) {
		ev = run_event_new(EV_STEP_COMPLETED, job->step_id, job->attempt, job->name,
		    json_pack("{s:O}", "output", out));
		if (ev == NULL)
			r = ins_fail(ctx, INS_ENOMEM, "out of memory");
		else if (ev->bytes == 0)
			r = ins_fail(
			    ctx, INS_EINTERNAL, "the step's result can't be written as JSON");
		else if (ev->bytes > RUNS_DATA_MAX)
			r = ins_fail(ctx, INS_ETOOBIG, "the step's result is larger than %u bytes",
			    RUNS_DATA_MAX);
	}
	if (r == 0) {
		ins_clear_error(ctx); /* what the step tried and got over */
		run_record(ctx, job->run, ev);
	} else {
		run_event_free(ev);
		step_failed(ctx, job, r);
	}
	json_decref(out);
}

static int
sink_delta(ins_ctx *ctx, void *arg, const json_t *delta)
{
	struct job *job = arg;

	return moot(job) ? -INS_ECANCELED : run_tell_delta(ctx, job, delta);
}

/* The lease may run out while a job waits: then this host must not act until it has it again. */
static int
wait_lease(ins_ctx *ctx, struct job *job)
{
	struct engine *e = job->run->engine;

	while (!engine_leased(e) && !moot(job))
		if (ins_cond_wait(ctx, e->leased, 1000) == -INS_ECANCELED)
			return -INS_ECANCELED;
	return 0;
}

static int
call_step(ins_ctx *ctx, struct job *job, json_t **ret_out)
{
	struct run *run = job->run;
	const ins_sink sink = { job, sink_delta };
	const ins_workflow *wf;
	char key[64];

	ins_deadline(ctx, job->timeout_ms);
	wf = run_workflow(ctx, run->engine->plugin, run->workflow, run->version);
	if (wf == NULL)
		return ins_fail(ctx, INS_EMODEL, "version %s of the workflow %s is not here",
		    run->version, run->workflow);
	snprintf(key, sizeof key, "%s:%d", run->run_id, (int)job->step_id);
	return wf->step(ctx, wf->self, job->name, key, job->input, &sink, ret_out);
}

void
run_cancel_jobs(struct run *run)
{
	struct job *job;

	for (job = run->engine->running; job != NULL; job = job->running_next)
		if (job->run == run)
			ins_engine_cancel(job->ctx);
}

static void
job_not_running(struct engine *e, struct job *job)
{
	struct job **at = &e->running;

	while (*at != job)
		at = &(*at)->running_next;
	*at = job->running_next;
}

static int
job_task(ins_ctx *ctx, void *arg)
{
	struct job *job = arg;
	struct run *run = job->run;
	struct engine *e = run->engine;
	json_t *out = NULL;
	int r = 0;

	job->ctx = ctx;
	job->running_next = e->running;
	e->running = job;
	r = wait_lease(ctx, job);
	job->begun_us = ins_mono_us();
	failpoint(e, FAIL_AFTER_DISPATCH);
	if (r == 0 && !moot(job))
		r = call_step(ctx, job, &out);
	failpoint(e, FAIL_AFTER_STEP);
	job_not_running(e, job);
	if (job->class == STEP_LOCAL)
		run->holds--;
	if (moot(job))
		json_decref(out);
	else
		step_done(ctx, job, r, out);
	ins_clear_error(ctx);
	e->n_running--;
	run_queue(ctx, run);
	job_free(job);
	engine_pump(ctx, e);
	return 0;
}

void
engine_drop_ready(struct engine *e)
{
	struct job *job;

	while ((job = ready_drop(e)) != NULL)
		job_free(job);
}
