/*
 * engine_send.c: messages to runs: signals, resumes, cancels, deletions.
 *
 * A message is a row of the inbox, and a row of run_ready that calls the owner of the run's shard
 * to it; the same msg_id is the same message. What needs no owner is done here: a run that did not
 * begin is cancelled, one that is over is deleted.
 */
#include <stdlib.h>

#include "engine.h"

#define MESSAGE_MAX (256u << 10)
#define RETRY_AFTER_S 2

static const char sql_send[] =
    "WITH m AS (INSERT INTO run_inbox (run_id, msg_id, tenant_id, shard, kind, name, payload)"
    " SELECT run_id, $2, tenant_id, shard, $3, $4, $5::json FROM agent_runs"
    " WHERE run_id = $1::uuid AND ended_at IS NULL"
    " AND ($3 <> 'resume' OR (status = 'interrupted' AND NOT EXISTS (SELECT FROM agent_runs AS o"
    "  WHERE o.tenant_id = agent_runs.tenant_id AND o.thread_id = agent_runs.thread_id"
    "  AND o.run_id <> agent_runs.run_id AND o.status = 'running')))"
    " AND ($3 <> 'signal' OR (SELECT count(*) FROM (SELECT FROM run_inbox"
    "  WHERE run_id = $1::uuid AND taken_seq IS NULL LIMIT $6::bigint) AS w) < $6::bigint)"
    " ON CONFLICT DO NOTHING RETURNING run_id, shard, tenant_id"
    "), q AS (INSERT INTO run_ready (shard, at, run_id, tenant_id)"
    " SELECT shard, clock_timestamp(), run_id, tenant_id FROM m) SELECT run_id FROM m";
static const char sql_find[] =
    "SELECT r.status, r.shard, (SELECT kind FROM run_inbox WHERE run_id "
    "= r.run_id AND msg_id = $2),"
    " r.user_id, r.attrs ->> 'plan', r.workflow, r.version,"
    " r.next_seq = 0 AND r.ended_at IS NOT NULL AND r.wake_at IS NOT NULL"
    " FROM agent_runs AS r WHERE r.run_id = $1::uuid";
static const char sql_delete_events[] =
    "DELETE FROM run_events AS e USING agent_runs AS r"
    " WHERE r.run_id = $1::uuid AND r.ended_at IS NOT NULL AND e.run_id = r.run_id";
static const char sql_delete_run[] =
    "DELETE FROM agent_runs WHERE run_id = $1::uuid AND ended_at IS NOT NULL";

void
engine_send_init(struct plugin *p)
{
	p->sql.send = ins_stmt_new(p->host, sql_send);
	p->sql.find = ins_stmt_new(p->host, sql_find);
	p->sql.delete_events = ins_stmt_new(p->host, sql_delete_events);
	p->sql.delete_run = ins_stmt_new(p->host, sql_delete_run);
}

static int
check_message(
    ins_ctx *ctx, const char *kind, const char *msg_id, const char *name, const json_t *payload)
{
	if (*msg_id == '\0' || strlen(msg_id) > RUNS_KEY_MAX)
		return bad_field(ctx, "message_id", "must have 1 to 255 bytes");
	if (strcmp(kind, INS_MESSAGE_SIGNAL) == 0 &&
	    (name == NULL || *name == '\0' || strlen(name) > FOLD_NAME_MAX))
		return bad_field(ctx, "name", "a signal's name must have 1 to 64 bytes");
	if (json_bytes(payload) > MESSAGE_MAX)
		return ins_fail(
		    ctx, INS_ETOOBIG, "a message may have %u bytes at most", MESSAGE_MAX);
	return 0;
}

static int
no_run(ins_ctx *ctx)
{
	return ins_fail(ctx, INS_ENOTFOUND, "there is no run with this id");
}

INS_AWAITS
static int
delete_ended(ins_ctx *ctx, struct plugin *p, const char *id)
{
	const char *tenant = ins_tenant_id(ctx);
	ins_arg arg = ins_text(id);
	ins_call calls[2] = { { p->sql.delete_events, &arg, 1 }, { p->sql.delete_run, &arg, 1 } };

	return ins_engine_batch(ctx, &tenant, 1, calls, 2, NULL);
}

/* A run that did not begin ends here; of one that was displaced, and is to be deleted, is told. */
INS_AWAITS
static int
end_unbegun(ins_ctx *ctx, struct plugin *p, const char *id)
{
	struct run_end end = { 0 };
	const char *tenant = ins_tenant_id(ctx);
	ins_arg args[2] = { ins_text(id), ins_text("") };
	ins_rows *row;
	int displaced,
	    r = ins_engine_batch(
		ctx, &tenant, 1, &(const ins_call){ p->sql.find, args, 2 }, 1, &row);

	if (r != 0 || ins_rows_count(row) == 0)
		return r;
	displaced = strcmp(ins_value(row, 0, 7), "t") == 0;
	if (strcmp(ins_value(row, 0, 0), "pending") != 0 && !displaced)
		return 0;
	end.who.tenant_id = tenant;
	end.who.user_id = ins_value(row, 0, 3);
	end.who.plan = ins_value(row, 0, 4);
	end.run_id = id;
	end.workflow = ins_value(row, 0, 5);
	end.version = ins_value(row, 0, 6);
	end.ts_us = ins_now_us();
	r = displaced ? told_displaced(ctx, p, &end) : told_cancel(ctx, p, &end);
	/* the thread's next run, if there is one */
	engine_wake(ctx, ins_local(ctx, p->host), (int)ins_value_int(row, 0, 1));
	return r;
}

int
runs_send(ins_ctx *ctx, void *self, const char *run_id, const char *kind, const char *msg_id,
    const char *name, const json_t *payload)
{
	struct plugin *p = self;
	struct engine *e = ins_local(ctx, p->host);
	const char *tenant = ins_tenant_id(ctx), *id = uuid_of(ctx, run_id), *status, *was;
	int ends = strcmp(kind, INS_MESSAGE_CANCEL) == 0 || strcmp(kind, INS_MESSAGE_DELETE) == 0;
	ins_call calls[2];
	ins_rows *rows[2];
	ins_arg args[6];
	int r;

	if (id == NULL)
		return no_run(ctx);
	if ((r = check_message(ctx, kind, msg_id, name, payload)) != 0)
		return r;
	args[0] = ins_text(id);
	args[1] = ins_text(msg_id);
	args[2] = ins_text(kind);
	args[3] = ins_text(name);
	args[4] = payload == NULL ? ins_null() : ins_json(ctx, payload);
	args[5] = ins_int(ctx, RUNS_INBOX_MAX);
	if (ends && (r = end_unbegun(ctx, p, id)) != 0)
		return r;
	calls[0] = (ins_call){ p->sql.send, args, 6 };
	calls[1] = (ins_call){ p->sql.find, args, 2 };
	if ((r = ins_engine_batch(ctx, &tenant, 1, calls, 2, rows)) != 0)
		return r;
	if (ins_rows_count(rows[1]) == 0)
		return no_run(ctx);
	status = ins_value(rows[1], 0, 0);
	was = ins_value(rows[1], 0, 2);
	if (ins_rows_count(rows[0]) == 1) {
		engine_wake(ctx, e, (int)ins_value_int(rows[1], 0, 1));
		return 1;
	}
	if (strcmp(kind, INS_MESSAGE_DELETE) == 0 && strcmp(status, "running") != 0 &&
	    strcmp(status, "interrupted") != 0)
		return (r = delete_ended(ctx, p, id)) == 0 ? 1 : r;
	if (was != NULL) {
		if (strcmp(was, kind) == 0)
			return 0;
		return ins_fail(ctx, INS_ECONFLICT, "this message_id was a %s", was);
	}
	if (ends && strcmp(status, "cancelled") == 0)
		return 1;
	if (strcmp(kind, INS_MESSAGE_RESUME) == 0 &&
	    (strcmp(status, "running") == 0 || strcmp(status, "pending") == 0 ||
		strcmp(status, "interrupted") == 0))
		return *status == 'i'
		    ? ins_fail(ctx, INS_ECONFLICT, "the thread has another run under way")
		    : ins_fail(ctx, INS_ECONFLICT, "the run waits for nobody: it is %s", status);
	if (strcmp(kind, INS_MESSAGE_SIGNAL) == 0 &&
	    (strcmp(status, "running") == 0 || strcmp(status, "pending") == 0 ||
		strcmp(status, "interrupted") == 0)) {
		ins_retry_after(ctx, RETRY_AFTER_S);
		return ins_fail(
		    ctx, INS_ELIMIT, "%d messages wait for this run already", RUNS_INBOX_MAX);
	}
	return ins_fail(ctx, INS_ECONFLICT, "the run is over: %s", status);
}
