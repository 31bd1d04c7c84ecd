/*
 * engine_load.c: runs from their logs. Tenants, their runs and the events of these are read in
 * pages, each a task of its own that starts the next, so that memory stays small and other work
 * goes on meanwhile.
 *
 * What a run was doing is what its fold holds open: each open step is dispatched again with the
 * next attempt, after a StepScheduled that records it. That bounds how often a step may take its
 * host down with it.
 */
#include <stdlib.h>

#include "array.h"
#include "engine_load.h"

#define RETRY_MS 250
#define TENANTS 4000 /* whose runs are listed at once: each statement names them */

static const char sql_tenants[] = "SELECT tenant_id FROM tenants WHERE tenant_id > $1::uuid"
				  " ORDER BY tenant_id LIMIT 4000";
static const char sql_live[] =
    "SELECT " RUN_COLUMNS " FROM agent_runs AS r" RUN_SNAPSHOT
    " WHERE r.status = 'running' AND r.wake_at IS NULL AND r.shard = ANY ($1::smallint[])"
    " AND r.run_id > $2::uuid ORDER BY r.run_id LIMIT 256";
static const char sql_some[] =
    "SELECT " RUN_COLUMNS " FROM agent_runs AS r" RUN_SNAPSHOT
    " WHERE r.status IN ('running', 'interrupted') AND r.run_id = ANY ($1::uuid[])"
    " ORDER BY r.run_id LIMIT 256";
static const char sql_events[] =
    "SELECT run_id, seq, type, step_id, attempt, node,"
    " (extract(epoch FROM ts) * 1000000)::bigint, data"
    " FROM run_events WHERE run_id = ANY ($1::uuid[]) AND seq >= $2::integer"
    " AND seq < $2::integer + $3::integer ORDER BY run_id, seq";

static int load_task(ins_ctx *, void *arg);

void
engine_load_init(struct plugin *p)
{
	engine_load_begin_init(p);
	p->sql.tenants = ins_stmt_new(p->host, sql_tenants);
	p->sql.live = ins_stmt_new(p->host, sql_live);
	p->sql.some = ins_stmt_new(p->host, sql_some);
	p->sql.events = ins_stmt_new(p->host, sql_events);
}

void
load_free(struct load *l)
{
	if (l->ready != NULL)
		l->engine->loading = 0;
	for (; l->at < l->n_runs; l->at++)
		run_unref(l->runs[l->at]);
	free(l->tenants);
	free(l->tenant_ptrs);
	free(l->shards);
	free(l->ids);
	free(l->ready);
	free(l);
}

int
load_spawn(struct load *l)
{
	return ins_spawn(l->engine->plugin->host, l->engine->loop, "runs.load", load_task, l);
}

int
load_tenants_room(struct load *l, size_t n)
{
	free(l->tenants);
	free(l->tenant_ptrs);
	l->n_tenants = 0;
	l->tenants = calloc(n + 1, sizeof *l->tenants);
	l->tenant_ptrs = calloc(n + 1, sizeof *l->tenant_ptrs);
	return l->tenants == NULL || l->tenant_ptrs == NULL ? -INS_ENOMEM : 0;
}

void
load_tenant_add(struct load *l, const char *tenant_id)
{
	size_t i = l->n_tenants++;

	snprintf(l->tenants[i], LOAD_ID_BYTES, "%s", tenant_id);
	l->tenant_ptrs[i] = l->tenants[i];
}

/* The next tenants, whose runs are then listed from the first on. */
static int
list_tenants(ins_ctx *ctx, struct load *l)
{
	struct plugin *p = l->engine->plugin;
	ins_arg after = ins_text(l->tenants_after);
	ins_rows *rows;
	size_t i, n;
	int r = ins_engine_batch(
	    ctx, NULL, 0, &(const ins_call){ p->sql.tenants, &after, 1 }, 1, &rows);

	if (r != 0)
		return r;
	n = ins_rows_count(rows);
	if (load_tenants_room(l, n) != 0)
		return -INS_ENOMEM;
	for (i = 0; i < n; i++)
		load_tenant_add(l, ins_value(rows, i, 0));
	if (n > 0)
		snprintf(l->tenants_after, sizeof l->tenants_after, "%s", l->tenants[n - 1]);
	snprintf(l->after, sizeof l->after, LOAD_FIRST_ID);
	l->all_tenants = n < TENANTS;
	l->listed_all = n == 0;
	return 0;
}

static void
restore(struct run *run, const char *seq, const char *snapshot)
{
	json_t *j;
	int r;

	if (snapshot == NULL)
		return;
	j = json_loads(snapshot, 0, NULL);
	r = j == NULL ? -INS_EINVAL : fold_restore(&run->fold, j);
	json_decref(j);
	if (r != 0) { /* not one of ours: the log itself says more */
		struct fold_limits limits = run->fold.limits;

		fold_fini(&run->fold);
		fold_init(&run->fold, &limits);
		return;
	}
	run->snapped = strtoll(seq, NULL, 10);
}

struct run *
run_from_row(struct engine *e, const ins_rows *rows, size_t i, int64_t *ret_next)
{
	struct fold_limits limits = { 0 };
	struct run *run = run_new(e, ins_value(rows, i, 0));
	const char *plan = ins_value(rows, i, 8), *thread = ins_value(rows, i, 10);
	const char *assistant = ins_value(rows, i, 11);
	json_t *budget = json_loads(ins_value(rows, i, 7), 0, NULL);

	if (run != NULL) {
		fold_limits_parse(&limits, budget);
		fold_init(&run->fold, &limits);
		run->state = RUN_LIVE;
		run->shard = (int)ins_value_int(rows, i, 3);
		snprintf(run->tenant_id, sizeof run->tenant_id, "%s", ins_value(rows, i, 1));
		snprintf(run->user_id, sizeof run->user_id, "%s", ins_value(rows, i, 2));
		snprintf(run->workflow, sizeof run->workflow, "%s", ins_value(rows, i, 4));
		snprintf(run->version, sizeof run->version, "%s", ins_value(rows, i, 5));
		snprintf(run->plan, sizeof run->plan, "%s", plan == NULL ? "" : plan);
		snprintf(run->thread_id, sizeof run->thread_id, "%s", thread == NULL ? "" : thread);
		snprintf(run->assistant_id, sizeof run->assistant_id, "%s",
		    assistant == NULL ? "" : assistant);
		run->fold.started_us = ins_value_int(rows, i, 9);
		*ret_next = ins_value_int(rows, i, 6);
		restore(run, ins_value(rows, i, 12), ins_value(rows, i, 13));
	}
	json_decref(budget);
	return run;
}

static int
list_runs(ins_ctx *ctx, struct load *l)
{
	struct engine *e = l->engine;
	ins_arg args[2] = { ins_text(l->ids != NULL ? l->ids : l->shards), ins_text(l->after) };
	ins_call call = { l->ids != NULL ? e->plugin->sql.some : e->plugin->sql.live, args,
		l->ids != NULL ? 1 : 2 };
	ins_rows *rows;
	size_t i, n;
	int r;

	r = ins_engine_batch(ctx, l->tenant_ptrs, l->n_tenants, &call, 1, &rows);
	if (r != 0)
		return r;
	n = ins_rows_count(rows);
	l->at = l->n_runs = 0;
	for (i = 0; i < n; i++) {
		const char *id = ins_value(rows, i, 0);

		if (run_find(e, id) != NULL)
			continue; /* began here since the shard is ours */
		l->runs[l->n_runs] = run_from_row(e, rows, i, &l->expect[l->n_runs]);
		if (l->runs[l->n_runs] == NULL)
			return -INS_ENOMEM; /* what is listed is loaded; then this page again */
		snprintf(l->after, sizeof l->after, "%s", id);
		l->n_runs++;
	}
	l->listed_all = n < LOAD_RUNS_MAX || l->ids != NULL;
	return 0;
}

/* Reads the next events of runs [at, at + n) from seq on, and applies them. */
static int
read_page(ins_ctx *ctx, struct load *l, unsigned n, int64_t from)
{
	struct engine *e = l->engine;
	struct array ids = { 0 };
	ins_rows *rows = NULL;
	ins_arg args[3];
	unsigned i, k = l->at;
	size_t row;
	int r;

	for (i = 0; i < n; i++)
		array_text_z(&ids, l->runs[l->at + i]->run_id);
	args[0] = array_arg(&ids);
	args[1] = ins_int(ctx, from);
	args[2] = ins_int(ctx, l->window);
	r = args[0].p == NULL ? -INS_ENOMEM
			      : ins_engine_batch(ctx, l->tenant_ptrs, l->n_tenants,
				    &(const ins_call){ e->plugin->sql.events, args, 3 }, 1, &rows);
	array_free(&ids);
	for (row = 0; r == 0 && row < ins_rows_count(rows); row++) {
		struct run_event *ev = run_event_parse(rows, row, 1);
		struct run *run;

		/* Rows and runs are both in the order of their ids. */
		while (
		    k < l->at + n - 1 && strcmp(l->runs[k]->run_id, ins_value(rows, row, 0)) != 0)
			k++;
		run = l->runs[k];
		if (ev == NULL) {
			ins_log(ctx, INS_LOG_ERROR, "runs.unknown_event",
			    json_pack("{s:s, s:s}", "run_id", run->run_id, "seq",
				ins_value(rows, row, 1)));
			continue; /* finish() finds the log wanting, and leaves it as it is */
		}
		if (fold_apply(&run->fold, ctx,
			run_workflow(ctx, e->plugin, run->workflow, run->version), ev) != 0)
			ins_log(ctx, INS_LOG_ERROR, "runs.bad_event",
			    json_pack(
				"{s:s, s:I}", "run_id", run->run_id, "seq", (json_int_t)ev->seq));
		run_event_free(ev);
	}
	return r;
}

static void
end_with_error(ins_ctx *ctx, struct run *run, const char *code, const char *text)
{
	run_log(ctx, INS_LOG_ERROR, "runs.given_up", run, text);
	run_record(ctx, run,
	    run_event_new(EV_RUN_ENDED, -1, 0, NULL,
		json_pack("{s:s, s:o}", "status", "failed", "error", fold_error(code, text))));
}

/* A step that may have been under way. */
static int
interrupted_step(const struct fold_step *s)
{
	return s->kind == OPEN_STEP && s->held == HELD_NO && s->class != STEP_LOCAL;
}

/* Records the next attempt of everything that was open. */
static void
resume(ins_ctx *ctx, struct run *run)
{
	int32_t id, last = -1;
	size_t i;

	/* Nothing goes out before its next attempt is recorded: applying that makes it new again.
	 */
	for (i = 0; i < run->fold.n_open; i++)
		if (interrupted_step(&run->fold.open[i]))
			run->fold.open[i].state = STEP_DISPATCHED;
	/* run_record changes the list of open steps: find the next by its id each time. */
	for (;;) {
		const struct fold_step *s = NULL;

		for (i = 0; i < run->fold.n_open && s == NULL; i++)
			if (run->fold.open[i].id > last && interrupted_step(&run->fold.open[i]))
				s = &run->fold.open[i];
		if (s == NULL || run->fold.ended)
			break;
		last = id = s->id;
		if (s->attempt >= s->max_attempts + RUNS_INTERRUPTIONS_MAX)
			run_record(ctx, run,
			    run_event_new(EV_STEP_FAILED, id, s->attempt, s->name,
				json_pack("{s:o}", "error",
				    fold_error("interrupted",
					"the host stopped each time that this step ran"))));
		else
			run_record(ctx, run,
			    run_event_new(EV_STEP_SCHEDULED, id,
				(s->attempt == 0 ? 1 : s->attempt) + 1, s->name,
				json_pack("{s:b}", "resumed", 1)));
	}
	run_set_timer(run);
	run_dispatch(ctx, run);
}

/* Something is due for a run that was just loaded. */
static void
see_to(ins_ctx *ctx, struct load *l, struct run *run)
{
	unsigned i;

	run->slept = run->sleeps = l->n_ready > 0;
	for (i = 0; i < l->n_ready; i++)
		if (strcmp(l->ready[i].run_id, run->run_id) == 0 &&
		    run_take_messages(ctx, run, &l->ready[i]) < 0)
			ins_clear_error(ctx); /* the row stays: the next look finds it */
}

static void
finish(ins_ctx *ctx, struct load *l, struct run *run, int64_t expect)
{
	struct plugin *p = l->engine->plugin;
	char text[300];

	failpoint(l->engine, FAIL_TAKEOVER);
	run->committed = expect;
	if (run_find(l->engine, run->run_id) != NULL || l->engine->fence[run->shard] == 0) {
		run->state = RUN_GONE;
		return;
	}
	if (run_workflow(ctx, p, run->workflow, run->version) == NULL) {
		const ins_workflow *other = run_workflow(ctx, p, run->workflow, NULL);

		snprintf(text, sizeof text,
		    "version %s of the workflow %s is not here any more%s%s%s", run->version,
		    run->workflow, other == NULL ? "" : " (version ",
		    other == NULL ? "" : other->version, other == NULL ? "" : " is)");
		run->fold.next_seq = expect;
		run_insert(run);
		end_with_error(ctx, run, "workflow_missing", text);
	} else if (run->fold.next_seq != expect || run->fold.ended) {
		run_log(ctx, INS_LOG_ERROR, "runs.damaged_log", run,
		    "the events do not fit each other; the run stays as it is");
		run->state = RUN_GONE;
		ready_forget(ctx, l->engine, run->run_id);
	} else if (l->abandoned) {
		run_insert(run);
		run_record(ctx, run,
		    run_event_new(
			EV_RUN_ENDED, -1, 0, NULL, json_pack("{s:s}", "status", "cancelled")));
	} else if (l->poison) {
		run_insert(run);
		run->poisoned = 1;
		end_with_error(
		    ctx, run, "unrecordable", "what the last step gave could not be recorded");
	} else {
		run_insert(run);
		l->loaded += l->ready == NULL;
		resume(ctx, run);
		see_to(ctx, l, run);
	}
}

/* Forgets what was read of the next n runs. (A page that begins at a snapshot is of one run, and
 * was not applied.) */
static void
begin_anew(struct load *l, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++) {
		struct fold *f = &l->runs[l->at + i]->fold;
		struct fold_limits limits = f->limits;
		int64_t started = f->started_us;

		if (l->runs[l->at + i]->snapped >= 0)
			continue;
		fold_fini(f);
		fold_init(f, &limits);
		f->started_us = started;
	}
}

/* One page of events. Runs with more events than a page are read alone. */
static int
load_page(ins_ctx *ctx, struct load *l)
{
	struct run *first = l->runs[l->at];
	int64_t sum = 0, from = first->fold.next_seq;
	unsigned n = 0;
	int r;

	while (l->at + n < l->n_runs && n < l->page &&
	    (n == 0 || (from == 0 && l->runs[l->at + n]->fold.next_seq == 0))) {
		sum += l->expect[l->at + n];
		if (n > 0 && sum > LOAD_PAGE_EVENTS)
			break;
		n++;
	}
	r = read_page(ctx, l, n, from);
	if (r == -INS_ENOMEM && l->window > 1) {
		begin_anew(l, n);
		l->window = l->page > 1 ? LOAD_PAGE_EVENTS : l->window / 4;
		l->page = 1;
		ins_clear_error(ctx);
		return 0;
	}
	if (r != 0)
		return r;
	if (n == 1 && first->fold.next_seq > from && first->fold.next_seq < l->expect[l->at])
		return 0; /* a long one: more of it to read */
	while (n-- > 0) {
		finish(ctx, l, l->runs[l->at], l->expect[l->at]);
		run_unref(l->runs[l->at]);
		l->at++;
	}
	return 0;
}

static int
load_task(ins_ctx *ctx, void *arg)
{
	struct load *l = arg;
	struct engine *e = l->engine;
	int r = 0, again;

	if (l->at < l->n_runs)
		r = load_page(ctx, l);
	else if (l->listed_all && l->all_tenants) {
		if (l->loaded > 0)
			ins_log(ctx, INS_LOG_INFO, "runs.resumed",
			    json_pack("{s:i}", "runs", (int)l->loaded));
		again = l->ready != NULL;
		load_free(l);
		if (again) /* what waited for this load */
			engine_poll(ctx, e);
		return 0;
	} else if (l->listed_all)
		r = list_tenants(ctx, l);
	else
		r = list_runs(ctx, l);
	if (r != 0 && !ins_cancelled(ctx)) {
		ins_log(ctx, INS_LOG_WARN, "runs.load_failed",
		    json_pack("{s:s}", "text", ins_last_error(ctx)));
		ins_clear_error(ctx);
		ins_sleep(ctx, RETRY_MS);
	}
	if (ins_cancelled(ctx) || e->stopping) {
		load_free(l);
		return 0;
	}
	engine_kick(ctx, e);
	/* A task for each page, so that its memory goes with it. A full loop is waited for: these
	 * runs have nobody else. */
	while (load_spawn(l) != 0)
		if (ins_sleep(ctx, RETRY_MS) != 0) {
			load_free(l);
			break;
		}
	return 0;
}
