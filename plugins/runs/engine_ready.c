/*
 * engine_ready.c: what waits for the owner of a shard: pending runs, messages (engine_inbox.c),
 * runs that slept.
 *
 * Rows of run_ready say that there is something; what it is stands in the run's row and in its
 * inbox. They are looked at when somebody says so (engine_wake(), which may get lost) and once a
 * second in any case. A row goes in the transaction that records what was done about it, or at once
 * when there is nothing to do.
 */
#include <stdlib.h>

#include "array.h"
#include "engine.h"

#define DUE_MAX 320u /* runs with messages, sleepers and starts, of one look */
#define OTHERS_MAX 256u
#define STARTS_MAX 64u
#define POLL_MS 1000

/* By runs, of each its oldest rows: however many messages one run gets, others have their turn in
 * the same look. */
static const char sql_due[] =
    "(SELECT run_id, tenant_id, false, string_agg(id || ' ' || us, ' ' ORDER BY at, id)"
    "  FROM (SELECT id, run_id, tenant_id, at, (extract(epoch FROM at) * 1000000)::bigint AS us,"
    "   row_number() OVER (PARTITION BY run_id ORDER BY at, id) AS k"
    "   FROM (SELECT id, run_id, tenant_id, at FROM run_ready"
    "    WHERE shard = ANY ($1::smallint[]) AND NOT starts AND at <= clock_timestamp()"
    "    ORDER BY at LIMIT 8192) AS q) AS q"
    "  WHERE k <= 8 GROUP BY run_id, tenant_id ORDER BY min(at) LIMIT 256)"
    " UNION ALL"
    " (SELECT run_id, tenant_id, true, id || ' 0' FROM run_ready WHERE shard = ANY ($1::smallint[])"
    "  AND starts AND at <= clock_timestamp() ORDER BY at LIMIT $2::bigint)";
static const char sql_seen[] = "DELETE FROM run_ready WHERE id = ANY ($1::bigint[])";
/* Those of a run that is over or can't be loaded; what is due later stays. */
static const char sql_forget[] =
    "DELETE FROM run_ready WHERE run_id = $1::uuid AND at <= clock_timestamp()";
/* A run that is over and was told to be deleted while it ended. */
#define TOLD_TO_GO                                                          \
	"r.run_id = $1::uuid AND r.ended_at IS NOT NULL AND EXISTS (SELECT" \
	" FROM run_inbox AS m WHERE m.run_id = r.run_id AND m.kind = 'delete')"
static const char sql_over_events[] = "DELETE FROM run_events AS e USING agent_runs AS r"
				      " WHERE e.run_id = r.run_id AND " TOLD_TO_GO;
static const char sql_over_run[] = "DELETE FROM agent_runs AS r WHERE " TOLD_TO_GO;
static const char sql_pending[] =
    "SELECT r.run_id, r.tenant_id, r.user_id, r.shard, r.workflow, r.version, r.next_seq, r.budget,"
    " r.attrs ->> 'plan', (extract(epoch FROM r.created_at) * 1000000)::bigint, r.thread_id,"
    " r.assistant_id, NULL, NULL, r.status, r.request, t.head_run, t.head_seq, t.\"values\","
    " r.wake_at > clock_timestamp(),"
    " r.thread_id IS NOT NULL AND EXISTS (SELECT FROM agent_runs AS b"
    "  WHERE b.tenant_id = r.tenant_id AND b.thread_id = r.thread_id AND (b.status = 'running'"
    "  OR (b.status = 'pending' AND b.run_id < r.run_id AND b.wake_at <= clock_timestamp()))),"
    " r.next_seq = 0 AND r.ended_at IS NOT NULL AND r.wake_at IS NOT NULL,"
    " (extract(epoch FROM r.ended_at) * 1000000)::bigint"
    " FROM agent_runs AS r LEFT JOIN threads AS t"
    "  ON t.tenant_id = r.tenant_id AND t.thread_id = r.thread_id"
    " WHERE r.run_id = ANY ($1::uuid[])";
enum {
	P_STATUS = RUN_COLUMNS_N,
	P_REQUEST,
	P_HEAD_RUN,
	P_HEAD_SEQ,
	P_VALUES,
	P_LATER,
	P_BUSY,
	P_UNTOLD,
	P_ENDED,
};

static int poll_task(ins_ctx *, void *arg);

void
engine_ready_init(struct plugin *p)
{
	p->sql.due = ins_stmt_new(p->host, sql_due);
	p->sql.seen = ins_stmt_new(p->host, sql_seen);
	p->sql.forget = ins_stmt_new(p->host, sql_forget);
	p->sql.over_events = ins_stmt_new(p->host, sql_over_events);
	p->sql.over_run = ins_stmt_new(p->host, sql_over_run);
	p->sql.pending = ins_stmt_new(p->host, sql_pending);
}

void
engine_poll(ins_ctx *ctx, struct engine *e)
{
	(void)ctx;
	e->poll_again = 1;
	if (e->polling || e->stopping)
		return;
	e->polling = ins_spawn(e->plugin->host, e->loop, "runs.poll", poll_task, e) == 0;
}

int
ready_delete(ins_ctx *ctx, struct engine *e, const struct ready *q)
{
	char list[RUNS_READY_ROWS * 24];
	unsigned i, n = 0;
	ins_arg arg;

	for (i = 0; i < q->n; i++)
		n += (unsigned)snprintf(list + n, sizeof list - n, "%c%lld", i == 0 ? '{' : ',',
		    (long long)q->row[i].id);
	snprintf(list + n, sizeof list - n, "}");
	arg = ins_text(list);
	return ins_engine_batch(
	    ctx, NULL, 0, &(const ins_call){ e->plugin->sql.seen, &arg, 1 }, 1, NULL);
}

int
ready_forget(ins_ctx *ctx, struct engine *e, const char *run_id)
{
	ins_arg id = ins_text(run_id);

	return ins_engine_batch(
	    ctx, NULL, 0, &(const ins_call){ e->plugin->sql.forget, &id, 1 }, 1, NULL);
}

/* ---- pending runs ---- */

/* The start of one pending run: a task, since it reads the state that it goes on from. */
struct promotion {
	struct engine *engine;
	struct run *run;
	json_t *request, *values; /* values: of the thread */
	char head_run[37];
	int64_t head_seq;
	struct ready ready;
};

static void
promotion_free(struct promotion *m)
{
	run_unref(m->run);
	json_decref(m->request);
	json_decref(m->values);
	free(m);
}

/* What the run goes on from: a checkpoint that it names (1), or the thread's head, "" when it has
 * none. */
static int
base_of(const struct promotion *m, char run_id[37], int64_t *ret_seq)
{
	const json_t *c = json_object_get(json_object_get(m->request, "options"), "checkpoint");
	const char *named = json_string_value(json_object_get(c, "run_id"));

	snprintf(run_id, 37, "%s", named != NULL ? named : m->head_run);
	*ret_seq = named != NULL ? json_integer_value(json_object_get(c, "seq")) : m->head_seq;
	return named != NULL;
}

/* Does it go on with open steps, or begin with an input? */
static int
goes_on(const json_t *request)
{
	const json_t *options = json_object_get(request, "options");
	const json_t *input = json_object_get(request, "input");
	const json_t *command = json_object_get(options, "command");

	return input == NULL || json_is_null(input) || json_is_object(command) ||
	    json_is_true(json_object_get(options, "hold"));
}

/* RunStarted of this run: with the base's snapshot, or with its values. */
INS_AWAITS
static int
begin_data(ins_ctx *ctx, struct promotion *m, json_t **ret)
{
	struct plugin *p = m->engine->plugin;
	const json_t *options = json_object_get(m->request, "options");
	const json_t *command = json_object_get(options, "command");
	json_t *data = start_data(json_object_get(m->request, "input"), options);
	struct fold f = { 0 };
	struct run_row row;
	int64_t seq;
	int r = 0, named;

	if (json_is_object(command))
		json_object_set(data, "command", (json_t *)(uintptr_t)command);
	if (json_is_true(json_object_get(options, "hold")))
		json_object_set_new(data, "hold", json_true());
	named = base_of(m, m->run->base_run, &seq);
	m->run->base_seq = seq;
	if (m->run->base_run[0] != '\0')
		json_object_set_new(data, "base",
		    json_pack("{s:s, s:I}", "run_id", m->run->base_run, "seq", (json_int_t)seq));
	if (!named && !goes_on(m->request)) {
		/* a new input needs no more than the values, which the thread keeps */
		json_object_set(data, "values", m->values == NULL ? json_null() : m->values);
	} else if (m->run->base_run[0] != '\0') {
		r = state_load(ctx, p, m->run->tenant_id, m->run->base_run, seq, &row, &f);
		if (r != 0)
			;
		else if (goes_on(m->request) && strcmp(row.workflow, m->run->workflow) == 0)
			json_object_set_new(data, "snapshot", fold_snapshot_for_fork(&f));
		else
			json_object_set_new(data, "values",
			    fold_values(&f, ctx, run_workflow(ctx, p, row.workflow, row.version)));
	}
	fold_fini(&f);
	*ret = data;
	return r;
}

/* The state that it was to go on from is gone, or of a version that is not here: the run is
 * recorded, and fails saying so. Its thread keeps the state that it has. */
static void
begin_in_vain(ins_ctx *ctx, struct run *run, json_t *data, const char *why)
{
	run->no_head = 1;
	run->base_run[0] = '\0';
	json_object_set_new(data, "hold", json_true());
	json_object_del(data, "command");
	json_object_del(data, "base");
	json_object_set_new(data, "error", fold_error("state_missing", why));
	run_log(ctx, INS_LOG_WARN, "runs.no_base", run, why);
}

static int
promote_task(ins_ctx *ctx, void *arg)
{
	struct promotion *m = arg;
	struct run *run = m->run;
	json_t *data = NULL;
	const char *why;
	unsigned i;
	int r = begin_data(ctx, m, &data);

	run->promoting = 0;
	if (r == -INS_ENOTFOUND || r == -INS_EINTERNAL || r == -INS_EMODEL) {
		why = ins_strndup(ctx, ins_last_error(ctx), strlen(ins_last_error(ctx)));
		ins_clear_error(ctx);
		begin_in_vain(ctx, run, data, why == NULL ? "" : why);
		r = 0;
	}
	if (r == 0 && run->state == RUN_LIVE) {
		for (i = 0; i < m->ready.n; i++)
			run->ready_ids[run->n_ready++] = m->ready.row[i].id;
		r = run_record(ctx, run, run_event_new(EV_RUN_STARTED, -1, 0, NULL, data));
		if (r != 0)
			run_log(ctx, INS_LOG_ERROR, "runs.not_begun", run, "out of memory");
		else if (run_take_inbox(ctx, run) < 0) /* what came while it was pending */
			engine_poll(ctx, m->engine);
	} else {
		json_decref(data); /* the database is away: the row stays, and is found again */
	}
	if (run->state == RUN_LIVE && run->n_pending == 0 && run->committed == 0)
		run_remove(run);
	ins_clear_error(ctx);
	promotion_free(m);
	return 0;
}

static int
promote(ins_ctx *ctx, struct engine *e, const ins_rows *rows, size_t i, const struct ready *q)
{
	struct promotion *m = calloc(1, sizeof *m);
	const char *head = ins_value(rows, i, P_HEAD_RUN);
	int64_t next;

	if (m == NULL)
		return -INS_ENOMEM;
	m->engine = e;
	m->ready = *q;
	m->request = json_loads(ins_value(rows, i, P_REQUEST), 0, NULL);
	if (ins_value(rows, i, P_VALUES) != NULL)
		m->values = json_loads(ins_value(rows, i, P_VALUES), JSON_DECODE_ANY, NULL);
	m->head_seq = ins_value_int(rows, i, P_HEAD_SEQ);
	snprintf(m->head_run, sizeof m->head_run, "%s", head == NULL ? "" : head);
	m->run = run_from_row(e, rows, i, &next);
	if (m->run == NULL || m->request == NULL) {
		if (m->run != NULL)
			run_unref(m->run);
		json_decref(m->request);
		json_decref(m->values);
		free(m);
		return -INS_ENOMEM;
	}
	if (run_thread_busy(m->run)) { /* its ids are not in the order of their commits: it waits */
		promotion_free(m);
		return 0;
	}
	m->run->promoting = 1;
	m->run->relayed = relay_is_wanted(e, m->run->run_id) != 0;
	if (ins_spawn(e->plugin->host, e->loop, "runs.begin", promote_task, m) != 0) {
		promotion_free(m);
		return -INS_ELIMIT;
	}
	run_insert(m->run);
	(void)ctx;
	return 0;
}

/* ---- the poll ---- */

struct due {
	struct ready row[DUE_MAX];
	unsigned n, room;
	int more; /* there are others */
};

/* The last column: pairs of a row's id and its time. */
static void
parse_ready(struct ready *q, const ins_rows *rows, size_t i)
{
	const char *p = ins_value(rows, i, 3);
	char *end;

	snprintf(q->run_id, sizeof q->run_id, "%s", ins_value(rows, i, 0));
	snprintf(q->tenant_id, sizeof q->tenant_id, "%s", ins_value(rows, i, 1));
	for (q->n = 0; *p != '\0' && q->n < RUNS_READY_ROWS; q->n++, p = end) {
		q->row[q->n].id = strtoll(p, &end, 10);
		q->row[q->n].at_us = strtoll(end, &end, 10);
	}
}

static int
list_due(ins_ctx *ctx, struct engine *e, struct due *d)
{
	struct array shards = { 0 };
	unsigned live = (unsigned)e->plugin->conf.live;
	unsigned room = e->n_live >= live ? 0 : live - e->n_live;
	ins_rows *rows;
	ins_arg args[2];
	unsigned others = 0;
	size_t i;
	int r;

	d->room = room > STARTS_MAX ? STARTS_MAX : room;
	for (i = 0; i < RUNS_SHARDS; i++)
		if (e->fence[i] != 0 && e->fence[i] == e->loaded[i])
			array_int(&shards, (int64_t)i);
	if (shards.n == 0)
		return 0;
	args[0] = array_arg(&shards);
	args[1] = ins_int(ctx, d->room);
	r = args[0].p == NULL ? -INS_ENOMEM
			      : ins_engine_batch(ctx, NULL, 0,
				    &(const ins_call){ e->plugin->sql.due, args, 2 }, 1, &rows);
	array_free(&shards);
	if (r != 0)
		return r;
	for (i = 0; i < ins_rows_count(rows) && i < DUE_MAX; i++) {
		parse_ready(&d->row[d->n++], rows, i);
		others += *ins_value(rows, i, 2) == 'f';
		/* what a load under way is for stays until it is done, and it looks again then */
		d->more |= d->row[i].n == RUNS_READY_ROWS && !e->loading;
	}
	d->more |= others >= OTHERS_MAX || (d->room == STARTS_MAX && d->n - others >= STARTS_MAX);
	return 0;
}

static const struct ready *
ready_find(const struct due *d, const char *run_id)
{
	unsigned i;

	for (i = 0; i < d->n; i++)
		if (strcmp(d->row[i].run_id, run_id) == 0)
			return &d->row[i];
	return NULL;
}

/* Those in memory take their messages; the others stay in d. */
static int
serve_known(ins_ctx *ctx, struct engine *e, struct due *d)
{
	unsigned i, left = 0;
	struct run *run;
	int r = 0;

	for (i = 0; i < d->n; i++) {
		run = run_find(e, d->row[i].run_id);
		if (run == NULL)
			d->row[left++] = d->row[i];
		else if (!run->promoting && run->state == RUN_LIVE && r >= 0)
			r = run_take_messages(ctx, run, &d->row[i]);
	}
	d->n = left;
	return r < 0 ? r : 0;
}

INS_AWAITS
static int
run_is_over(ins_ctx *ctx, struct engine *e, const struct ready *q, const ins_rows *rows, size_t i)
{
	const char *tenant = q->tenant_id;
	ins_arg id = ins_text(q->run_id);
	ins_call calls[4 + TOLD_CALLS] = { { e->plugin->sql.over_events, &id, 1 },
		{ e->plugin->sql.over_run, &id, 1 }, { e->plugin->sql.forget, &id, 1 },
		{ e->plugin->sql.told, &id, 1 } };
	struct run_end end = { 0 };
	int r;

	if (*ins_value(rows, i, P_UNTOLD) == 't') {
		end.who.tenant_id = tenant;
		end.who.user_id = ins_value(rows, i, 2);
		end.who.plan = ins_value(rows, i, 8);
		end.run_id = q->run_id;
		end.workflow = ins_value(rows, i, 4);
		end.version = ins_value(rows, i, 5);
		end.ts_us = ins_value_int(rows, i, P_ENDED);
		if ((r = told_unbegun(ctx, &end, ins_value(rows, i, P_STATUS), &calls[4])) == 0)
			r = ins_engine_batch(ctx, &tenant, 1, &calls[3], 1 + TOLD_CALLS, NULL);
		if (r != 0 && r != -INS_EINVAL)
			return r;
		ins_clear_error(ctx); /* another owner was quicker */
	}
	return ins_engine_batch(ctx, &tenant, 1, calls, 3, NULL);
}

/* The rows of those that need no owner go; d keeps what is to be loaded. */
static int
serve_rows(ins_ctx *ctx, struct engine *e, struct due *d, const ins_rows *rows)
{
	struct due *load = calloc(1, sizeof *load);
	size_t i;
	int r = load == NULL ? -INS_ENOMEM : 0;

	for (i = 0; i < ins_rows_count(rows) && r == 0; i++) {
		const char *id = ins_value(rows, i, 0), *status = ins_value(rows, i, P_STATUS);
		const struct ready *q = ready_find(d, id);

		if (strcmp(status, "running") == 0 || strcmp(status, "interrupted") == 0)
			load->row[load->n++] = *q;
		else if (strcmp(status, "pending") != 0)
			r = run_is_over(ctx, e, q, rows, i);
		else if (strcmp(ins_value(rows, i, P_BUSY), "t") == 0 ||
		    strcmp(ins_value(rows, i, P_LATER), "t") == 0)
			r = ready_delete(ctx, e, q); /* the run before it, or its time, calls it */
		else if (run_find(e, id) == NULL && promote(ctx, e, rows, i, q) != 0)
			ins_log(
			    ctx, INS_LOG_WARN, "runs.not_begun", json_pack("{s:s}", "run_id", id));
	}
	/* the rows of a run that was deleted went with it */
	if (r == 0 && load->n > 0)
		r = engine_load_some(ctx, e, load->row, load->n);
	free(load);
	return r;
}

static int
serve(ins_ctx *ctx, struct engine *e, struct due *d)
{
	const char *tenants[DUE_MAX];
	struct array ids = { 0 };
	unsigned i, k, n = 0;
	ins_rows *rows;
	ins_arg arg;
	int r;

	if ((r = serve_known(ctx, e, d)) != 0 || d->n == 0)
		return r;
	for (i = 0; i < d->n; i++) {
		array_text_z(&ids, d->row[i].run_id);
		for (k = 0; k < n && strcmp(tenants[k], d->row[i].tenant_id) != 0;)
			k++;
		if (k == n)
			tenants[n++] = d->row[i].tenant_id;
	}
	arg = array_arg(&ids);
	r = arg.p == NULL ? -INS_ENOMEM
			  : ins_engine_batch(ctx, tenants, n,
				&(const ins_call){ e->plugin->sql.pending, &arg, 1 }, 1, &rows);
	array_free(&ids);
	return r != 0 ? r : serve_rows(ctx, e, d, rows);
}

/* One look. It is a task of its own so that its memory ends with it. */
static int
poll_task(ins_ctx *ctx, void *arg)
{
	struct engine *e = arg;
	struct due *d = calloc(1, sizeof *d);
	int r = d == NULL ? -INS_ENOMEM : 0, more = 0;

	e->poll_again = 0;
	if (r == 0 && engine_leased(e))
		r = list_due(ctx, e, d);
	if (r == 0 && d->n > 0) {
		more = d->more;
		r = serve(ctx, e, d);
	}
	if (r < 0 && !ins_cancelled(ctx))
		ins_log(ctx, INS_LOG_WARN, "runs.poll_failed",
		    json_pack("{s:s}", "text", ins_last_error(ctx)));
	ins_clear_error(ctx);
	free(d);
	e->polling = 0;
	if (r == 0 && (more || e->poll_again) && !ins_cancelled(ctx))
		engine_poll(ctx, e);
	return 0;
}

/* The floor under lost wake-ups: no allocation lives in it. */
static int
pulse_task(ins_ctx *ctx, void *arg)
{
	struct engine *e = arg;

	while (!e->stopping && ins_sleep(ctx, POLL_MS) == 0)
		if (engine_leased(e))
			engine_poll(ctx, e);
	return 0;
}

int
engine_pulse_start(struct engine *e)
{
	return ins_spawn(e->plugin->host, e->loop, "runs.pulse", pulse_task, e);
}
