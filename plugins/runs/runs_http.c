/*
 * runs_http.c: the routes that read runs. runs_http_act.c has those that do something.
 *
 *	GET /v1/runs                 newest first; ?status= &workflow= &limit= &after=<run_id>
 *	GET /v1/runs/{id}            the run with its events; ?after_seq=
 *	GET /v1/runs/{id}/state      its state; ?seq=
 *	GET /v1/runs/{id}/history    its states, newest first; ?before= &limit=
 *
 * Reads go through the tenant's own role. A run of another tenant does not exist.
 */
#include <stdlib.h>

#include "engine.h"

#define LIST_DEFAULT 20
#define LIST_MAX 100
#define EVENTS_MAX 1000
#define PAGE_FIRST 32 /* events that are read with the run itself */

#define RUN_SELECT                                                                      \
	"SELECT run_id, workflow, version, status, user_id, next_seq, budget,"          \
	" to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')," \
	" to_char(ended_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'),"   \
	" thread_id, metadata, base_run, base_seq, idem_key"
static const char sql_get[] = RUN_SELECT " FROM agent_runs WHERE run_id = $1::uuid";
static const char sql_get_events[] =
    "SELECT seq, type, step_id, attempt, node, (extract(epoch FROM ts) * 1000000)::bigint, data"
    " FROM run_events WHERE run_id = $1::uuid AND seq > $2::integer ORDER BY seq"
    " LIMIT $3::bigint";
static const char sql_list[] = RUN_SELECT
    " FROM agent_runs WHERE tenant_id = $1::uuid"
    " AND ($2::text IS NULL OR status = $2) AND ($3::text IS NULL OR workflow = $3)"
    " AND ($4::uuid IS NULL OR run_id < $4) ORDER BY run_id DESC LIMIT $5::bigint";
static int
no_run(ins_ctx *ctx)
{
	return ins_fail(ctx, INS_ENOTFOUND, "there is no run with this id");
}

static json_t *
text_or_null(const char *z)
{
	return z == NULL ? json_null() : json_string(z);
}

/* jsonb prints 1e22 as the digits of an integer, which is too large for one. */
static json_t *
metadata_json(const char *z)
{
	json_t *j = json_loads(z, 0, NULL);

	return j != NULL ? j : json_loads(z, JSON_DECODE_INT_AS_REAL, NULL);
}

static json_t *
run_json(const ins_rows *rows, size_t i)
{
	json_t *j = json_object();

	json_object_set_new(j, "run_id", json_string(ins_value(rows, i, 0)));
	json_object_set_new(j, "object", json_string("run"));
	json_object_set_new(j, "workflow", json_string(ins_value(rows, i, 1)));
	json_object_set_new(j, "version", json_string(ins_value(rows, i, 2)));
	json_object_set_new(j, "status", json_string(ins_value(rows, i, 3)));
	json_object_set_new(j, "user_id", json_string(ins_value(rows, i, 4)));
	json_object_set_new(j, "next_seq", json_integer(ins_value_int(rows, i, 5)));
	json_object_set_new(j, "budget", json_loads(ins_value(rows, i, 6), 0, NULL));
	json_object_set_new(j, "created_at", text_or_null(ins_value(rows, i, 7)));
	json_object_set_new(j, "ended_at", text_or_null(ins_value(rows, i, 8)));
	json_object_set_new(j, "thread_id", text_or_null(ins_value(rows, i, 9)));
	json_object_set_new(j, "metadata", metadata_json(ins_value(rows, i, 10)));
	if (ins_value(rows, i, 11) != NULL)
		json_object_set_new(j, "base",
		    json_pack("{s:s, s:I}", "run_id", ins_value(rows, i, 11), "seq",
			(json_int_t)ins_value_int(rows, i, 12)));
	if (ins_value(rows, i, 13) != NULL)
		json_object_set_new(j, "idempotency_key", json_string(ins_value(rows, i, 13)));
	return j;
}

/* What RunEnded, or Interrupted, says stands on the run itself too. */
void
run_take_end(json_t *run, const json_t *end)
{
	static const char *const keys[] = { "output", "error", "usage", "interrupts" };
	size_t i;
	json_t *v;

	for (i = 0; i < sizeof keys / sizeof *keys; i++)
		if ((v = json_object_get(end, keys[i])) != NULL)
			json_object_set(run, keys[i], v);
}

/* What the standby says of a run that is over is the last word. Of one that goes on, or that it
 * does not know, it may not have heard. */
static int
is_over(const ins_rows *rows)
{
	const char *status = ins_value(rows, 0, 3);

	return status != NULL &&
	    (strcmp(status, "completed") == 0 || strcmp(status, "failed") == 0 ||
		strcmp(status, "cancelled") == 0);
}

/* Adds the events of a page, up to what one answer may have. Returns 1 when there may be more. */
static int
add_events(
    json_t *run, json_t *events, const ins_rows *rows, int64_t page, int64_t *last, size_t *bytes)
{
	size_t i, n = ins_rows_count(rows);

	for (i = 0; i < n; i++) {
		struct run_event *ev;

		if (json_array_size(events) == EVENTS_MAX || *bytes > RUNS_ANSWER_BYTES)
			return 0;
		*last = ins_value_int(rows, i, 0);
		*bytes += strlen(ins_value(rows, i, 6));
		if ((ev = run_event_parse(rows, i, 0)) == NULL)
			continue;
		json_array_append_new(events, run_event_json(ev));
		if (ev->type == EV_RUN_ENDED || ev->type == EV_INTERRUPTED)
			run_take_end(run, ev->data);
		run_event_free(ev);
	}
	return (int64_t)n == page && json_array_size(events) < EVENTS_MAX &&
	    *bytes <= RUNS_ANSWER_BYTES;
}

/* The rest of the events, in pages: an event may have a megabyte. */
INS_AWAITS
static int
more_events(ins_ctx *ctx, const ins_stmt *stmt, const char *id, json_t *run, json_t *events,
    int64_t *last, size_t bytes)
{
	int64_t page = PAGE_FIRST;
	int r, more = 1;

	while (more) {
		size_t before = bytes;
		ins_rows *rows;

		r = ins_db(ctx, stmt,
		    INS_ARGS(ins_text(id), ins_int(ctx, *last), ins_int(ctx, page)), &rows);
		if (r != 0)
			return r;
		more = add_events(run, events, rows, page, last, &bytes);
		ins_rows_end(rows);
		page = runs_next_page(page, bytes - before, EVENTS_MAX);
	}
	return 0;
}

static int
get_run(ins_ctx *ctx, void *self)
{
	struct plugin *p = self;
	const char *id = uuid_of(ctx, ins_param(ctx, "id")), *after = ins_query(ctx, "after_seq");
	json_t *run, *events;
	ins_rows *rows[2];
	ins_call calls[2] = { { p->sql.get_stale, NULL, 1 }, { p->sql.get_events_stale, NULL, 3 } };
	int64_t last = after == NULL ? -1 : strtol(after, NULL, 10);
	size_t bytes = 0;
	ins_arg args[3];
	int r;

	if (id == NULL)
		return no_run(ctx);
	args[0] = ins_text(id);
	args[1] = ins_int(ctx, last);
	args[2] = ins_int(ctx, PAGE_FIRST);
	calls[0].args = calls[1].args = args;
	if ((r = ins_db_batch(ctx, calls, 2, rows)) != 0)
		return r;
	if (ins_rows_stale(rows[0]) && !is_over(rows[0])) {
		calls[0].stmt = p->sql.get;
		calls[1].stmt = p->sql.get_events;
		if ((r = ins_db_batch(ctx, calls, 2, rows)) != 0)
			return r;
	}
	if (ins_rows_count(rows[0]) == 0)
		return no_run(ctx);
	run = run_json(rows[0], 0);
	events = json_array();
	json_object_set_new(run, "events", events);
	ins_json_end(ctx, run);
	if (add_events(run, events, rows[1], PAGE_FIRST, &last, &bytes)) {
		ins_rows_end(rows[1]);
		r = more_events(ctx, calls[1].stmt, id, run, events, &last, bytes);
		if (r != 0)
			return r;
	}
	/* The row was read first: what it counts and the answer lacks can be asked for. */
	json_object_set_new(run, "has_more",
	    json_boolean(last + 1 < json_integer_value(json_object_get(run, "next_seq"))));
	return ins_reply_take(ctx, 200, json_incref(run));
}

static int
list_runs(ins_ctx *ctx, void *self)
{
	struct plugin *p = self;
	const char *status = ins_query(ctx, "status"), *workflow = ins_query(ctx, "workflow");
	const char *after = ins_query(ctx, "after"), *limit = ins_query(ctx, "limit");
	long n = limit == NULL ? LIST_DEFAULT : strtol(limit, NULL, 10);
	const char *cursor = NULL;
	json_t *data;
	ins_rows *rows;
	size_t i, found;
	int r;

	if (n < 1 || n > LIST_MAX) {
		ins_field(ctx, "limit");
		return ins_fail(ctx, INS_EINVAL, "limit must be between 1 and %d", LIST_MAX);
	}
	if (after != NULL && (cursor = uuid_of(ctx, after)) == NULL) {
		ins_field(ctx, "after");
		return ins_fail(ctx, INS_EINVAL, "after must be the run_id of a run");
	}
	r = ins_db(ctx, p->sql.list,
	    INS_ARGS(ins_text(ins_tenant_id(ctx)), ins_text(status), ins_text(workflow),
		ins_text(cursor), ins_int(ctx, n + 1)),
	    &rows);
	if (r != 0)
		return r;
	found = ins_rows_count(rows);
	data = json_array();
	for (i = 0; i < found && i < (size_t)n; i++)
		json_array_append_new(data, run_json(rows, i));
	return ins_reply_json(ctx, 200, "{s:s, s:o, s:b}", "object", "list", "data", data,
	    "has_more", found > (size_t)n);
}

/* A whole number of the query, `dflt` when it is absent. */
static int
number(ins_ctx *ctx, const char *name, int64_t dflt, int64_t max, int64_t *ret)
{
	const char *z = ins_query(ctx, name);
	char *end;

	*ret = z == NULL ? dflt : strtoll(z, &end, 10);
	if (z == NULL || (*z != '\0' && *end == '\0' && *ret >= 0 && *ret <= max))
		return 0;
	ins_field(ctx, name);
	return ins_fail(
	    ctx, INS_EINVAL, "%s must be a whole number, %lld at most", name, (long long)max);
}

static int
get_state(ins_ctx *ctx, void *self)
{
	json_t *state;
	int64_t seq;
	int r;

	if ((r = number(ctx, "seq", -1, INT32_MAX, &seq)) != 0 ||
	    (r = runs_state(ctx, self, ins_param(ctx, "id"), seq, &state)) != 0)
		return r;
	return ins_reply_take(ctx, 200, state);
}

static int
get_history(ins_ctx *ctx, void *self)
{
	int64_t before, limit;
	json_t *states;
	int r;

	if ((r = number(ctx, "before", -1, INT32_MAX, &before)) != 0 ||
	    (r = number(ctx, "limit", LIST_DEFAULT, LIST_MAX, &limit)) != 0 ||
	    (r = runs_history(ctx, self, ins_param(ctx, "id"), before, (uint32_t)limit, &states)) !=
		0)
		return r;
	return ins_reply_json(ctx, 200, "{s:s, s:o}", "object", "list", "data", states);
}

int
runs_http_init(struct plugin *p)
{
	ins_host *host = p->host;

	p->sql.get = ins_stmt_new(host, sql_get);
	p->sql.get_events = ins_stmt_new(host, sql_get_events);
	p->sql.get_stale = ins_stmt_new_stale(host, sql_get);
	p->sql.get_events_stale = ins_stmt_new_stale(host, sql_get_events);
	p->sql.list = ins_stmt_new_stale(host, sql_list);
	if (ins_route(host, "GET", "/v1/runs", "runs:read", list_runs) != 0 ||
	    ins_route(host, "GET", "/v1/runs/{id}", "runs:read", get_run) != 0 ||
	    ins_route(host, "GET", "/v1/runs/{id}/state", "runs:read", get_state) != 0 ||
	    ins_route(host, "GET", "/v1/runs/{id}/history", "runs:read", get_history) != 0)
		return -INS_EINVAL;
	return runs_http_act_init(p);
}
