/*
 * engine_load.c: runs from their logs: all live runs of shards that were just got, or one run whose
 * commit failed. Loads in pages, each a task of its own that starts the next, so that memory stays
 * small and other work goes on meanwhile.
 *
 * What a run was doing is what its fold holds open: each open step is dispatched again with the
 * next attempt, after a StepScheduled that records it. That bounds how often a step may take its
 * host down with it.
 */
#include <stdlib.h>

#include "array.h"
#include "engine.h"

#define HEADERS_MAX 256u /* runs listed at once */
#define PAGE_EVENTS 64   /* events read at once */
#define RETRY_MS 250
#define TENANT_BYTES 37u

static const char sql_tenants[] = "SELECT tenant_id FROM tenants";
#define RUN_COLUMNS                                                                     \
	"r.run_id, r.tenant_id, r.user_id, r.shard, r.workflow, r.version, r.next_seq," \
	" r.budget, r.attrs ->> 'plan',"                                                \
	" (extract(epoch FROM r.created_at) * 1000000)::bigint, r.thread_id,"           \
	" r.assistant_id, s.seq, s.state"
#define RUN_SNAPSHOT                                               \
	" LEFT JOIN LATERAL (SELECT seq, state FROM run_snapshots" \
	"  WHERE run_id = r.run_id ORDER BY seq DESC LIMIT 1) AS s ON true"
static const char sql_live[] =
    "SELECT " RUN_COLUMNS " FROM agent_runs AS r" RUN_SNAPSHOT
    " WHERE r.status = 'running' AND r.wake_at IS NULL AND r.shard = ANY ($1::smallint[])"
    " AND r.run_id > $2::uuid ORDER BY r.run_id LIMIT 256";
static const char sql_some[] =
    "SELECT " RUN_COLUMNS " FROM agent_runs AS r" RUN_SNAPSHOT
    " WHERE r.status IN ('running', 'interrupted') AND r.run_id = ANY ($1::uuid[])"
    " ORDER BY r.run_id LIMIT 256";
static const char sql_one[] = "SELECT " RUN_COLUMNS ", r.status FROM agent_runs AS r" RUN_SNAPSHOT
			      " WHERE r.run_id = $1::uuid";
static const char sql_end_pending[] =
    "UPDATE agent_runs SET status = 'failed', ended_at = clock_timestamp()"
    " WHERE run_id = $1::uuid AND status = 'pending'";
static const char sql_events[] =
    "SELECT run_id, seq, type, step_id, attempt, node,"
    " (extract(epoch FROM ts) * 1000000)::bigint, data"
    " FROM run_events WHERE run_id = ANY ($1::uuid[]) AND seq >= $2::integer"
    " AND seq < $2::integer + $3::integer ORDER BY run_id, seq";

struct load {
	struct engine *engine;
	char (*tenants)[TENANT_BYTES];
	const char **tenant_ptrs;
	size_t n_tenants;
	char *shards; /* array literal; NULL when runs are loaded by their ids */
	char *ids;    /* the same, of runs that something is due for */
	struct ready *ready;
	unsigned n_ready;
	char after[37]; /* the last run that was listed */
	struct run *runs[HEADERS_MAX];
	int64_t expect[HEADERS_MAX]; /* their next_seq */
	unsigned n_runs, at;
	unsigned page; /* runs to read at once, and events of each; smaller after a page */
	int window;    /* that was too large for one task */
	int listed_all, abandoned, poison;
	unsigned loaded;
};

static int load_task(ins_ctx *, void *arg);

void
engine_load_init(struct plugin *p)
{
	p->sql.tenants = ins_stmt_new(p->host, sql_tenants);
	p->sql.live = ins_stmt_new(p->host, sql_live);
	p->sql.end_pending = ins_stmt_new(p->host, sql_end_pending);
	p->sql.some = ins_stmt_new(p->host, sql_some);
	p->sql.one = ins_stmt_new(p->host, sql_one);
	p->sql.events = ins_stmt_new(p->host, sql_events);
}

static void
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

static int
load_spawn(struct load *l)
{
	return ins_spawn(l->engine->plugin->host, l->engine->loop, "runs.load", load_task, l);
}

static int
set_tenants(struct load *l, const ins_rows *rows)
{
	size_t i, n = ins_rows_count(rows);

	l->tenants = calloc(n + 1, sizeof *l->tenants);
	l->tenant_ptrs = calloc(n + 1, sizeof *l->tenant_ptrs);
	if (l->tenants == NULL || l->tenant_ptrs == NULL)
		return -INS_ENOMEM;
	for (i = 0; i < n; i++) {
		snprintf(l->tenants[i], TENANT_BYTES, "%s", ins_value(rows, i, 0));
		l->tenant_ptrs[i] = l->tenants[i];
	}
	l->n_tenants = n;
	return 0;
}

static int
list_tenants(ins_ctx *ctx, struct load *l)
{
	struct plugin *p = l->engine->plugin;
	ins_rows *rows;
	int r = ins_engine_batch(
	    ctx, NULL, 0, &(const ins_call){ p->sql.tenants, NULL, 0 }, 1, &rows);

	return r != 0 ? r : set_tenants(l, rows);
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
	l->listed_all = n < HEADERS_MAX || l->ids != NULL;
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
		if (n > 0 && sum > PAGE_EVENTS)
			break;
		n++;
	}
	r = read_page(ctx, l, n, from);
	if (r == -INS_ENOMEM && l->window > 1) {
		begin_anew(l, n);
		l->window = l->page > 1 ? PAGE_EVENTS : l->window / 4;
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
	int r = 0;

	if (l->at < l->n_runs)
		r = load_page(ctx, l);
	else if (l->listed_all) {
		if (l->loaded > 0)
			ins_log(ctx, INS_LOG_INFO, "runs.resumed",
			    json_pack("{s:i}", "runs", (int)l->loaded));
		load_free(l);
		return 0;
	} else if (l->tenants == NULL)
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

/* The next round tries these again. */
static void
not_loaded(struct engine *e, const unsigned char got[RUNS_SHARDS])
{
	unsigned i;

	for (i = 0; i < RUNS_SHARDS; i++)
		if (got[i])
			e->loaded[i] = 0;
}

void
engine_load_start(ins_ctx *ctx, struct engine *e)
{
	struct array shards = { 0 };
	struct load *l;
	unsigned char got[RUNS_SHARDS] = { 0 };
	unsigned i, n = 0;

	for (i = 0; i < RUNS_SHARDS; i++) {
		if (e->fence[i] != 0 && e->fence[i] != e->loaded[i]) {
			array_int(&shards, i);
			got[i] = 1;
			n++;
		}
		e->loaded[i] = e->fence[i];
	}
	if (n == 0)
		return;
	array_arg(&shards);
	l = calloc(1, sizeof *l);
	if (l == NULL || shards.failed) {
		free(l);
		array_free(&shards);
		not_loaded(e, got);
		return;
	}
	l->engine = e;
	l->shards = shards.p;
	l->page = HEADERS_MAX;
	l->window = PAGE_EVENTS;
	snprintf(l->after, sizeof l->after, "00000000-0000-0000-0000-000000000000");
	ins_log(ctx, INS_LOG_INFO, "runs.shards", json_pack("{s:i}", "taken", (int)n));
	if (load_spawn(l) != 0) {
		load_free(l);
		not_loaded(e, got);
	}
}

int
engine_load_some(ins_ctx *ctx, struct engine *e, const struct ready *ready, unsigned n)
{
	struct load *l = calloc(1, sizeof *l);
	struct array ids = { 0 };
	unsigned i, k;

	(void)ctx;
	if (e->loading) { /* the rows stay: the next look finds them */
		free(l);
		return 0;
	}
	if (l == NULL)
		return -INS_ENOMEM;
	l->engine = e;
	l->page = HEADERS_MAX;
	l->window = PAGE_EVENTS;
	l->ready = malloc(n * sizeof *ready);
	l->tenants = calloc(n + 1, sizeof *l->tenants);
	l->tenant_ptrs = calloc(n + 1, sizeof *l->tenant_ptrs);
	for (i = 0; i < n; i++)
		array_text_z(&ids, ready[i].run_id);
	array_arg(&ids);
	l->ids = ids.p;
	if (l->ready == NULL || l->tenants == NULL || l->tenant_ptrs == NULL || ids.failed) {
		load_free(l);
		return -INS_ENOMEM;
	}
	memcpy(l->ready, ready, n * sizeof *ready);
	l->n_ready = n;
	e->loading = 1;
	for (i = 0; i < n; i++) {
		for (k = 0; k < l->n_tenants && strcmp(l->tenants[k], ready[i].tenant_id) != 0;)
			k++;
		if (k < l->n_tenants)
			continue;
		snprintf(l->tenants[k], TENANT_BYTES, "%s", ready[i].tenant_id);
		l->tenant_ptrs[k] = l->tenants[k];
		l->n_tenants++;
	}
	if (load_spawn(l) == 0)
		return 0;
	load_free(l);
	return -INS_ELIMIT;
}

/* Loads the run anew, from its row. */
static int
load_one(struct run *run, const ins_rows *row, int poison)
{
	struct load *l = calloc(1, sizeof *l);

	if (l == NULL)
		return -INS_ENOMEM;
	l->engine = run->engine;
	l->page = 1;
	l->window = PAGE_EVENTS;
	l->listed_all = 1;
	l->abandoned = run->abandoned;
	l->poison = poison;
	if (set_tenants(l, row) != 0 ||
	    (l->runs[0] = run_from_row(run->engine, row, 0, &l->expect[0])) == NULL) {
		load_free(l);
		return -INS_ENOMEM;
	}
	snprintf(
	    l->tenants[0], TENANT_BYTES, "%s", run->tenant_id); /* not the row's first column */
	l->n_runs = 1;
	if (load_spawn(l) == 0)
		return 0;
	load_free(l);
	return -INS_ELIMIT;
}

/* A run that can't even begin. The next one of its thread may. */
static int
end_pending(ins_ctx *ctx, struct run *run)
{
	const struct plugin *p = run->engine->plugin;
	const char *tenant = run->tenant_id;
	ins_arg id = ins_text(run->run_id), thread[2];
	ins_call calls[2] = { { p->sql.end_pending, &id, 1 },
		{ p->sql.with[WITH_NEXT], thread, 2 } };

	thread[0] = ins_text(ins_printf(ctx, "{%s}", run->tenant_id));
	thread[1] = ins_text(ins_printf(ctx, "{%s}", run->thread_id));
	return ins_engine_batch(ctx, &tenant, 1, calls, run->thread_id[0] == '\0' ? 1 : 2, NULL);
}

int
run_reload(ins_ctx *ctx, struct run *run, int why)
{
	struct engine *e = run->engine;
	const char *tenant = run->tenant_id, *status;
	ins_arg id = ins_text(run->run_id);
	ins_rows *row;
	int refused = why == -INS_EINVAL || why == -INS_ETOOBIG, same;
	int r = ins_engine_batch(
	    ctx, &tenant, 1, &(const ins_call){ e->plugin->sql.one, &id, 1 }, 1, &row);

	if (r != 0)
		return r;
	status = ins_rows_count(row) == 0 ? NULL : ins_value(row, 0, RUN_COLUMNS_N);
	same = status != NULL && run->state == RUN_LIVE &&
	    ins_value_int(row, 0, 6) == run->committed;
	if (status == NULL) {
		run->start_error = run->abandoned || !refused ? -INS_EUNAVAILABLE : -INS_EINVAL;
		run_log(ctx, INS_LOG_WARN, "runs.refused", run, "the run could not be recorded");
	} else if (run->poisoned) {
		run_log(ctx, INS_LOG_ERROR, "runs.given_up", run,
		    "not even the end of the run could be recorded; the next start tries again");
	} else if (same && !refused && strcmp(status, "cancelled") != 0) {
		return why; /* a deadlock, an error of the server, a lost lease: it is tried again
			     */
	} else if (strcmp(status, "pending") == 0) {
		run_log(ctx, INS_LOG_ERROR, "runs.given_up", run,
		    "the run's beginning could not be recorded");
		if ((r = end_pending(ctx, run)) != 0)
			return r;
	} else if (strcmp(status, "running") == 0 || strcmp(status, "interrupted") == 0) {
		run_log(ctx, INS_LOG_WARN, "runs.reloaded", run,
		    "its log is not what this host thought, or refused an event");
		if ((r = load_one(run, row, same && refused)) != 0)
			return r;
	}
	/* Its watchers follow the log from here on. */
	run_remove(run);
	run_tell_gone(run);
	ins_cond_broadcast(run->cond);
	return 0;
}
