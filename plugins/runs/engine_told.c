/*
 * engine_told.c: what the rest of the platform hears of a run's end: agent.run.completed, .failed
 * or .cancelled, and usage.metered, in the transaction that ends it.
 *
 * A run that ends before it began has no log, and perhaps no owner at that moment. One that is
 * cancelled by itself is told of at once, by whoever cancels it. Those that a new run of their
 * thread displaces, however many, keep their wake_at, and a row of run_ready calls the owner, who
 * tells of them and takes it away. Each statement that takes it away fails when it is gone already,
 * and the events with it: nobody hears twice.
 */
#include "engine.h"

#define NONE                                                                          \
	", none AS (INSERT INTO run_ready (shard, at, run_id, tenant_id)"             \
	"  SELECT NULL::smallint, clock_timestamp(), $1::uuid, NULL::uuid WHERE NOT " \
	"EXISTS (SELECT FROM c))"

static const char sql_cancel_pending[] =
    "WITH c AS (UPDATE agent_runs SET status = 'cancelled', ended_at = clock_timestamp(),"
    "  wake_at = NULL WHERE run_id = $1::uuid AND status = 'pending'"
    "  RETURNING tenant_id, thread_id, run_id)" NONE
    " INSERT INTO run_ready (shard, at, starts, run_id, tenant_id)"
    " SELECT n.shard, clock_timestamp(), true, n.run_id, n.tenant_id FROM c"
    " CROSS JOIN LATERAL (SELECT r.shard, r.run_id, r.tenant_id FROM agent_runs AS r"
    "  WHERE r.tenant_id = c.tenant_id AND r.thread_id = c.thread_id AND r.status = 'pending'"
    "  AND r.run_id <> c.run_id AND r.wake_at <= clock_timestamp() ORDER BY r.run_id LIMIT 1) AS n";
static const char sql_told[] = "WITH c AS (UPDATE agent_runs SET wake_at = NULL"
			       "  WHERE run_id = $1::uuid AND next_seq = 0 AND ended_at IS NOT NULL"
			       "  AND wake_at IS NOT NULL RETURNING run_id)" NONE
			       " SELECT run_id FROM c";

void
engine_told_init(struct plugin *p)
{
	p->sql.cancel_pending = ins_stmt_new(p->host, sql_cancel_pending);
	p->sql.told = ins_stmt_new(p->host, sql_told);
}

/* What it used, under the run's own id and time, so that whoever keeps it keeps it once. */
static int
metered(ins_ctx *ctx, const struct run_end *end, const json_t *usage, ins_call *ret)
{
	json_t *payload = json_pack("{s:s, s:s, s:s, s:I, s:I, s:O*, s:O}", "source",
	    "urn:insula:runs", "id", end->run_id, "kind", "run", "time_us", (json_int_t)end->ts_us,
	    "duration_ms", (json_int_t)end->duration_ms, "status",
	    json_object_get(end->data, "status"), "usage", usage);
	int r = payload == NULL ? -INS_ENOMEM
				: ins_engine_event(ctx, &end->who, "usage.metered", end->run_id,
				      end->workflow, NULL, payload, ret);

	json_decref(payload);
	return r;
}

int
told_calls(ins_ctx *ctx, const struct run_end *end, ins_call ret[TOLD_CALLS])
{
	json_t *usage = json_incref(json_object_get(end->data, "usage")), *payload;
	char type[40];
	int r;

	/* An end that was recorded without asking the fold, or a run that never began. */
	if (usage == NULL)
		usage = json_pack("{s:I, s:I, s:I}", "prompt_tokens",
		    (json_int_t)end->prompt_tokens, "completion_tokens",
		    (json_int_t)end->completion_tokens, "cost_nanos", (json_int_t)end->cost_nanos);
	snprintf(type, sizeof type, "agent.run.%s",
	    json_string_value(json_object_get(end->data, "status")));
	payload = json_pack("{s:s, s:I, s:O*, s:O*}", "version", end->version, "duration_ms",
	    (json_int_t)end->duration_ms, "usage", usage, "error",
	    json_object_get(end->data, "error"));
	r = payload == NULL || usage == NULL ? -INS_ENOMEM
					     : ins_engine_event(ctx, &end->who, type, end->run_id,
						   end->workflow, NULL, payload, &ret[0]);
	if (r == 0)
		r = metered(ctx, end, usage, &ret[1]);
	json_decref(payload);
	json_decref(usage);
	return r;
}

int
told_unbegun(ins_ctx *ctx, const struct run_end *of, const char *status, ins_call ret[TOLD_CALLS])
{
	struct run_end end = *of;
	json_t *data = json_pack("{s:s}", "status", status);
	int r;

	end.who.size = sizeof end.who;
	end.who.permissions = "";
	end.who.user_id = of->who.user_id == NULL ? "" : of->who.user_id;
	end.who.plan = of->who.plan == NULL ? "" : of->who.plan;
	end.data = data;
	r = data == NULL ? -INS_ENOMEM : told_calls(ctx, &end, ret);
	json_decref(data);
	return r;
}

int
told_displaced(ins_ctx *ctx, struct plugin *p, const struct run_end *of)
{
	const char *tenant = of->who.tenant_id;
	ins_arg id = ins_text(of->run_id);
	ins_call calls[1 + TOLD_CALLS] = { { p->sql.told, &id, 1 } };
	int r = told_unbegun(ctx, of, "cancelled", &calls[1]);

	if (r == 0)
		r = ins_engine_batch(ctx, &tenant, 1, calls, 1 + TOLD_CALLS, NULL);
	if (r != -INS_EINVAL)
		return r;
	ins_clear_error(ctx); /* its owner was faster */
	return 0;
}

int
told_cancel(ins_ctx *ctx, struct plugin *p, const struct run_end *of)
{
	const char *tenant = of->who.tenant_id;
	ins_arg id = ins_text(of->run_id);
	ins_call calls[1 + TOLD_CALLS] = { { p->sql.cancel_pending, &id, 1 } };
	int r = told_unbegun(ctx, of, "cancelled", &calls[1]);

	if (r == 0)
		r = ins_engine_batch(ctx, &tenant, 1, calls, 1 + TOLD_CALLS, NULL);
	if (r != -INS_EINVAL)
		return r;
	ins_clear_error(ctx); /* it began, or ended, meanwhile */
	return 0;
}
