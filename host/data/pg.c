/*
 * pg.c: a loop's connections, its waiting groups, and pg_batch(), which tasks call.
 *
 * A group goes at once to the connection of its role with the fewest in flight; under load they
 * queue in the pipeline, up to a limit, then here. All state is per loop; the readiness of each is
 * published in one atomic for /readyz.
 */
#include <stdatomic.h>

#include "base/metric.h"
#include "data/pg_impl.h"

static int slot = -1;
static int configured, reading;
static _Atomic int ready[LOOP_MAX];
static struct ins_metric *m_duration, *m_failed, *m_reads;

unsigned
pg_conns_of(enum pg_role role)
{
	return role == PG_APP ? PG_CONNS_PER_LOOP : role == PG_READ ? (unsigned)reading : 1;
}

static struct pg_loop *
pg_loop_of(struct ins_loop *loop)
{
	return slot < 0 ? NULL : loop->slots[slot];
}

void
pg_ready_changed(struct pg_loop *pl)
{
	int n = 0;
	unsigned i;

	for (i = 0; i < pg_conns_of(PG_APP); i++)
		n += pl->conns[PG_APP][i].ready;
	atomic_store(&ready[pl->loop->index], n);
}

int
pg_up(void)
{
	unsigned i;

	for (i = 0; i < loop_count(); i++)
		if (atomic_load(&ready[i]) == 0)
			return 0;
	return 1;
}

void
pg_group_free(struct pg_group *g)
{
	size_t i;

	CHECK_OBJ(g, PG_GROUP_MAGIC);
	for (i = 0; i < g->n_calls; i++)
		PQclear(g->calls[i].res);
	g->magic = 0;
	free(g);
}

void
pg_group_end(struct pg_group *g)
{
	struct ins_ctx *ctx = g->ctx;
	size_t i;

	if (g->kind == PG_GROUP_CALLS && g->code == 0 && ctx != NULL)
		for (i = 0; i < g->n_calls; i++)
			if (g->calls[i].stmt->on_commit != NULL)
				g->calls[i].stmt->on_commit();
	if (ctx == NULL)
		pg_group_free(g);
	else
		task_wake(ctx, 0);
}

static struct pg_conn *
pick(struct pg_loop *pl, enum pg_role role)
{
	struct pg_conn *best = NULL, *c;
	unsigned i;

	for (i = 0; i < pg_conns_of(role); i++) {
		c = &pl->conns[role][i];
		if (c->ready && c->n_sent < PG_GROUPS_IN_FLIGHT &&
		    (best == NULL || c->n_sent < best->n_sent))
			best = c;
	}
	return best;
}

void
pg_pump(struct pg_loop *pl, enum pg_role role)
{
	struct pg_group *g;
	struct pg_conn *c;

	while (!list_empty(&pl->waiting[role]) && (c = pick(pl, role)) != NULL) {
		g = LIST_FIRST(&pl->waiting[role], struct pg_group, link);
		list_remove(&g->link);
		pl->n_waiting--;
		pg_conn_send(c, g);
	}
}

static void on_limit(struct timer *);

/* The lists are in order of time, so the first of each is the oldest. */
static void
arm(struct pg_loop *pl)
{
	int64_t at = INT64_MAX, ms;
	struct pg_group *g;
	int r;

	for (r = 0; r < PG_ROLES; r++) {
		if (list_empty(&pl->waiting[r]))
			continue;
		g = LIST_FIRST(&pl->waiting[r], struct pg_group, link);
		if (g->until_us < at)
			at = g->until_us;
	}
	if (at == INT64_MAX) {
		timer_stop(pl->loop, &pl->timer);
		return;
	}
	ms = (at - base_mono_us()) / 1000 + 1;
	timer_start(pl->loop, &pl->timer, ms < 1 ? 1 : ms, on_limit);
}

static void
give_up(struct pg_loop *pl, int64_t before_us, const char *why)
{
	struct list late;
	struct pg_group *g;
	int r;

	list_init(&late);
	for (r = 0; r < PG_ROLES; r++)
		while (!list_empty(&pl->waiting[r])) {
			g = LIST_FIRST(&pl->waiting[r], struct pg_group, link);
			if (g->until_us > before_us)
				break;
			list_remove(&g->link);
			list_append(&late, &g->link);
			pl->n_waiting--;
			g->code = INS_EUNAVAILABLE;
			snprintf(g->sqlstate, sizeof g->sqlstate, "08001");
			snprintf(g->message, sizeof g->message, "%s", why);
		}
	if (!pl->stopping)
		arm(pl);
	while (!list_empty(&late)) {
		g = LIST_FIRST(&late, struct pg_group, link);
		list_remove(&g->link);
		pg_group_end(g);
	}
}

static void
on_limit(struct timer *t)
{
	struct pg_loop *pl = CONTAINER_OF(t, struct pg_loop, timer);

	give_up(pl, base_mono_us(), "no connection was free in time");
}

/* The task was cancelled: what was not sent never is; what was sent runs on at the server, and its
 * results are dropped when they come. */
static void
leave(struct ins_ctx *ctx, void *arg)
{
	struct pg_group *g = arg;

	CHECK_OBJ(g, PG_GROUP_MAGIC);
	ASSERT(g->ctx == ctx);
	g->ctx = NULL;
	if (g->sent)
		return;
	list_remove(&g->link);
	pg_loop_of(ctx->loop)->n_waiting--;
	pg_group_free(g);
}

/* One block: libpq wants NUL-terminated texts, and a waiting group outlives nobody's stack. */
static int
build(struct ins_ctx *ctx, const char *const set[3], const ins_call *calls, size_t n,
    struct pg_group **ret)
{
	size_t n_args = 0, bytes = 0, i, j;
	const char **argv;
	struct pg_group *g;
	char *p;

	if (n > PG_CALLS_MAX)
		return task_fail(ctx, INS_EINTERNAL, "a group has too many statements");
	for (i = 0; i < n; i++) {
		CHECK_OBJ(calls[i].stmt, PG_STMT_MAGIC);
		if (calls[i].n_args > PG_ARGS_MAX)
			return task_fail(ctx, INS_EINTERNAL, "a statement has too many arguments");
		for (j = 0; j < calls[i].n_args; j++) {
			const ins_arg *a = &calls[i].args[j];

			if (a->p == NULL)
				continue;
			if (memchr(a->p, 0, a->n) != NULL)
				return task_fail(
				    ctx, INS_EINVAL, "a text holds U+0000, which cannot be stored");
			bytes += a->n + 1;
			if (bytes > PG_GROUP_BYTES_MAX)
				return task_fail(ctx, INS_ETOOBIG, "too much for one transaction");
		}
		n_args += calls[i].n_args;
	}
	for (i = 0; i < 3; i++)
		bytes += strlen(set[i]) + 1;
	g = calloc(1, sizeof *g + n * sizeof g->calls[0] + n_args * sizeof *argv + bytes);
	if (g == NULL)
		return -INS_ENOMEM;
	g->magic = PG_GROUP_MAGIC;
	g->kind = PG_GROUP_CALLS;
	g->ctx = ctx;
	g->n_calls = n;
	list_init(&g->link);
	argv = (const char **)(void *)&g->calls[n];
	p = (char *)(argv + n_args);
	for (i = 0; i < 3; i++) {
		g->set[i] = p;
		p = stpcpy(p, set[i]) + 1;
	}
	for (i = 0; i < n; i++) {
		struct pg_call *k = &g->calls[i];

		k->stmt = calls[i].stmt;
		k->slot = calls[i].stmt->slot;
		k->id = calls[i].stmt->id;
		k->n_args = (int)calls[i].n_args;
		k->args = argv;
		for (j = 0; j < calls[i].n_args; j++) {
			const ins_arg *a = &calls[i].args[j];

			*argv++ = a->p == NULL ? NULL : memcpy(p, a->p, a->n);
			p += a->p == NULL ? 0 : a->n + 1;
		}
	}
	*ret = g;
	return 0;
}

static void
clear(void *arg)
{
	pg_rows_end(arg);
}

/* Results move to the task's arena: the structs by memory, the PGresults by cleanup. */
static int
hand_over(struct ins_ctx *ctx, struct pg_group *g, struct ins_rows **ret_rows)
{
	struct ins_rows *rows;
	size_t i;

	for (i = 0; i < g->n_calls; i++) {
		ASSERT(g->calls[i].res != NULL);
		rows = arena_alloc(&ctx->arena, sizeof *rows);
		if (rows == NULL || arena_cleanup(&ctx->arena, clear, rows) != 0)
			return task_fail(ctx, INS_ENOMEM, "the result does not fit");
		rows->magic = PG_ROWS_MAGIC;
		rows->stale = g->role == PG_READ;
		rows->res = g->calls[i].res;
		g->calls[i].res = NULL;
		ret_rows[i] = rows;
	}
	return 0;
}

static int
run(struct ins_ctx *ctx, enum pg_role role, const char *const set[3], const ins_call *calls,
    size_t n, struct ins_rows **ret_rows)
{
	struct pg_loop *pl = pg_loop_of(ctx->loop);
	int64_t begin = base_mono_us();
	struct pg_group *g = NULL;
	struct pg_conn *c;
	int r;

	CHECK_OBJ(ctx, TASK_MAGIC);
	ASSERT(ctx->loop == loop_self());
	if (ctx->canceled)
		return -INS_ECANCELED;
	if (!configured || pl == NULL || pl->stopping)
		return task_fail(ctx, INS_EUNAVAILABLE, "there is no database");
	r = build(ctx, set, calls, n, &g);
	if (r != 0)
		return r;
	g->role = role;
	c = list_empty(&pl->waiting[role]) ? pick(pl, role) : NULL;
	if (c != NULL) {
		pg_conn_send(c, g);
	} else if (pl->n_waiting >= PG_WAITERS_MAX) {
		pg_group_free(g);
		return task_fail(ctx, INS_ELIMIT, "too many statements are waiting");
	} else {
		g->until_us = begin + PG_WAIT_MS * INT64_C(1000);
		list_append(&pl->waiting[role], &g->link);
		pl->n_waiting++;
		if (!timer_active(&pl->timer))
			arm(pl);
		if (role == PG_ENGINE)
			pg_conn_open(&pl->conns[PG_ENGINE][0]);
	}
	r = task_park(ctx, leave, g);
	if (r != 0)
		return r;
	metric_observe(m_duration, (double)(base_mono_us() - begin) / 1e6);
	if (g->code != 0) {
		metric_add(m_failed, g->sqlstate, 1);
		r = pg_error_report(ctx, g);
	} else if (ret_rows != NULL) {
		r = hand_over(ctx, g, ret_rows);
	}
	pg_group_free(g);
	return r;
}

/* May the standby answer, and is it there? Otherwise the primary is quicker than waiting for it. */
static int
from_standby(struct ins_ctx *ctx, const ins_call *calls, size_t n)
{
	struct pg_loop *pl = pg_loop_of(ctx->loop);
	size_t i;

	if (!reading || n == 0 || pl == NULL || pl->stopping || ctx->canceled)
		return 0;
	for (i = 0; i < n; i++)
		if (!calls[i].stmt->stale)
			return 0;
	if (pick(pl, PG_READ) != NULL)
		return 1;
	metric_add(m_reads, "primary", 1);
	return 0;
}

int
pg_batch(struct ins_ctx *ctx, enum pg_role role, const char *tenants, const char *user,
    const ins_call *calls, size_t n, struct ins_rows **ret_rows)
{
	const char *set[3] = { role == PG_APP ? "app.current_tenant_id" : "app.tenants",
		tenants == NULL ? "" : tenants, user == NULL ? "" : user };
	int r, had = ctx->err_code;

	if (role == PG_APP && from_standby(ctx, calls, n)) {
		r = run(ctx, PG_READ, set, calls, n, ret_rows);
		metric_add(m_reads, r == 0 ? "standby" : "primary", 1);
		if (r == 0 || r == -INS_ECANCELED)
			return r;
		/* Lost, behind a migration, or in conflict with what it replays: to read again does
		 * no harm. */
		if (had == 0)
			task_clear_error(ctx);
	}
	return run(ctx, role, set, calls, n, ret_rows);
}

int
pg_batch_with(struct ins_ctx *ctx, enum pg_role role, const char *setting, const char *value,
    const ins_call *calls, size_t n, struct ins_rows **ret_rows)
{
	const char *set[3] = { setting, value, "" };

	return run(ctx, role, set, calls, n, ret_rows);
}

int
pg_ready(struct ins_ctx *ctx)
{
	int r, had = ctx->err_code;

	r = pg_batch(ctx, PG_APP, NULL, NULL, NULL, 0, NULL);
	if (had == 0)
		task_clear_error(ctx);
	return r == 0 || r == -INS_ECANCELED ? r : -INS_EUNAVAILABLE;
}

void
pg_init(const char *url)
{
	if (slot < 0)
		slot = loop_slot_new();
	m_duration = metric_get(METRIC_HISTOGRAM, "database_query_duration_seconds",
	    "From a task's call to its results, waiting for a connection included.", NULL);
	m_failed = metric_get(METRIC_COUNTER, "database_errors_total",
	    "Groups of statements that failed, by SQLSTATE.", "sqlstate");
	m_reads = metric_get(METRIC_COUNTER, "database_stale_reads_total",
	    "Groups that the standby may answer, by the server that did.", "server");
	configured = url != NULL;
	if (configured)
		pg_connect_init(url);
}

void
pg_read_from(const char *url)
{
	ASSERT(configured);
	pg_connect_read(url);
	reading = 1;
}

void
pg_fini(void)
{
	if (configured)
		pg_connect_fini();
	configured = reading = 0;
}

void
pg_loop_start(struct ins_loop *loop)
{
	struct pg_loop *pl;
	unsigned i;
	int r;

	if (!configured)
		return;
	pl = base_alloc(sizeof *pl);
	pl->loop = loop;
	for (r = 0; r < PG_ROLES; r++) {
		list_init(&pl->waiting[r]);
		for (i = 0; i < pg_conns_of(r); i++)
			pg_conn_init(&pl->conns[r][i], pl, r);
	}
	loop->slots[slot] = pl;
	for (i = 0; i < pg_conns_of(PG_APP); i++)
		pg_conn_open(&pl->conns[PG_APP][i]);
	for (i = 0; i < pg_conns_of(PG_READ); i++)
		pg_conn_open(&pl->conns[PG_READ][i]);
}

void
pg_loop_stop(struct ins_loop *loop)
{
	struct pg_loop *pl = pg_loop_of(loop);
	unsigned i;
	int r;

	if (pl == NULL)
		return;
	pl->stopping = 1;
	timer_stop(loop, &pl->timer);
	give_up(pl, INT64_MAX, "the host stops");
	for (r = 0; r < PG_ROLES; r++)
		for (i = 0; i < pg_conns_of(r); i++)
			pg_conn_close(&pl->conns[r][i]);
	atomic_store(&ready[loop->index], 0);
	loop->slots[slot] = NULL;
	free(pl);
}
