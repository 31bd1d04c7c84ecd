/*
 * engine_load_begin.c: which runs are loaded, and why: all that are under way in shards that were
 * just got, those that something is due for, and one run whose commit failed.
 */
#include <stdlib.h>

#include "array.h"
#include "engine_load.h"

static const char sql_one[] = "SELECT " RUN_COLUMNS ", r.status FROM agent_runs AS r" RUN_SNAPSHOT
			      " WHERE r.run_id = $1::uuid";
static const char sql_end_pending[] =
    "WITH c AS (UPDATE agent_runs SET status = 'failed', ended_at = clock_timestamp()"
    " WHERE run_id = $1::uuid AND status = 'pending' RETURNING shard, run_id, tenant_id)"
    " INSERT INTO run_ready (shard, at, run_id, tenant_id)"
    " SELECT shard, clock_timestamp(), run_id, tenant_id FROM c";

void
engine_load_begin_init(struct plugin *p)
{
	p->sql.one = ins_stmt_new(p->host, sql_one);
	p->sql.end_pending = ins_stmt_new(p->host, sql_end_pending);
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
	l->page = LOAD_RUNS_MAX;
	l->window = LOAD_PAGE_EVENTS;
	l->listed_all = 1; /* of no tenants yet */
	snprintf(l->tenants_after, sizeof l->tenants_after, LOAD_FIRST_ID);
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
	l->page = LOAD_RUNS_MAX;
	l->window = LOAD_PAGE_EVENTS;
	l->all_tenants = 1;
	l->ready = malloc(n * sizeof *ready);
	for (i = 0; i < n; i++)
		array_text_z(&ids, ready[i].run_id);
	array_arg(&ids);
	l->ids = ids.p;
	if (l->ready == NULL || load_tenants_room(l, n) != 0 || ids.failed) {
		load_free(l);
		return -INS_ENOMEM;
	}
	memcpy(l->ready, ready, n * sizeof *ready);
	l->n_ready = n;
	e->loading = 1;
	for (i = 0; i < n; i++) {
		for (k = 0; k < l->n_tenants && strcmp(l->tenants[k], ready[i].tenant_id) != 0;)
			k++;
		if (k == l->n_tenants)
			load_tenant_add(l, ready[i].tenant_id);
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
	l->window = LOAD_PAGE_EVENTS;
	l->all_tenants = l->listed_all = 1;
	l->abandoned = run->abandoned;
	l->poison = poison;
	if (load_tenants_room(l, 1) != 0 ||
	    (l->runs[0] = run_from_row(run->engine, row, 0, &l->expect[0])) == NULL) {
		load_free(l);
		return -INS_ENOMEM;
	}
	load_tenant_add(l, run->tenant_id);
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
