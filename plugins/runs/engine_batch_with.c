/*
 * engine_batch_with.c: what is committed along with events, in the same transaction: the head of
 * the thread, snapshots, which messages are taken, what wakes a run that goes to sleep, and the
 * next run of the thread. Most batches have none of it.
 */
#include <stdlib.h>

#include "engine_batch.h"

static const char sql_head[] =
    "UPDATE threads AS t SET status = i.status, \"values\" = i.v, interrupts = i.interrupts,"
    " error = i.error, head_run = i.run_id, head_seq = i.seq, updated_at = clock_timestamp(),"
    " state_updated_at = clock_timestamp()"
    " FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::json[], $5::jsonb[], $6::jsonb[],"
    "  $7::uuid[], $8::integer[])"
    "  AS i (tenant_id, thread_id, status, v, interrupts, error, run_id, seq)"
    " WHERE t.tenant_id = i.tenant_id AND t.thread_id = i.thread_id";
static const char sql_snapshot[] =
    "INSERT INTO run_snapshots (run_id, seq, tenant_id, state)"
    " SELECT * FROM unnest($1::uuid[], $2::integer[], $3::uuid[], $4::json[])"
    " ON CONFLICT DO NOTHING";
static const char sql_snapshot_old[] =
    "DELETE FROM run_snapshots AS s USING unnest($1::uuid[], $2::integer[]) AS i (run_id, seq)"
    " WHERE s.run_id = i.run_id AND s.seq < i.seq";
static const char sql_taken[] =
    "UPDATE run_inbox AS m SET taken_seq = i.seq"
    " FROM unnest($1::uuid[], $2::text[], $3::integer[]) AS i (run_id, msg_id, seq)"
    " WHERE m.run_id = i.run_id AND m.msg_id = i.msg_id";
static const char sql_awake[] = "DELETE FROM run_ready WHERE run_id = ANY ($1::uuid[])"
				" AND at > clock_timestamp()";
static const char sql_sleep[] =
    "INSERT INTO run_ready (shard, at, run_id, tenant_id)"
    " SELECT * FROM unnest($1::smallint[], $2::timestamptz[], $3::uuid[], $4::uuid[])";
static const char sql_seen[] = "DELETE FROM run_ready WHERE id = ANY ($1::bigint[])";
static const char sql_next[] =
    "INSERT INTO run_ready (shard, at, starts, run_id, tenant_id)"
    " SELECT n.shard, clock_timestamp(), true, n.run_id, n.tenant_id"
    " FROM unnest($1::uuid[], $2::uuid[]) AS i (tenant_id, thread_id)"
    " CROSS JOIN LATERAL (SELECT r.shard, r.run_id, r.tenant_id FROM agent_runs AS r"
    "  WHERE r.tenant_id = i.tenant_id AND r.thread_id = i.thread_id AND r.status = 'pending'"
    "  AND r.wake_at <= clock_timestamp() ORDER BY r.run_id LIMIT 1) AS n";
static const char sql_delete_events[] = "DELETE FROM run_events WHERE run_id = ANY ($1::uuid[])";
static const char sql_delete[] = "DELETE FROM agent_runs WHERE run_id = ANY ($1::uuid[])";

void
engine_with_init(struct plugin *p)
{
	p->sql.with[WITH_HEAD] = ins_stmt_new(p->host, sql_head);
	p->sql.with[WITH_SNAPSHOT] = ins_stmt_new(p->host, sql_snapshot);
	p->sql.with[WITH_SNAPSHOT_OLD] = ins_stmt_new(p->host, sql_snapshot_old);
	p->sql.with[WITH_TAKEN] = ins_stmt_new(p->host, sql_taken);
	p->sql.with[WITH_AWAKE] = ins_stmt_new(p->host, sql_awake);
	p->sql.with[WITH_SLEEP] = ins_stmt_new(p->host, sql_sleep);
	p->sql.with[WITH_SEEN] = ins_stmt_new(p->host, sql_seen);
	p->sql.with[WITH_NEXT] = ins_stmt_new(p->host, sql_next);
	p->sql.with[WITH_DELETE_EVENTS] = ins_stmt_new(p->host, sql_delete_events);
	p->sql.with[WITH_DELETE] = ins_stmt_new(p->host, sql_delete);
}

int
run_sleeps(const struct run *run, int64_t *ret_us)
{
	*ret_us = fold_due_us(&run->fold);
	return !run->fold.ended && fold_waits(&run->fold) &&
	    (*ret_us == 0 || *ret_us > ins_now_us() + RUNS_SLEEP_US);
}

/* A row of this many columns begins. */
static struct array *
row(struct columns *c, unsigned n)
{
	c->n = n;
	c->rows++;
	return c->col;
}

static const char *
thread_status(const struct fold *f)
{
	const char *end = json_string_value(json_object_get(f->end, "status"));

	if (!f->ended)
		return "interrupted";
	if (strcmp(end, "failed") == 0)
		return "error";
	return f->n_open > 0 ? "interrupted" : "idle";
}

static void
add_head(ins_ctx *ctx, struct columns *c, const struct run *run)
{
	const struct fold *f = &run->fold;
	const ins_workflow *wf = run_workflow(
	    ctx, run->engine->plugin, run->workflow, run->version);
	json_t *values = fold_values(f, ctx, wf), *interrupts, *error;
	struct array *a = row(c, 8);

	interrupts = f->ended ? json_array() : fold_interrupts(f);
	error = json_object_get(f->end, "error");
	array_text_z(&a[0], run->tenant_id);
	array_text_z(&a[1], run->thread_id);
	array_text_z(&a[2], thread_status(f));
	array_json(&a[3], values);
	array_json(&a[4], interrupts);
	if (f->ended && error != NULL)
		array_json(&a[5], error);
	else
		array_null(&a[5]);
	array_text_z(&a[6], run->run_id);
	array_int(&a[7], f->values_seq);
	json_decref(values);
	json_decref(interrupts);
}

static int
add_snapshot(struct columns *all, struct run *run)
{
	struct columns *c = &all[WITH_SNAPSHOT];
	json_t *state = fold_snapshot(&run->fold);
	struct array *a;

	if (state == NULL)
		return -INS_ENOMEM;
	run->snapping = run->fold.next_seq - 1;
	a = row(c, 4);
	array_text_z(&a[0], run->run_id);
	array_int(&a[1], run->snapping);
	array_text_z(&a[2], run->tenant_id);
	array_json(&a[3], state);
	json_decref(state);
	if (run->snapped >= 0) {
		/* two stay: this one and the one before */
		a = row(&all[WITH_SNAPSHOT_OLD], 2);
		array_text_z(&a[0], run->run_id);
		array_int(&a[1], run->snapped);
	}
	return 0;
}

static void
add_taken(struct columns *c, const struct run *run)
{
	const struct run_event *ev = run->pending;
	struct array *a;
	unsigned i;

	for (i = 0; i < run->n_flying; i++, ev = ev->next) {
		const char *id = json_string_value(json_object_get(ev->data, "msg_id"));

		if (id == NULL || ev->type == EV_RUN_STARTED)
			continue;
		a = row(c, 3);
		array_text_z(&a[0], run->run_id);
		array_text_z(&a[1], id);
		array_int(&a[2], ev->seq);
	}
}

static void
add_thread(ins_ctx *ctx, struct columns *all, const struct run *run)
{
	const struct fold *f = &run->fold;
	struct array *a;

	if (!f->ended && !f->stopped)
		return;
	if (!run->deleting && !run->no_head && f->values_seq >= 0)
		add_head(ctx, &all[WITH_HEAD], run);
	a = row(&all[WITH_NEXT], 2);
	array_text_z(&a[0], run->tenant_id);
	array_text_z(&a[1], run->thread_id);
}

int
batch_with(ins_ctx *ctx, struct columns *all, struct run *run)
{
	struct array *a;
	int64_t until;
	unsigned i;

	run->snapping = -1;
	run->n_settling = run->n_ready;
	add_taken(&all[WITH_TAKEN], run);
	for (i = 0; i < run->n_ready; i++)
		array_int(&row(&all[WITH_SEEN], 1)[0], run->ready_ids[i]);
	if (run->thread_id[0] != '\0')
		add_thread(ctx, all, run);
	if (run->deleting && run->fold.ended) {
		array_text_z(&row(&all[WITH_DELETE_EVENTS], 1)[0], run->run_id);
		array_text_z(&row(&all[WITH_DELETE], 1)[0], run->run_id);
		return 0;
	}
	if (run->slept)
		array_text_z(&row(&all[WITH_AWAKE], 1)[0], run->run_id);
	until = run->sleeps_until;
	if (run->sleeps && until != 0) {
		run->slept = 1;
		a = row(&all[WITH_SLEEP], 4);
		array_int(&a[0], run->shard);
		array_time(&a[1], until);
		array_text_z(&a[2], run->run_id);
		array_text_z(&a[3], run->tenant_id);
	}
	if (!run->fold.ended &&
	    run->fold.next_seq / RUNS_SNAPSHOT_EVENTS > (run->snapped + 1) / RUNS_SNAPSHOT_EVENTS)
		return add_snapshot(all, run);
	return 0;
}
