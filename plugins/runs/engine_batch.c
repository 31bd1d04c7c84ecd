/*
 * engine_batch.c: a commit batch as SQL. Two statements at most, one for new runs and one for the
 * others, with arrays as parameters, and the outbox calls of business events: one implicit
 * transaction, one round trip.
 *
 * Each statement locks the shards it writes to FOR SHARE, in order (a takeover's UPDATE waits, and
 * two batches can't deadlock), and only where owner, boot and fence are still ours. A run whose
 * shard was lost, or whose next_seq moved, joins with nothing; its events then have no tenant,
 * which row-level security refuses, and the batch fails as a whole: the outbox must not tell of
 * what the log does not hold.
 */
#include <stdlib.h>

#include "engine_batch.h"

static const char sql_start[] =
    "WITH i AS ("
    " SELECT * FROM unnest($3::uuid[], $4::uuid[], $5::text[], $6::smallint[], $7::bigint[],"
    "  $8::text[], $9::text[], $10::integer[], $11::text[], $12::jsonb[], $13::jsonb[],"
    "  $14::timestamptz[], $15::timestamptz[], $16::timestamptz[], $17::text[], $18::jsonb[],"
    "  $19::uuid[])"
    "  AS i (run_id, tenant_id, user_id, shard, fence, workflow, version, next_seq, status,"
    "  budget, attrs, created_at, ended_at, wake_at, idem_key, metadata, assistant_id)"
    "), l AS ("
    " SELECT shard, fence FROM run_shards"
    " WHERE shard = ANY ($6::smallint[]) AND owner = $1 AND boot_id = $2"
    " ORDER BY shard FOR SHARE"
    "), r AS ("
    " INSERT INTO agent_runs (run_id, tenant_id, user_id, shard, workflow, version, next_seq,"
    "  status, budget, attrs, created_at, ended_at, wake_at, idem_key, metadata, assistant_id)"
    " SELECT i.run_id, CASE WHEN l.shard IS NULL THEN NULL ELSE i.tenant_id END, i.user_id, "
    "l.shard, i.workflow, i.version, i.next_seq,"
    "  i.status, i.budget, i.attrs, i.created_at, i.ended_at, i.wake_at, i.idem_key, i.metadata,"
    "  i.assistant_id"
    " FROM i LEFT JOIN l ON l.shard = i.shard AND l.fence = i.fence"
    " RETURNING run_id, tenant_id"
    ") INSERT INTO run_events (run_id, seq, tenant_id, type, step_id, attempt, node, ts, data)"
    " SELECT e.run_id, e.seq, r.tenant_id, e.type, e.step_id, e.attempt, e.node, e.ts, e.data"
    " FROM unnest($20::uuid[], $21::integer[], $22::text[], $23::integer[], $24::smallint[],"
    "  $25::text[], $26::timestamptz[], $27::json[])"
    "  AS e (run_id, seq, type, step_id, attempt, node, ts, data)"
    "  LEFT JOIN r ON r.run_id = e.run_id";

static const char sql_append[] =
    "WITH i AS ("
    " SELECT * FROM unnest($3::uuid[], $4::smallint[], $5::bigint[], $6::integer[],"
    "  $7::integer[], $8::text[], $9::timestamptz[], $10::timestamptz[], $11::uuid[],"
    "  $12::integer[])"
    "  AS i (run_id, shard, fence, seq, next_seq, status, ended_at, wake_at, base_run, base_seq)"
    "), l AS ("
    " SELECT shard, fence FROM run_shards"
    " WHERE shard = ANY ($4::smallint[]) AND owner = $1 AND boot_id = $2"
    " ORDER BY shard FOR SHARE"
    "), u AS ("
    " UPDATE agent_runs AS r"
    " SET next_seq = i.next_seq, status = i.status, ended_at = i.ended_at, wake_at = i.wake_at,"
    "  base_run = coalesce(i.base_run, r.base_run), base_seq = coalesce(i.base_seq, r.base_seq)"
    " FROM i JOIN l ON l.shard = i.shard AND l.fence = i.fence"
    " WHERE r.run_id = i.run_id AND r.shard = i.shard AND r.next_seq = i.seq"
    "  AND r.ended_at IS NULL"
    " RETURNING r.run_id, r.tenant_id"
    ") INSERT INTO run_events (run_id, seq, tenant_id, type, step_id, attempt, node, ts, data)"
    " SELECT e.run_id, e.seq, u.tenant_id, e.type, e.step_id, e.attempt, e.node, e.ts, e.data"
    " FROM unnest($13::uuid[], $14::integer[], $15::text[], $16::integer[], $17::smallint[],"
    "  $18::text[], $19::timestamptz[], $20::json[])"
    "  AS e (run_id, seq, type, step_id, attempt, node, ts, data)"
    "  LEFT JOIN u ON u.run_id = e.run_id";

enum { E_RUN, E_SEQ, E_TYPE, E_STEP, E_ATTEMPT, E_NODE, E_TS, E_DATA, E_COLUMNS };
enum {
	S_RUN,
	S_TENANT,
	S_USER,
	S_SHARD,
	S_FENCE,
	S_WORKFLOW,
	S_VERSION,
	S_NEXT,
	S_STATUS,
	S_BUDGET,
	S_ATTRS,
	S_CREATED,
	S_ENDED,
	S_WAKE,
	S_KEY,
	S_METADATA,
	S_ASSISTANT,
	S_COLUMNS
};
enum {
	A_RUN,
	A_SHARD,
	A_FENCE,
	A_SEQ,
	A_NEXT,
	A_STATUS,
	A_ENDED,
	A_WAKE,
	A_BASE_RUN,
	A_BASE_SEQ,
	A_COLUMNS
};
/* all statements, and for each run at most a started, an ended and a metered event */
#define CALLS_MAX (WITHS + 3 * RUNS_BATCH_RUNS)

struct batch {
	struct columns with[WITHS];
	const char *tenants[RUNS_BATCH_RUNS];
	unsigned n_tenants;
	ins_call calls[CALLS_MAX];
	unsigned n_calls;
};

void
engine_batch_init(struct plugin *p)
{
	p->sql.with[WITH_START] = ins_stmt_new(p->host, sql_start);
	p->sql.with[WITH_APPEND] = ins_stmt_new(p->host, sql_append);
	engine_with_init(p);
}

static const char *
status_after(const struct run *run)
{
	if (run->fold.ended)
		return json_string_value(json_object_get(run->fold.end, "status"));
	return run->fold.stopped ? "interrupted" : "running";
}

/* first: of the columns of the events. */
static void
add_events(struct array *c, const struct run *run)
{
	const struct run_event *ev = run->pending;
	unsigned i;

	for (i = 0; i < run->n_flying; i++, ev = ev->next) {
		int step = ev->step_id >= 0;

		array_text_z(&c[E_RUN], run->run_id);
		array_int(&c[E_SEQ], ev->seq);
		array_text_z(&c[E_TYPE], event_type_names[ev->type]);
		if (step)
			array_int(&c[E_STEP], ev->step_id);
		else
			array_null(&c[E_STEP]);
		if (step)
			array_int(&c[E_ATTEMPT], ev->attempt);
		else
			array_null(&c[E_ATTEMPT]);
		array_text_z(&c[E_NODE], step ? ev->node : NULL);
		array_time(&c[E_TS], ev->ts_us);
		array_json(&c[E_DATA], ev->data);
	}
}

static const char *
or_null(const char *z)
{
	return z == NULL || *z == '\0' ? NULL : z;
}

/* NULL: the owner keeps it in memory. */
static void
add_wake(struct array *a, const struct run *run)
{
	int64_t until = run->sleeps_until;

	if (!run->sleeps)
		array_null(a);
	else if (until == 0)
		array_text_z(a, "infinity");
	else
		array_time(a, until);
}

/* All of a run's pending events fly: its fold stands where they end. */
static void
add_start(struct columns *s, const struct run *run)
{
	json_t *budget = fold_limits_json(&run->fold.limits);
	json_t *attrs = json_pack("{s:s}", "plan", run->plan);
	json_t *metadata = run->metadata == NULL ? json_object() : json_incref(run->metadata);
	struct array *c = s->col;

	s->n = S_COLUMNS + E_COLUMNS;
	s->rows++;
	array_text_z(&c[S_RUN], run->run_id);
	array_text_z(&c[S_TENANT], run->tenant_id);
	array_text_z(&c[S_USER], run->user_id);
	array_int(&c[S_SHARD], run->shard);
	array_int(&c[S_FENCE], run->engine->fence[run->shard]);
	array_text_z(&c[S_WORKFLOW], run->workflow);
	array_text_z(&c[S_VERSION], run->version);
	array_int(&c[S_NEXT], run->fold.next_seq);
	array_text_z(&c[S_STATUS], status_after(run));
	array_json(&c[S_BUDGET], budget);
	array_json(&c[S_ATTRS], attrs);
	array_time(&c[S_CREATED], run->fold.started_us);
	array_time(&c[S_ENDED], run->fold.ended ? run->fold.last_us : 0);
	add_wake(&c[S_WAKE], run);
	array_text_z(&c[S_KEY], or_null(run->idem_key));
	array_json(&c[S_METADATA], metadata);
	array_text_z(&c[S_ASSISTANT], or_null(run->assistant_id));
	json_decref(budget);
	json_decref(attrs);
	json_decref(metadata);
	add_events(&c[S_COLUMNS], run);
}

static void
add_append(struct columns *s, const struct run *run)
{
	int begins = run->committed == 0 && run->base_run[0] != '\0';
	struct array *c = s->col;

	s->n = A_COLUMNS + E_COLUMNS;
	s->rows++;
	array_text_z(&c[A_RUN], run->run_id);
	array_int(&c[A_SHARD], run->shard);
	array_int(&c[A_FENCE], run->engine->fence[run->shard]);
	array_int(&c[A_SEQ], run->committed);
	array_int(&c[A_NEXT], run->fold.next_seq);
	array_text_z(&c[A_STATUS], status_after(run));
	array_time(&c[A_ENDED], run->fold.ended ? run->fold.last_us : 0);
	add_wake(&c[A_WAKE], run);
	array_text_z(&c[A_BASE_RUN], begins ? run->base_run : NULL);
	if (begins)
		array_int(&c[A_BASE_SEQ], run->base_seq);
	else
		array_null(&c[A_BASE_SEQ]);
	add_events(&c[A_COLUMNS], run);
}

static void
add_tenant(struct batch *b, const char *tenant)
{
	unsigned i;

	for (i = 0; i < b->n_tenants; i++)
		if (strcmp(b->tenants[i], tenant) == 0)
			return;
	b->tenants[b->n_tenants++] = tenant;
}

static int
add_started(ins_ctx *ctx, struct batch *b, const struct run *run)
{
	ins_principal who = run_principal(run);
	json_t *payload = json_pack("{s:s}", "version", run->version);
	int r = payload == NULL ? -INS_ENOMEM
				: ins_engine_event(ctx, &who, "agent.run.started", run->run_id,
				      run->workflow, NULL, payload, &b->calls[b->n_calls++]);

	json_decref(payload);
	return r;
}

static int
add_ended(ins_ctx *ctx, struct batch *b, const struct run *run, const struct run_event *ev)
{
	struct run_end end = { 0 };

	end.who = run_principal(run);
	end.run_id = run->run_id;
	end.workflow = run->workflow;
	end.version = run->version;
	end.data = ev->data;
	end.ts_us = ev->ts_us;
	end.duration_ms = (ev->ts_us - run->fold.started_us) / 1000;
	end.prompt_tokens = run->fold.prompt_tokens;
	end.completion_tokens = run->fold.completion_tokens;
	end.cost_nanos = run->fold.cost_nanos;
	b->n_calls += TOLD_CALLS;
	return told_calls(ctx, &end, &b->calls[b->n_calls - TOLD_CALLS]);
}

/* agent.run.started with the first event of a run, what tells of its end with its last. */
static int
add_business(ins_ctx *ctx, struct batch *b, const struct run *run)
{
	const struct run_event *ev = run->pending;
	unsigned i;
	int r = 0;

	for (i = 0; i < run->n_flying && r == 0; i++, ev = ev->next) {
		if (ev->type == EV_RUN_STARTED)
			r = add_started(ctx, b, run);
		else if (ev->type == EV_RUN_ENDED)
			r = add_ended(ctx, b, run, ev);
	}
	return r;
}

static int
add_call(struct batch *b, enum with which, const struct plugin *p)
{
	struct columns *c = &b->with[which];
	ins_arg *args = c->args;
	unsigned i, n = 0;

	if (c->rows == 0)
		return 0;
	if (which == WITH_START || which == WITH_APPEND) {
		args[n++] = ins_text(ins_host_id());
		args[n++] = ins_text(p->boot_id);
	}
	for (i = 0; i < c->n; i++)
		args[n++] = array_arg(&c->col[i]);
	for (i = 0; i < n; i++)
		if (args[i].p == NULL)
			return -INS_ENOMEM;
	b->calls[b->n_calls].stmt = p->sql.with[which];
	b->calls[b->n_calls].args = args;
	b->calls[b->n_calls].n_args = n;
	b->n_calls++;
	return 0;
}

static int
build(ins_ctx *ctx, struct batch *b, struct engine *e, struct run **runs, unsigned n)
{
	unsigned i;
	int r = 0;

	for (i = 0; i < n; i++) {
		add_tenant(b, runs[i]->tenant_id);
		/* decided once: the row and what wakes it must agree */
		runs[i]->sleeps = run_sleeps(runs[i], &runs[i]->sleeps_until) != 0;
		if (runs[i]->state == RUN_NEW)
			add_start(&b->with[WITH_START], runs[i]);
		else
			add_append(&b->with[WITH_APPEND], runs[i]);
		if ((r = batch_with(ctx, b->with, runs[i])) != 0)
			return r;
	}
	for (i = 0; i < WITHS && r == 0; i++)
		r = add_call(b, (enum with)i, e->plugin);
	for (i = 0; i < n && r == 0; i++)
		r = add_business(ctx, b, runs[i]);
	return r;
}

int
batch_commit(ins_ctx *ctx, struct engine *e, struct run **runs, unsigned n)
{
	struct batch *b = calloc(1, sizeof *b);
	unsigned i, k;
	int r;

	if (b == NULL)
		return -INS_EUNAVAILABLE;
	r = build(ctx, b, e, runs, n);
	failpoint(e, FAIL_MID_BATCH);
	if (r == 0)
		r = ins_engine_batch(ctx, b->tenants, b->n_tenants, b->calls, b->n_calls, NULL);
	for (i = 0; i < WITHS; i++)
		for (k = 0; k < COLUMNS_MAX; k++)
			array_free(&b->with[i].col[k]);
	free(b);
	return r;
}
