/*
 * pg_conn.c: one connection: sends groups, reads their results in order.
 *
 * The wire is a queue: results come in the order of what was sent, one per command, one more per
 * Sync. So a group whose task has left stays in the queue until its results have been read and
 * dropped; nothing can reach another task. A statement's Parse goes in a group of its own before
 * the first that uses it: inside that group a failing call would make the server skip it.
 *
 * Whatever breaks a connection marks it and lets a timer bury it, since the mark may be set on a
 * task's stack in the middle of a send.
 */
#include "base/log.h"
#include "data/pg_impl.h"

static void read_results(struct pg_conn *, struct list *done);
static void on_poll(uv_poll_t *, int status, int events);

void
pg_conn_init(struct pg_conn *c, struct pg_loop *pl, enum pg_role role)
{
	c->magic = PG_CONN_MAGIC;
	c->pl = pl;
	c->role = role;
	c->backoff_ms = PG_BACKOFF_MS;
	list_init(&c->sent);
}

static void
free_poll(uv_handle_t *h)
{
	free(h);
}

static void
drop(struct pg_conn *c)
{
	if (c->poll != NULL)
		uv_close((uv_handle_t *)c->poll, free_poll);
	c->poll = NULL;
	PQfinish(c->pg);
	c->pg = NULL;
	c->ready = 0;
	c->events = 0;
	c->bad_id = 0;
	memset(c->prepared, 0, sizeof c->prepared);
}

/* Fails what is in flight. Their tasks go on from here: last in any function. */
static void
fail_sent(struct pg_conn *c, const char *why)
{
	struct list failed;
	struct pg_group *g;

	list_init(&failed);
	while (!list_empty(&c->sent)) {
		g = LIST_FIRST(&c->sent, struct pg_group, link);
		list_remove(&g->link);
		list_append(&failed, &g->link);
		if (g->code == 0) {
			g->code = INS_EUNAVAILABLE;
			snprintf(g->sqlstate, sizeof g->sqlstate, "08006");
			snprintf(g->message, sizeof g->message, "connection lost: %.200s", why);
		}
	}
	c->n_sent = 0;
	while (!list_empty(&failed)) {
		g = LIST_FIRST(&failed, struct pg_group, link);
		list_remove(&g->link);
		pg_group_end(g);
	}
}

static void
on_timer(struct timer *t)
{
	struct pg_conn *c = CONTAINER_OF(t, struct pg_conn, timer);
	char why[256];
	const char *m;

	CHECK_OBJ(c, PG_CONN_MAGIC);
	if (c->pg == NULL) {
		c->connect = pg_connect_start(c);
		return;
	}
	ASSERT(!c->ready);
	m = PQerrorMessage(c->pg);
	snprintf(why, sizeof why, "%.*s", (int)strcspn(m, "\n"), m);
	log_msg(INS_LOG_WARN, "pg.connection_lost", "%s", why);
	drop(c);
	timer_start(c->pl->loop, &c->timer, c->backoff_ms, on_timer);
	fail_sent(c, why);
}

static void
broken(struct pg_conn *c)
{
	if (!c->ready)
		return;
	c->ready = 0;
	if (c->poll != NULL)
		uv_poll_stop(c->poll);
	pg_ready_changed(c->pl);
	timer_start(c->pl->loop, &c->timer, 0, on_timer);
}

void
pg_conn_open(struct pg_conn *c)
{
	if (c->pg == NULL && c->connect == NULL && !timer_active(&c->timer))
		timer_start(c->pl->loop, &c->timer, 0, on_timer);
}

void
pg_conn_opened(struct pg_conn *c, PGconn *pg)
{
	CHECK_OBJ(c, PG_CONN_MAGIC);
	c->connect = NULL;
	if (pg == NULL) {
		timer_start(c->pl->loop, &c->timer, c->backoff_ms, on_timer);
		c->backoff_ms = c->backoff_ms * 2 < PG_BACKOFF_MAX_MS ? c->backoff_ms * 2
								      : PG_BACKOFF_MAX_MS;
		return;
	}
	c->pg = pg;
	c->backoff_ms = PG_BACKOFF_MS;
	c->poll = base_alloc(sizeof *c->poll);
	AZ(uv_poll_init(&c->pl->loop->uv, c->poll, PQsocket(pg)));
	c->poll->data = c;
	c->ready = 1;
	c->events = UV_READABLE;
	AZ(uv_poll_start(c->poll, c->events, on_poll));
	pg_ready_changed(c->pl);
	pg_pump(c->pl, c->role);
}

void
pg_conn_close(struct pg_conn *c)
{
	timer_stop(c->pl->loop, &c->timer);
	if (c->connect != NULL)
		pg_connect_abandon(c->connect);
	c->connect = NULL;
	if (c->pg != NULL)
		drop(c);
	fail_sent(c, "the host stops");
}

static void
flush(struct pg_conn *c)
{
	int r = PQflush(c->pg), events;

	if (r < 0) {
		broken(c);
		return;
	}
	events = r == 0 ? UV_READABLE : UV_READABLE | UV_WRITABLE;
	if (events != c->events) {
		c->events = events;
		AZ(uv_poll_start(c->poll, events, on_poll));
	}
}

static void
on_poll(uv_poll_t *h, int status, int events)
{
	struct pg_conn *c = h->data;
	struct pg_group *g;
	struct list done;

	CHECK_OBJ(c, PG_CONN_MAGIC);
	list_init(&done);
	if (events & UV_WRITABLE)
		flush(c);
	/* An error of the descriptor shows as a failing read, which also has the words for it. */
	if (PQconsumeInput(c->pg) == 0)
		broken(c);
	read_results(c, &done);
	if (c->ready && PQstatus(c->pg) == CONNECTION_BAD)
		broken(c);
	if (status < 0)
		broken(c);
	pg_pump(c->pl, c->role);
	while (!list_empty(&done)) {
		g = LIST_FIRST(&done, struct pg_group, link);
		list_remove(&g->link);
		pg_group_end(g);
	}
}

/* A group of ours, without calls. */
static void
send_own(struct pg_conn *c, enum pg_group_kind kind, unsigned slot, uint64_t id, const char *sql)
{
	struct pg_group *g = base_alloc(sizeof *g);
	char text[48];
	int r;

	g->magic = PG_GROUP_MAGIC;
	g->kind = kind;
	g->role = c->role;
	g->slot = slot;
	g->id = id;
	g->sent = 1;
	list_init(&g->link);
	if (kind == PG_GROUP_PREPARE) {
		snprintf(text, sizeof text, "s%llu", (unsigned long long)id);
		r = PQsendPrepare(c->pg, text, sql, 0, NULL);
	} else {
		snprintf(text, sizeof text, "DEALLOCATE s%llu", (unsigned long long)id);
		r = PQsendQueryParams(c->pg, text, 0, NULL, NULL, NULL, NULL, 0);
	}
	list_append(&c->sent, &g->link);
	if (r != 1 || PQpipelineSync(c->pg) != 1)
		broken(c);
}

static void
forget(struct pg_conn *c, unsigned slot)
{
	uint64_t id = c->prepared[slot];

	c->prepared[slot] = 0;
	if (id != 0 && c->ready)
		send_own(c, PG_GROUP_FORGET, slot, id, NULL);
}

void
pg_conn_send(struct pg_conn *c, struct pg_group *g)
{
	char name[24];
	size_t i;
	int ok;

	CHECK_OBJ(c, PG_CONN_MAGIC);
	CHECK_OBJ(g, PG_GROUP_MAGIC);
	ASSERT(c->ready && !g->sent);
	for (i = 0; i < g->n_calls && c->ready; i++) {
		struct pg_call *k = &g->calls[i];

		if (c->prepared[k->slot] == k->id)
			continue;
		forget(c, k->slot);
		c->prepared[k->slot] = k->id;
		if (c->ready)
			send_own(c, PG_GROUP_PREPARE, k->slot, k->id, k->stmt->sql);
	}
	ok = c->ready && PQsendQueryPrepared(c->pg, "ins_set", 3, g->set, NULL, NULL, 0) == 1;
	for (i = 0; i < g->n_calls && ok; i++) {
		struct pg_call *k = &g->calls[i];

		snprintf(name, sizeof name, "s%llu", (unsigned long long)k->id);
		ok = PQsendQueryPrepared(c->pg, name, k->n_args, k->args, NULL, NULL, 0) == 1;
	}
	ok = ok && PQpipelineSync(c->pg) == 1;
	g->sent = 1;
	list_append(&c->sent, &g->link);
	c->n_sent++;
	if (ok)
		flush(c);
	else
		broken(c);
}

/* A failed command of the first group in the queue. */
static void
failed(struct pg_conn *c, struct pg_group *g, const PGresult *res)
{
	size_t i;

	pg_error_set(g, res);
	if (g->kind == PG_GROUP_PREPARE) {
		if (c->prepared[g->slot] == g->id)
			c->prepared[g->slot] = 0;
		c->bad_id = g->id;
		memcpy(c->bad_sqlstate, g->sqlstate, sizeof c->bad_sqlstate);
		memcpy(c->bad_message, g->message, sizeof c->bad_message);
		return;
	}
	if (g->kind != PG_GROUP_CALLS || g->next == 0)
		return;
	i = g->next - 1;
	if (strcmp(g->sqlstate, "26000") == 0 && g->calls[i].id == c->bad_id) {
		/* There is no such statement because its Parse failed: that is the reason. */
		memcpy(g->sqlstate, c->bad_sqlstate, sizeof g->sqlstate);
		memcpy(g->message, c->bad_message, sizeof g->message);
		g->code = pg_error_code(g->sqlstate);
	} else if (strcmp(g->sqlstate, "0A000") == 0 &&
	    c->prepared[g->calls[i].slot] == g->calls[i].id) {
		/* "cached plan must not change result type": a migration changed the table. */
		forget(c, g->calls[i].slot);
	}
}

static void
read_results(struct pg_conn *c, struct list *done)
{
	struct pg_group *g;
	PGresult *res;
	int nulls = 0;

	while (!list_empty(&c->sent) && !PQisBusy(c->pg)) {
		res = PQgetResult(c->pg);
		if (res == NULL) {
			/* Between two commands; twice in a row when the connection is gone. */
			if (++nulls > 1)
				break;
			continue;
		}
		nulls = 0;
		g = LIST_FIRST(&c->sent, struct pg_group, link);
		CHECK_OBJ(g, PG_GROUP_MAGIC);
		switch (PQresultStatus(res)) {
		case PGRES_PIPELINE_SYNC:
			list_remove(&g->link);
			if (g->kind == PG_GROUP_CALLS)
				c->n_sent--;
			list_append(done, &g->link);
			break;
		case PGRES_COMMAND_OK:
		case PGRES_TUPLES_OK:
		case PGRES_EMPTY_QUERY:
			if (g->kind == PG_GROUP_CALLS && g->next > 0 && g->next <= g->n_calls &&
			    g->ctx != NULL) {
				g->calls[g->next - 1].res = res;
				res = NULL;
			}
			g->next++;
			break;
		case PGRES_PIPELINE_ABORTED: g->next++; break;
		default:
			failed(c, g, res);
			g->next++;
			break;
		}
		PQclear(res);
	}
}
