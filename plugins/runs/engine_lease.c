/*
 * engine_lease.c: which shards this loop owns.
 *
 * A lease lasts `lease` (3 s) and is renewed three times in that span, all shards in one statement.
 * Taking a shard adds one to its fence, which every commit names: an owner that slept beyond its
 * lease can dispatch nothing (engine_leased() stops half a second before the end, by the monotonic
 * clock) and commit nothing. The first time, an engine takes what an earlier start of the same host
 * held, at once; after that only what expired, so that two generations of this plugin in one
 * process do not take from each other for ever.
 *
 * Each round is a task of its own, which starts the next: a task's memory ends with it.
 */
#include "array.h"
#include "engine.h"

#define MARGIN_MS 500
#define AHEAD_US (24 * 3600 * INT64_C(1000000))

static const char sql_renew[] =
    "UPDATE run_shards SET expires_at = clock_timestamp() + $4::bigint * interval '1 ms'"
    " WHERE shard = ANY ($3::smallint[]) AND owner = $1 AND boot_id = $2"
    " RETURNING shard, fence";

static const char sql_take[] =
    "UPDATE run_shards SET owner = $1, boot_id = $2, fence = fence + 1,"
    "  expires_at = clock_timestamp() + $4::bigint * interval '1 ms'"
    " WHERE shard = ANY ($3::smallint[]) AND NOT (owner = $1 AND boot_id = $2)"
    "  AND (expires_at < clock_timestamp() OR ($5::boolean AND owner = $1))"
    " RETURNING shard, fence";

void
engine_lease_init(struct plugin *p)
{
	p->sql.lease_renew = ins_stmt_new(p->host, sql_renew);
	p->sql.lease_take = ins_stmt_new(p->host, sql_take);
	p->sql.ahead = ins_stmt_new(p->host, "SELECT run_events_ahead()");
}

int
engine_leased(const struct engine *e)
{
	return ins_mono_us() < e->lease_until_us - MARGIN_MS * 1000;
}

int
engine_pick_shard(struct engine *e)
{
	unsigned i, n = RUNS_SHARDS / e->count, at;

	if (!engine_leased(e))
		return -1;
	e->turn++;
	for (i = 0; i < n; i++) {
		at = (e->turn / RUNS_SHARD_TURN + i) % n * e->count + e->index;
		if (e->fence[at] != 0)
			return (int)at;
	}
	return -1;
}

/* Marks what the database says we own; the rest is lost. Returns how many we own. */
static unsigned
adopt(struct engine *e, const ins_rows *renewed, const ins_rows *taken)
{
	int64_t fence[RUNS_SHARDS] = { 0 };
	const ins_rows *rows[2] = { renewed, taken };
	unsigned i, n = 0;
	size_t k;

	for (i = 0; i < 2; i++)
		for (k = 0; k < ins_rows_count(rows[i]); k++) {
			int64_t shard = ins_value_int(rows[i], k, 0);

			if (shard < 0 || shard >= RUNS_SHARDS)
				continue;
			fence[shard] = ins_value_int(rows[i], k, 1);
			n++;
		}
	memcpy(e->fence, fence, sizeof fence);
	return n;
}

/* Runs in shards that are no longer ours, or were ours under another fence. */
static void
drop_lost(ins_ctx *ctx, struct engine *e)
{
	struct run *run, *next;
	unsigned i, n = 0;

	for (i = 0; i < RUNS_TABLE; i++)
		for (run = e->table[i]; run != NULL; run = next) {
			next = run->bucket_next;
			if (e->fence[run->shard] != 0 &&
			    e->fence[run->shard] == e->loaded[run->shard])
				continue;
			run_ref(run);
			run_remove(run);
			run_tell_gone(run);
			run_unref(run);
			n++;
		}
	if (n > 0)
		ins_log(ctx, INS_LOG_WARN, "runs.lost",
		    json_pack("{s:i, s:s}", "runs", (int)n, "text",
			"another owner has their shards; it finishes them"));
}

static int
round_trip(ins_ctx *ctx, struct engine *e)
{
	struct plugin *p = e->plugin;
	int64_t asked = ins_mono_us();
	struct array shards = { 0 };
	ins_rows *rows[2];
	unsigned i, owned;
	ins_arg args[5];
	ins_call calls[2];
	int r;

	for (i = e->index; i < RUNS_SHARDS; i += e->count)
		array_int(&shards, i);
	args[0] = ins_text(ins_host_id());
	args[1] = ins_text(p->boot_id);
	args[2] = array_arg(&shards);
	args[3] = ins_int(ctx, p->conf.lease);
	args[4] = ins_text(e->taken_once ? "false" : "true");
	calls[0].stmt = p->sql.lease_renew;
	calls[0].args = args;
	calls[0].n_args = 4;
	calls[1].stmt = p->sql.lease_take;
	calls[1].args = args;
	calls[1].n_args = 5;
	r = args[2].p == NULL ? -INS_ENOMEM : ins_engine_batch(ctx, NULL, 0, calls, 2, rows);
	array_free(&shards);
	if (r != 0)
		return r;
	e->taken_once = 1;
	owned = adopt(e, rows[0], rows[1]);
	e->lease_until_us = owned == 0 ? 0 : asked + p->conf.lease * 1000;
	return 0;
}

static void
make_partitions(ins_ctx *ctx, struct engine *e)
{
	if (e->index != 0 || (e->ahead_us != 0 && ins_mono_us() - e->ahead_us < AHEAD_US))
		return;
	if (ins_engine_batch(
		ctx, NULL, 0, &(const ins_call){ e->plugin->sql.ahead, NULL, 0 }, 1, NULL) == 0) {
		e->ahead_us = ins_mono_us();
		return;
	}
	/* Rows then go to the partition for the rest: slower to drop, otherwise no harm. */
	ins_log(ctx, INS_LOG_WARN, "runs.partitions_failed",
	    json_pack("{s:s}", "text", ins_last_error(ctx)));
	ins_clear_error(ctx);
}

static int
lease_task(ins_ctx *ctx, void *arg)
{
	struct engine *e = arg;
	int64_t wait = e->plugin->conf.lease / 3;
	int r = round_trip(ctx, e);

	if (r == 0) {
		drop_lost(ctx, e);
		engine_load_start(ctx, e);
		ins_cond_broadcast(e->leased);
		make_partitions(ctx, e);
		engine_kick(ctx, e);
		engine_pump(ctx, e);
	} else {
		if (!ins_cancelled(ctx))
			ins_log(ctx, INS_LOG_WARN, "runs.lease_failed",
			    json_pack("{s:s}", "text", ins_last_error(ctx)));
		ins_clear_error(ctx);
		wait = e->taken_once ? wait / 2 : 100;
	}
	ins_sleep(ctx, wait);
	while (!ins_cancelled(ctx) && !e->stopping && engine_lease_start(e) != 0)
		ins_sleep(ctx, 100);
	return 0;
}

int
engine_lease_start(struct engine *e)
{
	return ins_spawn(e->plugin->host, e->loop, "runs.lease", lease_task, e);
}
