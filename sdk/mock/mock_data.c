/*
 * mock_data.c: a database that knows the answers which the test put there, and a bus that carries
 * what committed to the test. Stands in for pg*.c and bus*.c; the register of statements and the
 * making of events are the host's own.
 */
#include <ctype.h>

#include "data/bus.h"
#include "data/pg_impl.h"
#include "sdk/mock/mock_impl.h"

/* ---- rules ---- */

void
ins_mock_db(ins_mock *m, const char *part, json_t *rows)
{
	struct mock_rule *r = mock_rule_add(&m->db_rules);

	if (!json_is_array(rows) && !json_is_integer(rows))
		base_panic(__FILE__, __LINE__, __func__, "rows: an array of arrays, or a number");
	r->part = arena_strdup(&m->arena, part);
	r->rows = rows;
}

void
ins_mock_db_fail(ins_mock *m, const char *part, int code)
{
	struct mock_rule *r = mock_rule_add(&m->db_rules);

	r->part = arena_strdup(&m->arena, part);
	r->code = code < 0 ? -code : code;
}

const json_t *
ins_mock_db_calls(ins_mock *m)
{
	return m->db_calls;
}

const json_t *
ins_mock_events(ins_mock *m)
{
	return m->events;
}

/* ---- pg.h ---- */

struct mock_rows {
	struct ins_rows pub; /* first; res stays NULL */
	json_t *values;      /* [[text or null]] */
	size_t affected;
};

static const struct mock_rows *
rows_of(const struct ins_rows *rows)
{
	CHECK_OBJ(rows, PG_ROWS_MAGIC);
	return (const struct mock_rows *)(const void *)rows;
}

size_t
pg_rows_count(const struct ins_rows *rows)
{
	return json_array_size(rows_of(rows)->values);
}

size_t
pg_rows_columns(const struct ins_rows *rows)
{
	return json_array_size(json_array_get(rows_of(rows)->values, 0));
}

const char *
pg_value(const struct ins_rows *rows, size_t row, size_t col, size_t *ret_n)
{
	const json_t *v = json_array_get(json_array_get(rows_of(rows)->values, row), col);

	if (ret_n != NULL)
		*ret_n = json_string_length(v);
	return json_string_value(v);
}

size_t
pg_rows_affected(const struct ins_rows *rows)
{
	return rows_of(rows)->affected;
}

int
pg_rows_stale(const struct ins_rows *rows)
{
	return rows_of(rows)->pub.stale;
}

void
pg_rows_end(struct ins_rows *rows)
{
	struct mock_rows *r = (struct mock_rows *)(void *)rows;

	CHECK_OBJ(rows, PG_ROWS_MAGIC);
	json_decref(r->values);
	r->values = NULL;
}

static void
rows_cleanup(void *arg)
{
	pg_rows_end(arg);
}

/* A value as PostgreSQL would write it. */
static json_t *
as_text(const json_t *v)
{
	json_t *z;
	char *p;

	if (json_is_null(v) || json_is_string(v))
		return json_copy((json_t *)(uintptr_t)v);
	if (json_is_boolean(v))
		return json_string(json_is_true(v) ? "t" : "f");
	p = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
	AN(p);
	z = json_string(p);
	free(p);
	return z;
}

static struct ins_rows *
rows_new(struct ins_ctx *ctx, const struct mock_rule *rule)
{
	struct mock_rows *r = arena_alloc(&ctx->arena, sizeof *r);
	const json_t *row, *v;
	size_t i, j;
	json_t *out;

	if (r == NULL)
		return NULL;
	r->pub.magic = PG_ROWS_MAGIC;
	r->values = json_array();
	if (rule != NULL && json_is_integer(rule->rows))
		r->affected = (size_t)json_integer_value(rule->rows);
	else if (rule != NULL)
		json_array_foreach(rule->rows, i, row)
		{
			if (!json_is_array(row))
				base_panic(__FILE__, __LINE__, __func__, "a row is an array");
			out = json_array();
			json_array_foreach(row, j, v) json_array_append_new(out, as_text(v));
			json_array_append_new(r->values, out);
			r->affected++;
		}
	if (arena_cleanup(&ctx->arena, rows_cleanup, &r->pub) != 0) {
		json_decref(r->values);
		return NULL;
	}
	return &r->pub;
}

/* The highest $n of a text. */
static size_t
parameters(const char *sql)
{
	size_t n, most = 0;

	for (; (sql = strchr(sql, '$')) != NULL; sql++)
		if (isdigit((unsigned char)sql[1])) {
			n = strtoul(sql + 1, NULL, 10);
			most = n > most ? n : most;
		}
	return most;
}

static json_t *
record(struct ins_mock *m, const ins_call *c, const char *tenant, const char *user)
{
	json_t *args = json_array(), *call;
	size_t i;

	for (i = 0; i < c->n_args; i++)
		json_array_append_new(args,
		    c->args[i].p == NULL ? json_null()
					 : json_stringn_nocheck(c->args[i].p, c->args[i].n));
	call = json_pack("{s:s, s:o, s:s, s:s, s:b}", "sql", c->stmt->sql, "args", args, "tenant",
	    tenant, "user", user != NULL ? user : "", "committed", 0);
	AN(call);
	json_array_append_new(m->db_calls, call);
	return call;
}

static struct mock_rule *
rule_for(struct ins_mock *m, const char *sql)
{
	struct mock_rule *r;

	for (r = m->db_rules; r != NULL; r = r->next)
		if (!r->used && strstr(sql, r->part) != NULL)
			break;
	return r;
}

static int
run_call(struct ins_mock *m, struct ins_ctx *ctx, const ins_call *c, struct ins_rows **ret_rows)
{
	struct mock_rule *rule;

	if (parameters(c->stmt->sql) != c->n_args)
		return task_fail(ctx, INS_EINTERNAL,
		    "%zu arguments for a statement that takes %zu: %.200s", c->n_args,
		    parameters(c->stmt->sql), c->stmt->sql);
	rule = rule_for(m, c->stmt->sql);
	if (rule == NULL)
		return task_fail(
		    ctx, INS_EUNAVAILABLE, "the mock has no answer for: %.300s", c->stmt->sql);
	rule->used = 1;
	if (rule->code != 0)
		return task_fail(ctx, rule->code, "the test lets this statement fail");
	if (ret_rows != NULL && (*ret_rows = rows_new(ctx, rule)) == NULL)
		return task_fail(ctx, INS_ENOMEM, "the task's memory is used up");
	return 0;
}

int
pg_batch(struct ins_ctx *ctx, enum pg_role role, const char *tenants, const char *user,
    const ins_call *calls, size_t n, struct ins_rows **ret_rows)
{
	struct ins_mock *m = mock_current;
	size_t first = json_array_size(m->db_calls), i;
	json_t *events = json_array();
	int r;

	r = task_sleep(ctx, 0); /* others run meanwhile, as with a database */
	for (i = 0; i < n && r == 0; i++) {
		if (calls[i].stmt == NULL) {
			r = task_fail(ctx, INS_EINTERNAL, "a call without a statement");
		} else if (calls[i].stmt == outbox_insert()) {
			json_array_append_new(
			    events, json_loadb(calls[i].args[3].p, calls[i].args[3].n, 0, NULL));
			if (ret_rows != NULL && (ret_rows[i] = rows_new(ctx, NULL)) == NULL)
				r = task_fail(ctx, INS_ENOMEM, "the task's memory is used up");
		} else {
			record(m, &calls[i], tenants, user);
			r = run_call(m, ctx, &calls[i], ret_rows != NULL ? &ret_rows[i] : NULL);
		}
	}
	if (r == 0) {
		json_array_extend(m->events, events);
		for (i = first; i < json_array_size(m->db_calls); i++)
			json_object_set_new(
			    json_array_get(m->db_calls, i), "committed", json_true());
	}
	json_decref(events);
	return r;
}

/* ---- bus.h ---- */

struct bus_sub {
	struct bus_sub *next;
	const char *event_type;
	void (*deliver)(struct ins_loop *, void *user, json_t *envelope, void *token);
	void *user;
};

struct bus_sub *
bus_subscribe(const char *durable, const char *event_type,
    void (*deliver)(struct ins_loop *, void *user, json_t *envelope, void *token), void *user)
{
	struct ins_mock *m = mock_current;
	struct bus_sub *s = arena_alloc(&m->arena, sizeof *s);

	AN(s);
	s->event_type = arena_strdup(&m->arena, event_type);
	s->deliver = deliver;
	s->user = user;
	s->next = m->subs;
	m->subs = s;
	return s;
}

void
bus_unsubscribe(struct bus_sub *sub)
{
	struct bus_sub **s;

	for (s = &mock_current->subs; *s != NULL; s = &(*s)->next)
		if (*s == sub) {
			*s = sub->next;
			return;
		}
}

struct mock_token {
	int result, done;
};

void
bus_done(void *token, int result, const char *error)
{
	struct mock_token *t = token;

	t->result = result;
	t->done = 1;
	if (error != NULL)
		snprintf(mock_current->error, sizeof mock_current->error, "%s", error);
}

void
bus_return(void *token)
{
	bus_done(token, -INS_ECANCELED, "the mock had no room for the delivery");
}

struct making {
	const char *event_type;
	json_t *payload, *envelope;
};

/* The host's own maker writes the envelope, for the caller. */
static int
make_envelope(ins_ctx *ctx, void *arg)
{
	struct making *k = arg;
	ins_call call;
	int r = outbox_event(ctx, NULL, k->event_type, NULL, NULL, NULL, k->payload, &call);

	if (r == 0)
		k->envelope = json_loadb(call.args[3].p, call.args[3].n, 0, NULL);
	return r;
}

int
ins_mock_deliver(ins_mock *m, const char *event_type, json_t *payload)
{
	struct mock_token token = { 0, 0 };
	struct making k = { event_type, payload, NULL };
	struct bus_sub *s;
	int r = ins_mock_run(m, make_envelope, &k);

	json_decref(payload);
	if (r != 0)
		return r;
	for (s = m->subs; s != NULL; s = s->next)
		if (strcmp(s->event_type, event_type) == 0)
			break;
	if (s == NULL) {
		json_decref(k.envelope);
		snprintf(m->error, sizeof m->error, "nobody subscribes to %s", event_type);
		return -INS_ENOTFOUND;
	}
	s->deliver(&mock_loop, s->user, k.envelope, &token);
	mock_run_until(&token.done, INT64_MAX);
	if (!token.done)
		base_panic(
		    __FILE__, __LINE__, __func__, "the handler waits for what nothing will bring");
	return token.result;
}
