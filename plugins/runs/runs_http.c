/*
 * runs_http.c: the routes.
 *
 *	POST /v1/runs                {"workflow", "input"}: 202 {"run_id"}; ?wait=true: 200 and the
 *end GET  /v1/runs                newest first; ?status= &workflow= &limit= &after=<run_id> GET
 * /v1/runs/{id}           the run with its events; ?after_seq= POST /v1/runs/{id}/cancel
 *
 * Reads go through the tenant's own role. A run of another tenant does not exist.
 */
#include <ctype.h>
#include <stdlib.h>

#include "engine.h"

#define LIST_DEFAULT 20
#define LIST_MAX 100
#define EVENTS_MAX 1000

static const char sql_get[] =
    "SELECT run_id, workflow, version, status, user_id, next_seq, budget,"
    " to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'),"
    " to_char(ended_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
    " FROM agent_runs WHERE run_id = $1::uuid";
static const char sql_get_events[] =
    "SELECT seq, type, step_id, attempt, node, (extract(epoch FROM ts) * 1000000)::bigint, data"
    " FROM run_events WHERE run_id = $1::uuid AND seq > $2::integer ORDER BY seq LIMIT 1000";
static const char sql_list[] =
    "SELECT run_id, workflow, version, status, user_id, next_seq, budget,"
    " to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'),"
    " to_char(ended_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
    " FROM agent_runs WHERE tenant_id = $1::uuid"
    " AND ($2::text IS NULL OR status = $2) AND ($3::text IS NULL OR workflow = $3)"
    " AND ($4::uuid IS NULL OR run_id < $4) ORDER BY run_id DESC LIMIT $5::bigint";
/* No fence: the comparison of next_seq in the owner's next commit makes it notice. A run that ended
 * meanwhile joins with nothing, and the batch fails with its outbox row. */
static const char sql_cancel[] =
    "WITH u AS (UPDATE agent_runs SET status = 'cancelled', next_seq = next_seq + 1,"
    "  ended_at = clock_timestamp()"
    " WHERE run_id = $1::uuid AND status = 'running'"
    " RETURNING run_id, tenant_id, next_seq - 1 AS seq)"
    " INSERT INTO run_events (run_id, seq, tenant_id, type, ts, data)"
    " SELECT i.run_id, u.seq, u.tenant_id, 'RunEnded', clock_timestamp(), $2::jsonb"
    " FROM (SELECT $1::uuid AS run_id) AS i LEFT JOIN u ON u.run_id = i.run_id";

/* The text of a uuid, in lower case; NULL when it is none. */
static const char *
uuid_of(ins_ctx *ctx, const char *z)
{
	char *p = z == NULL || strlen(z) != 36 ? NULL : ins_strndup(ctx, z, 36);
	int i;

	for (i = 0; p != NULL && i < 36; i++) {
		int dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? p[i] != '-' : !isxdigit((unsigned char)p[i]))
			return NULL;
		p[i] = (char)tolower((unsigned char)p[i]);
	}
	return p;
}

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
	return j;
}

/* What RunEnded says stands on the run itself too. */
static void
take_end(json_t *run, const json_t *end)
{
	static const char *const keys[] = { "output", "error", "usage" };
	size_t i;
	json_t *v;

	for (i = 0; i < sizeof keys / sizeof *keys; i++)
		if ((v = json_object_get(end, keys[i])) != NULL)
			json_object_set(run, keys[i], v);
}

static int
get_run(ins_ctx *ctx, void *self)
{
	struct plugin *p = self;
	const char *id = uuid_of(ctx, ins_param(ctx, "id")), *after = ins_query(ctx, "after_seq");
	json_t *run, *events;
	ins_rows *rows[2];
	ins_call calls[2] = { { p->sql.get, NULL, 1 }, { p->sql.get_events, NULL, 2 } };
	ins_arg args[2];
	size_t i, n;
	int r;

	if (id == NULL)
		return no_run(ctx);
	args[0] = ins_text(id);
	args[1] = ins_int(ctx, after == NULL ? -1 : strtol(after, NULL, 10));
	calls[0].args = calls[1].args = args;
	if ((r = ins_db_batch(ctx, calls, 2, rows)) != 0)
		return r;
	if (ins_rows_count(rows[0]) == 0)
		return no_run(ctx);
	run = run_json(rows[0], 0);
	events = json_array();
	n = ins_rows_count(rows[1]);
	for (i = 0; i < n; i++) {
		struct run_event *ev = run_event_parse(rows[1], i, 0);

		if (ev == NULL)
			continue;
		json_array_append_new(events, run_event_json(ev));
		if (ev->type == EV_RUN_ENDED)
			take_end(run, ev->data);
		run_event_free(ev);
	}
	json_object_set_new(run, "events", events);
	json_object_set_new(run, "has_more", json_boolean(n == EVENTS_MAX));
	return ins_reply_take(ctx, 200, run);
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

/* Waits for the end, which becomes the answer. */
static int
wait_end(ins_ctx *ctx, struct plugin *p, const char *run_id, ins_watch *watch)
{
	json_t *ev = NULL, *end = NULL, *out;
	int r;

	while ((r = runs_next(ctx, p, watch, &ev)) == 1) {
		const char *type = json_string_value(json_object_get(ev, "type"));

		if (type != NULL && strcmp(type, "RunEnded") == 0)
			end = json_incref(ev);
		json_decref(ev);
	}
	if (r != 0 || end == NULL) {
		json_decref(end);
		return r != 0 ? r : ins_fail(ctx, INS_EINTERNAL, "the run ended without saying so");
	}
	out = json_pack("{s:s, s:s, s:O}", "run_id", run_id, "object", "run", "status",
	    json_object_get(end, "status"));
	take_end(out, end);
	json_decref(end);
	return ins_reply_take(ctx, 200, out);
}

static int
start_run(ins_ctx *ctx, void *self)
{
	struct plugin *p = self;
	const char *wait = ins_query(ctx, "wait"), *workflow, *run_id;
	json_t *body, *input, *none = NULL;
	ins_run_request req = { 0 };
	ins_watch *watch;
	int r;

	if ((r = ins_body_json(ctx, &body)) != 0)
		return r;
	workflow = json_string_value(json_object_get(body, "workflow"));
	input = json_object_get(body, "input");
	if (workflow == NULL) {
		ins_field(ctx, "workflow");
		return ins_fail(ctx, INS_EINVAL, "workflow must be the name of a workflow");
	}
	if (input != NULL && !json_is_object(input)) {
		ins_field(ctx, "input");
		return ins_fail(ctx, INS_EINVAL, "input must be an object");
	}
	if (input == NULL && (input = none = ins_json_end(ctx, json_object())) == NULL)
		return ins_fail(ctx, INS_ENOMEM, "out of memory");
	req.size = sizeof req;
	req.workflow = workflow;
	req.input = input;
	if ((r = runs_start(ctx, p, &req, &run_id, &watch)) < 0)
		return r;
	if (wait != NULL && (strcmp(wait, "true") == 0 || strcmp(wait, "1") == 0))
		return wait_end(ctx, p, run_id, watch);
	ins_set_header(ctx, "location", ins_printf(ctx, "/v1/runs/%s", run_id));
	return ins_reply_json(
	    ctx, 202, "{s:s, s:s, s:s}", "run_id", run_id, "object", "run", "status", "running");
}

/* 0 = it is running. */
static int
running(ins_ctx *ctx, struct plugin *p, const char *id, ins_rows **ret_row)
{
	int r = ins_db(ctx, p->sql.get, INS_ARGS(ins_text(id)), ret_row);
	const char *status;

	if (r != 0)
		return r;
	if (ins_rows_count(*ret_row) == 0)
		return no_run(ctx);
	status = ins_value(*ret_row, 0, 3);
	if (strcmp(status, "running") == 0)
		return 0;
	return ins_fail(ctx, INS_ECONFLICT, "the run is over: %s", status);
}

static int
commit_cancel(ins_ctx *ctx, struct plugin *p, const char *id, const char *workflow)
{
	const char *tenant = ins_tenant_id(ctx);
	ins_principal who = { 0 };
	ins_arg args[2] = { ins_text(id), ins_text("{\"status\": \"cancelled\"}") };
	ins_call calls[2] = { { p->sql.cancel, args, 2 }, { NULL, NULL, 0 } };
	json_t *payload = json_object();
	int r;

	who.size = sizeof who;
	who.tenant_id = tenant;
	who.user_id = ins_user_id(ctx);
	who.plan = ins_plan(ctx);
	who.permissions = "";
	r = ins_engine_event(
	    ctx, &who, "agent.run.cancelled", id, workflow, NULL, payload, &calls[1]);
	json_decref(payload);
	return r != 0 ? r : ins_engine_batch(ctx, &tenant, 1, calls, 2, NULL);
}

static int
cancel_run(ins_ctx *ctx, void *self)
{
	struct plugin *p = self;
	struct engine *e = ins_local(ctx, p->host);
	const char *id = uuid_of(ctx, ins_param(ctx, "id"));
	struct run *run;
	ins_rows *row;
	int r;

	if (id == NULL)
		return no_run(ctx);
	if ((r = running(ctx, p, id, &row)) != 0)
		return r;
	r = commit_cancel(ctx, p, id, ins_value(row, 0, 1));
	if (r == -INS_EUNAVAILABLE || r == -INS_ECANCELED || r == -INS_ETIMEOUT)
		return r;
	if (r != 0) {
		/* It ended, or went one step on, while we looked. */
		ins_clear_error(ctx);
		if ((r = running(ctx, p, id, &row)) != 0)
			return r;
		if ((r = commit_cancel(ctx, p, id, ins_value(row, 0, 1))) != 0)
			return r;
	}
	ins_add(p->metric.ended, "cancelled", 1);
	if ((run = run_find(e, id)) != NULL) {
		run_ref(run);
		run_remove(run);
		run_tell_gone(run);
		run_unref(run);
	}
	return ins_reply_json(
	    ctx, 200, "{s:s, s:s, s:s}", "run_id", id, "object", "run", "status", "cancelled");
}

int
runs_http_init(struct plugin *p)
{
	ins_host *host = p->host;

	p->sql.get = ins_stmt_new(host, sql_get);
	p->sql.get_events = ins_stmt_new(host, sql_get_events);
	p->sql.list = ins_stmt_new(host, sql_list);
	p->sql.cancel = ins_stmt_new(host, sql_cancel);
	if (ins_route(host, "POST", "/v1/runs", "runs:write", start_run) != 0 ||
	    ins_route(host, "GET", "/v1/runs", "runs:read", list_runs) != 0 ||
	    ins_route(host, "GET", "/v1/runs/{id}", "runs:read", get_run) != 0)
		return -INS_EINVAL;
	return ins_route(host, "POST", "/v1/runs/{id}/cancel", "runs:write", cancel_run);
}
