/*
 * engine_start.c: runs begin.
 *
 * A run that stands alone, asked of a loop that owns a shard, begins at once: its RunStarted goes
 * with the next batch. Every other is first a row: pending in the shard that its thread belongs to,
 * with what was asked of it. The shard's owner, wherever it is, then begins it (engine_ready.c).
 * Both are durable when the caller gets its answer.
 */
#include <stdlib.h>

#include "engine.h"

#define LEASE_WAIT_MS 5000
#define START_WAIT_MS 10000
#define RETRY_AFTER_S 2
#define OPTIONS_MAX (256u << 10)
#define AFTER_MAX_MS (366 * 24 * 3600 * INT64_C(1000))

static const char sql_by_key[] =
    "SELECT run_id FROM agent_runs WHERE tenant_id = $1::uuid AND idem_key = $2";
/* One start or state edit of a thread at a time. */
static const char sql_lock_thread[] =
    "SELECT head_run FROM threads"
    " WHERE tenant_id = $1::uuid AND thread_id = $2::uuid FOR UPDATE";
static const char sql_pend[] =
    "INSERT INTO agent_runs (run_id, tenant_id, user_id, shard, workflow, version, next_seq, "
    "status,"
    " budget, attrs, created_at, wake_at, thread_id, assistant_id, idem_key, metadata, request,"
    " multitask)"
    " SELECT $1::uuid, $2::uuid, $3, $4::smallint, $5, $6, 0, 'pending', $7::jsonb, $8::jsonb,"
    "  clock_timestamp(), clock_timestamp() + $9::bigint * interval '1 ms', $10::uuid, $11::uuid,"
    "  $12, $13::jsonb, $14::json, $15"
    " WHERE ($10::uuid IS NULL OR EXISTS (SELECT FROM threads"
    "  WHERE tenant_id = $2::uuid AND thread_id = $10::uuid))"
    " AND ($15 <> 'reject' OR $10::uuid IS NULL OR NOT EXISTS (SELECT FROM agent_runs"
    "  WHERE tenant_id = $2::uuid AND thread_id = $10::uuid AND status IN ('pending', 'running')))"
    " AND (SELECT count(*) FROM (SELECT FROM agent_runs WHERE tenant_id = $2::uuid"
    "  AND status = 'pending' LIMIT $16::bigint) AS p) < $16::bigint"
    " RETURNING run_id";
static const char sql_n_pending[] =
    "SELECT count(*) FROM agent_runs WHERE tenant_id = $1::uuid AND status = 'pending'";
static const char sql_pend_ready[] =
    "INSERT INTO run_ready (shard, at, starts, run_id, tenant_id)"
    " SELECT shard, wake_at, true, run_id, tenant_id FROM agent_runs WHERE run_id = $1::uuid";
/* What the new run displaces: running runs get a message, pending ones never begin. */
static const char sql_displace[] =
    "INSERT INTO run_inbox (run_id, msg_id, tenant_id, shard, kind)"
    " SELECT run_id, 'displaced by ' || $1::text, tenant_id, shard, $4 FROM agent_runs"
    " WHERE tenant_id = $2::uuid AND thread_id = $3::uuid AND status = 'running'"
    " AND EXISTS (SELECT FROM agent_runs WHERE run_id = $1::uuid) ON CONFLICT DO NOTHING";
static const char sql_displace_ready[] =
    "INSERT INTO run_ready (shard, at, run_id, tenant_id)"
    " SELECT shard, clock_timestamp(), run_id, tenant_id FROM agent_runs"
    " WHERE tenant_id = $2::uuid AND thread_id = $3::uuid AND status = 'running'"
    " AND EXISTS (SELECT FROM agent_runs WHERE run_id = $1::uuid)";
static const char sql_displace_pending[] =
    "WITH c AS (UPDATE agent_runs SET status = 'cancelled', ended_at = clock_timestamp()"
    " WHERE tenant_id = $2::uuid AND thread_id = $3::uuid AND status = 'pending'"
    " AND run_id <> $1::uuid AND EXISTS (SELECT FROM agent_runs WHERE run_id = $1::uuid)"
    " RETURNING shard, run_id, tenant_id)"
    " INSERT INTO run_ready (shard, at, run_id, tenant_id)"
    " SELECT shard, clock_timestamp(), run_id, tenant_id FROM c";

static const char sql_checkpoint[] = "SELECT next_seq FROM agent_runs WHERE run_id = $1::uuid";

static const char *const multitask_names[] = { "enqueue", "reject", "interrupt", "rollback" };

void
engine_start_init(struct plugin *p)
{
	p->sql.by_key = ins_stmt_new(p->host, sql_by_key);
	p->sql.lock_thread = ins_stmt_new(p->host, sql_lock_thread);
	p->sql.pend = ins_stmt_new(p->host, sql_pend);
	p->sql.pend_ready = ins_stmt_new(p->host, sql_pend_ready);
	p->sql.displace = ins_stmt_new(p->host, sql_displace);
	p->sql.displace_ready = ins_stmt_new(p->host, sql_displace_ready);
	p->sql.displace_pending = ins_stmt_new(p->host, sql_displace_pending);
	p->sql.n_pending = ins_stmt_new(p->host, sql_n_pending);
	p->sql.checkpoint = ins_stmt_new(p->host, sql_checkpoint);
}

static int
unavailable(ins_ctx *ctx, const char *text)
{
	ins_fail(ctx, INS_EUNAVAILABLE, "%s", text);
	ins_retry_after(ctx, RETRY_AFTER_S);
	return -INS_EUNAVAILABLE;
}

void
limits_for(const struct plugin *p, const char *workflow, struct fold_limits *ret)
{
	ret->steps = p->conf.steps;
	ret->visits = p->conf.visits;
	ret->time_ms = p->conf.time;
	ret->tokens = p->conf.tokens;
	ret->cost_nanos = p->conf.cost_nanos;
	fold_limits_parse(ret, json_object_get(p->conf.limits, workflow));
}

/* A start, checked. */
struct start {
	const ins_run_request *req;
	const ins_workflow *wf;
	struct fold_limits limits;
	const char *thread_id, *assistant_id; /* lower case, or NULL */
	const char *name, *version;           /* of the workflow, in the arena */
	char run_id[37];
};

size_t
json_bytes(const json_t *j)
{
	return j == NULL ? 0 : json_dumpb(j, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);
}

int
bad_field(ins_ctx *ctx, const char *field, const char *text)
{
	ins_field(ctx, field);
	return ins_fail(ctx, INS_EINVAL, "%s", text);
}

static int
check_checkpoint(ins_ctx *ctx, const json_t *c)
{
	if (c == NULL || json_is_null(c))
		return 0;
	if (uuid_of(ctx, json_string_value(json_object_get(c, "run_id"))) == NULL ||
	    !json_is_integer(json_object_get(c, "seq")) ||
	    json_integer_value(json_object_get(c, "seq")) < 0)
		return bad_field(
		    ctx, "checkpoint", "a checkpoint is a run_id and a seq of that run");
	return 0;
}

static int
check_names(ins_ctx *ctx, const json_t *options, const char *key)
{
	const json_t *v = json_object_get(options, key), *name;
	size_t i;

	if (v == NULL || json_is_null(v) ||
	    (json_is_string(v) && strcmp(json_string_value(v), "*") == 0))
		return 0;
	if (!json_is_array(v) || json_array_size(v) > FOLD_OPEN_MAX)
		return bad_field(ctx, key, "must be \"*\" or a list of names of steps");
	json_array_foreach(v, i, name)
	{
		if (!json_is_string(name))
			return bad_field(ctx, key, "must be \"*\" or a list of names of steps");
	}
	return 0;
}

static int
check_request(ins_ctx *ctx, struct plugin *p, struct start *s)
{
	const ins_run_request *req = s->req;
	int r;

	s->wf = run_workflow(ctx, p, req->workflow, NULL);
	if (s->wf == NULL)
		return ins_fail(ctx, INS_EMODEL, "there is no workflow %.100s", req->workflow);
	if (json_bytes(req->input) > RUNS_INPUT_MAX)
		return ins_fail(ctx, INS_ETOOBIG, "the input of a run may have %u bytes at most",
		    RUNS_INPUT_MAX);
	if (json_bytes(req->options) > OPTIONS_MAX || json_bytes(req->metadata) > OPTIONS_MAX)
		return ins_fail(ctx, INS_ETOOBIG,
		    "what comes with a run's input may have %u bytes at most", OPTIONS_MAX);
	if (req->multitask > INS_MULTITASK_ROLLBACK)
		return bad_field(ctx, "multitask_strategy", "there is no such strategy");
	if (req->after_ms < 0 || req->after_ms > AFTER_MAX_MS || req->deadline_ms < 0)
		return bad_field(ctx, "after_seconds", "must be between nothing and a year");
	if (req->idem_key != NULL &&
	    (*req->idem_key == '\0' || strlen(req->idem_key) > RUNS_KEY_MAX))
		return bad_field(ctx, "idempotency-key", "must have 1 to 255 bytes");
	if (req->thread_id != NULL && (s->thread_id = uuid_of(ctx, req->thread_id)) == NULL)
		return ins_fail(ctx, INS_ENOTFOUND, "there is no thread with this id");
	if (req->assistant_id != NULL &&
	    (s->assistant_id = uuid_of(ctx, req->assistant_id)) == NULL)
		return bad_field(ctx, "assistant_id", "must be a uuid");
	if ((r = check_checkpoint(ctx, json_object_get(req->options, "checkpoint"))) != 0 ||
	    (r = check_names(ctx, req->options, "interrupt_before")) != 0 ||
	    (r = check_names(ctx, req->options, "interrupt_after")) != 0)
		return r;
	limits_for(p, s->wf->name, &s->limits);
	if (req->deadline_ms > 0 &&
	    (s->limits.time_ms == 0 || req->deadline_ms < s->limits.time_ms))
		s->limits.time_ms = req->deadline_ms;
	s->name = ins_strndup(ctx, s->wf->name, strlen(s->wf->name));
	s->version = ins_strndup(ctx, s->wf->version, strlen(s->wf->version));
	if (s->name == NULL || s->version == NULL)
		return ins_fail(ctx, INS_ENOMEM, "out of memory");
	ins_uuid7(s->run_id);
	return 0;
}

/* ---- at once ---- */

static struct run *
make_run(ins_ctx *ctx, struct engine *e, const struct start *s, int shard)
{
	struct run *run = run_new(e, s->run_id);

	if (run == NULL)
		return NULL;
	run->shard = shard;
	snprintf(run->tenant_id, sizeof run->tenant_id, "%s", ins_tenant_id(ctx));
	snprintf(run->user_id, sizeof run->user_id, "%s", ins_user_id(ctx));
	snprintf(run->plan, sizeof run->plan, "%s", ins_plan(ctx));
	snprintf(run->workflow, sizeof run->workflow, "%s", s->name);
	snprintf(run->version, sizeof run->version, "%s", s->version);
	if (s->assistant_id != NULL)
		snprintf(run->assistant_id, sizeof run->assistant_id, "%s", s->assistant_id);
	if (s->req->idem_key != NULL)
		run->idem_key = strdup(s->req->idem_key);
	run->metadata = json_incref((json_t *)(uintptr_t)s->req->metadata);
	fold_init(&run->fold, &s->limits);
	return run;
}

/* Until RunStarted is committed. */
static int
wait_started(ins_ctx *ctx, struct run *run)
{
	int64_t until = ins_mono_us() + START_WAIT_MS * INT64_C(1000);

	while (run->committed == 0) {
		int64_t left = (until - ins_mono_us()) / 1000;
		int r;

		if (run->start_error == -INS_EINVAL)
			return ins_fail(ctx, INS_EINVAL,
			    "the run could not be recorded: its input holds what the database "
			    "refuses");
		if (run->start_error != 0 || left <= 0 || run->state == RUN_GONE) {
			run->abandoned = 1;
			return unavailable(ctx, "the run could not be recorded now");
		}
		r = ins_cond_wait(ctx, run->cond, left);
		if (r == -INS_ECANCELED)
			return r;
	}
	return 0;
}

json_t *
start_data(const json_t *input, const json_t *options)
{
	static const char *const kept[] = { "context", "interrupt_before", "interrupt_after" };
	json_t *data = json_object(), *v;
	size_t i;

	json_object_set_new(
	    data, "input", input == NULL ? json_object() : json_incref((json_t *)(uintptr_t)input));
	for (i = 0; i < sizeof kept / sizeof *kept; i++)
		if ((v = json_object_get(options, kept[i])) != NULL && !json_is_null(v))
			json_object_set(data, kept[i], v);
	return data;
}

INS_AWAITS
static int
start_now(ins_ctx *ctx, struct engine *e, const struct start *s, int shard, ins_watch **ret_watch)
{
	struct run *run = make_run(ctx, e, s, shard);
	int r;

	if (run == NULL ||
	    (ret_watch != NULL &&
		(*ret_watch = watch_new(ctx, run, s->req->watch_flags)) == NULL)) {
		if (run != NULL)
			run_unref(run);
		return ins_fail(ctx, INS_ENOMEM, "out of memory");
	}
	run_insert(run);
	r = run_record(ctx, run,
	    run_event_new(EV_RUN_STARTED, -1, 0, NULL, start_data(s->req->input, s->req->options)));
	if (r == 0)
		r = wait_started(ctx, run);
	else
		run_remove(run);
	run_unref(run);
	return r;
}

/* ---- as a row ---- */

/* The shard that a thread's runs share: any will do, but always the same. FNV-1a. */
static int
shard_of(const char *thread_id)
{
	uint32_t h = 2166136261u;

	for (; *thread_id != '\0'; thread_id++)
		h = (h ^ (unsigned char)*thread_id) * 16777619u;
	return (int)(h % RUNS_SHARDS);
}

static json_t *
request_json(ins_ctx *ctx, const struct start *s)
{
	return ins_json_end(
	    ctx, json_pack("{s:O?, s:O?}", "input", s->req->input, "options", s->req->options));
}

/* Nothing was inserted: the thread is busy, or the tenant has too many that wait. */
INS_AWAITS
static int
not_pended(ins_ctx *ctx, struct plugin *p, const struct start *s)
{
	const char *tenant = ins_tenant_id(ctx);
	ins_arg arg = ins_text(tenant);
	ins_rows *rows;
	int64_t n;
	int r = ins_engine_batch(
	    ctx, &tenant, 1, &(const ins_call){ p->sql.n_pending, &arg, 1 }, 1, &rows);

	if (r != 0)
		return r;
	n = ins_value_int(rows, 0, 0);
	if (s->thread_id != NULL && s->req->multitask == INS_MULTITASK_REJECT &&
	    n < p->conf.pending)
		return ins_fail(ctx, INS_ECONFLICT, "the thread has a run that is not over");
	ins_add(p->metric.refused, NULL, 1);
	ins_retry_after(ctx, RETRY_AFTER_S);
	return ins_fail(ctx, INS_ELIMIT,
	    "%lld runs of this tenant wait to begin, and no more than %lld may; try again later",
	    (long long)n, (long long)p->conf.pending);
}

INS_AWAITS
static int
pend_batch(ins_ctx *ctx, struct plugin *p, const struct start *s, int shard)
{
	const char *tenant = ins_tenant_id(ctx), *multitask = multitask_names[s->req->multitask];
	int displaces = s->thread_id != NULL && s->req->multitask >= INS_MULTITASK_INTERRUPT;
	const char *kind = s->req->multitask == INS_MULTITASK_ROLLBACK ? "delete" : "cancel";
	json_t *limits = ins_json_end(ctx, fold_limits_json(&s->limits)), *none, *request;
	json_t *attrs = ins_json_end(ctx, json_pack("{s:s}", "plan", ins_plan(ctx)));
	ins_arg lock[2] = { ins_text(tenant), ins_text(s->thread_id) };
	ins_arg id[4] = { ins_text(s->run_id), ins_text(tenant), ins_text(s->thread_id),
		ins_text(kind) };
	ins_arg args[16];
	ins_principal who = { 0 };
	ins_call calls[7];
	ins_rows *rows[7];
	unsigned n = 0;
	int r;

	none = ins_json_end(ctx, json_object());
	request = request_json(ctx, s);
	if (limits == NULL || attrs == NULL || none == NULL || request == NULL)
		return ins_fail(ctx, INS_ENOMEM, "out of memory");
	args[0] = ins_text(s->run_id);
	args[1] = ins_text(tenant);
	args[2] = ins_text(ins_user_id(ctx));
	args[3] = ins_int(ctx, shard);
	args[4] = ins_text(s->name);
	args[5] = ins_text(s->version);
	args[6] = ins_json(ctx, limits);
	args[7] = ins_json(ctx, attrs);
	args[8] = ins_int(ctx, s->req->after_ms);
	args[9] = ins_text(s->thread_id);
	args[10] = ins_text(s->assistant_id);
	args[11] = ins_text(s->req->idem_key);
	args[12] = ins_json(ctx, s->req->metadata == NULL ? none : s->req->metadata);
	args[13] = ins_json(ctx, request);
	args[14] = ins_text(multitask);
	args[15] = ins_int(ctx, p->conf.pending);
	calls[n++] = (ins_call){ p->sql.lock_thread, lock, 2 };
	calls[n++] = (ins_call){ p->sql.pend, args, 16 };
	if (displaces) {
		/* first those that did not begin: one that begins meanwhile is seen by the next */
		calls[n++] = (ins_call){ p->sql.displace_pending, id, 3 };
		calls[n++] = (ins_call){ p->sql.displace, id, 4 };
		calls[n++] = (ins_call){ p->sql.displace_ready, id, 3 };
	}
	calls[n++] = (ins_call){ p->sql.pend_ready, id, 1 };
	who.size = sizeof who;
	who.tenant_id = tenant;
	who.user_id = ins_user_id(ctx);
	who.plan = ins_plan(ctx);
	who.permissions = "";
	r = ins_engine_event(
	    ctx, &who, "agent.run.requested", s->run_id, s->name, NULL, none, &calls[n++]);
	if (r == 0)
		r = ins_engine_batch(ctx, &tenant, 1, calls, n, rows);
	if (r != 0)
		return r;
	if (ins_rows_count(rows[1]) == 1)
		return 0;
	if (s->thread_id != NULL && ins_rows_count(rows[0]) == 0)
		return ins_fail(ctx, INS_ENOTFOUND, "there is no thread with this id");
	return not_pended(ctx, p, s);
}

/* The checkpoint that the start names is one of this tenant's. */
INS_AWAITS
static int
find_checkpoint(ins_ctx *ctx, struct plugin *p, const json_t *options)
{
	const json_t *c = json_object_get(options, "checkpoint");
	const char *tenant = ins_tenant_id(ctx);
	ins_rows *rows;
	ins_arg id;
	int r;

	if (!json_is_object(c))
		return 0;
	id = ins_text(uuid_of(ctx, json_string_value(json_object_get(c, "run_id"))));
	r = ins_engine_batch(
	    ctx, &tenant, 1, &(const ins_call){ p->sql.checkpoint, &id, 1 }, 1, &rows);
	if (r != 0)
		return r;
	if (ins_rows_count(rows) == 1 &&
	    json_integer_value(json_object_get(c, "seq")) < ins_value_int(rows, 0, 0))
		return 0;
	return ins_fail(ctx, INS_ENOTFOUND, "there is no such checkpoint");
}

INS_AWAITS
static int
start_pending(
    ins_ctx *ctx, struct plugin *p, struct engine *e, const struct start *s, ins_watch **ret_watch)
{
	int shard = s->thread_id != NULL ? shard_of(s->thread_id) : -1;
	int r;

	if ((r = find_checkpoint(ctx, p, s->req->options)) != 0)
		return r;
	if (shard < 0 && (shard = engine_pick_shard(e)) < 0)
		shard = shard_of(s->run_id);
	/* Who will run it shall know, before it does, that its first pieces are waited for. */
	if (ret_watch != NULL)
		relay_want(e, s->run_id);
	if ((r = pend_batch(ctx, p, s, shard)) != 0)
		return r;
	if (ret_watch != NULL)
		r = runs_watch(ctx, p, s->run_id, -1, s->req->watch_flags, ret_watch);
	engine_wake(ctx, e, shard);
	return r;
}

/* A shard to begin a run in: right after a start the lease may be a moment away. */
INS_AWAITS
static int
wait_shard(ins_ctx *ctx, struct engine *e)
{
	int64_t until = ins_mono_us() + LEASE_WAIT_MS * 1000, left;
	int shard;

	while ((shard = engine_pick_shard(e)) < 0 && !e->taken_once && !e->stopping &&
	    (left = (until - ins_mono_us()) / 1000) > 0)
		if (ins_cond_wait(ctx, e->leased, left) == -INS_ECANCELED)
			return -1;
	return shard;
}

/* 1 = there is one, and *ret is its id. */
INS_AWAITS
static int
find_key(ins_ctx *ctx, struct plugin *p, const char *key, const char **ret)
{
	const char *tenant = ins_tenant_id(ctx);
	ins_arg args[2] = { ins_text(tenant), ins_text(key) };
	ins_rows *rows;
	int r = ins_engine_batch(
	    ctx, &tenant, 1, &(const ins_call){ p->sql.by_key, args, 2 }, 1, &rows);

	if (r != 0)
		return r;
	if (ins_rows_count(rows) == 0)
		return 0;
	*ret = ins_value(rows, 0, 0);
	return 1;
}

static int
set(const json_t *options, const char *key)
{
	const json_t *v = json_object_get(options, key);

	return v != NULL && !json_is_null(v) && !json_is_false(v);
}

/* Needs nothing but itself. */
static int
alone(const ins_run_request *req)
{
	return req->thread_id == NULL && req->after_ms == 0 && !set(req->options, "command") &&
	    !set(req->options, "checkpoint") && !set(req->options, "hold");
}

INS_AWAITS
static int
known(ins_ctx *ctx, struct plugin *p, const char *id, uint32_t flags, const char **ret_run_id,
    ins_watch **ret_watch)
{
	int r;

	*ret_run_id = id;
	r = ret_watch == NULL ? 0 : runs_watch(ctx, p, id, -1, flags, ret_watch);
	return r;
}

int
runs_start(ins_ctx *ctx, void *self, const ins_run_request *req, const char **ret_run_id,
    ins_watch **ret_watch)
{
	int pending;

	return runs_begin(ctx, self, req, ret_run_id, ret_watch, &pending);
}

int
runs_begin(ins_ctx *ctx, struct plugin *p, const ins_run_request *req, const char **ret_run_id,
    ins_watch **ret_watch, int *ret_pending)
{
	struct engine *e = ins_local(ctx, p->host);
	struct start *s = ins_alloc(ctx, sizeof *s);
	const char *before;
	int r, shard = -1;

	if (s == NULL)
		return ins_fail(ctx, INS_ENOMEM, "out of memory");
	s->req = req;
	if ((r = check_request(ctx, p, s)) != 0)
		return r;
	if (req->idem_key != NULL && (r = find_key(ctx, p, req->idem_key, &before)) != 0)
		return r < 0 ? r : known(ctx, p, before, req->watch_flags, ret_run_id, ret_watch);
	if (e->n_live >= (unsigned)p->conf.live && alone(req))
		return ins_fail(
		    ctx, INS_ELIMIT, "this host has %u runs under way; try again later", e->n_live);
	if (alone(req))
		shard = wait_shard(ctx, e);
	*ret_run_id = s->run_id;
	*ret_pending = shard < 0;
	if (shard >= 0)
		r = start_now(ctx, e, s, shard, ret_watch);
	else
		r = start_pending(ctx, p, e, s, ret_watch);
	/* Somebody was quicker with the same key. */
	if (r < 0 && r != -INS_ECANCELED && r != -INS_EUNAVAILABLE && req->idem_key != NULL) {
		int found = find_key(ctx, p, req->idem_key, &before);

		if (found == 1) {
			ins_clear_error(ctx);
			return known(ctx, p, before, req->watch_flags, ret_run_id, ret_watch);
		}
	}
	return r == 0 ? 1 : r;
}
