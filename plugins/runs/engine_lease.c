/*
 * engine_lease.c: which shards this loop owns: heartbeat, renew, take, give back.
 *
 * A lease lasts `lease` (3 s) and is renewed three times in that span, all shards in one round trip
 * with the heartbeat that says that this engine is alive. The same round trip says who else is;
 * engine_share.c makes of that which shards should be ours. What should be and is free or expired
 * is taken; what is ours and should be another's is given back: its steps are no longer dispatched,
 * those under way get until RUNS_HANDOVER_MS to end and their events to be committed, then the
 * lease ends and the other takes it at once.
 *
 * Taking a shard adds one to its fence, which every commit names: an owner that slept beyond its
 * lease can dispatch nothing (engine_leased() stops half a second before the end, by the monotonic
 * clock) and commit nothing. PostgreSQL's clock alone says what has expired, so hosts' clocks may
 * jump. The first time, an engine takes what an earlier start of the same host held, at once; and
 * its heartbeat speaks for the other loops of the host too, which are about to begin, so that
 * shards do not come to one loop only to go to the next.
 *
 * Each round is a task of its own, which starts the next: a task's memory ends with it.
 */
#include <stdlib.h>

#include "array.h"
#include "engine.h"

#define MARGIN_MS 500
#define BUSY_MS 20       /* between looks at shards that are being given back */
#define UNTAKEN_MS 100   /* until a shard that should be ours is tried again */
#define SOON_MS 10       /* after another's lease should have ended */
#define REFUSED_MS 60000 /* between log lines */
#define FLUSH_MS 2000
#define RELEASE_MS 2000
#define AHEAD_US (24 * 3600 * INT64_C(1000000))
#define WAKE "ins.run.leases"

static const char sql_beat[] =
    "INSERT INTO run_hosts AS h (host_id, loop, boot_id, expires_at)"
    " SELECT $1, l, $3, clock_timestamp() + $4::bigint * interval '1 ms'"
    " FROM unnest($2::smallint[]) AS l"
    " ON CONFLICT (host_id, loop) DO UPDATE"
    " SET boot_id = excluded.boot_id, expires_at = excluded.expires_at"
    " WHERE h.boot_id = excluded.boot_id OR h.expires_at < clock_timestamp() OR $5::boolean"
    " RETURNING loop";

static const char sql_renew[] =
    "UPDATE run_shards AS s"
    " SET expires_at = clock_timestamp() + $4::bigint * interval '1 ms'"
    " FROM (SELECT shard FROM run_shards WHERE shard = ANY ($3::smallint[]) AND owner = $1"
    "  AND boot_id = $2 ORDER BY shard FOR UPDATE) AS o WHERE s.shard = o.shard"
    " RETURNING s.shard, s.fence";

static const char sql_take[] =
    "UPDATE run_shards AS s SET owner = $1, boot_id = $2, fence = s.fence + 1,"
    "  expires_at = clock_timestamp() + $4::bigint * interval '1 ms'"
    " FROM (SELECT shard, owner FROM run_shards WHERE shard = ANY ($3::smallint[])"
    "  AND (expires_at < clock_timestamp() OR ($5::boolean AND owner = $1 AND boot_id <> $2))"
    "  ORDER BY shard FOR UPDATE) AS o WHERE s.shard = o.shard"
    " RETURNING s.shard, s.fence, o.owner";

static const char sql_units[] =
    "SELECT host_id, loop,"
    " ceil(extract(epoch FROM expires_at - clock_timestamp()) * 1000)::bigint"
    " FROM run_hosts WHERE expires_at > clock_timestamp() ORDER BY host_id, loop LIMIT 1024";

static const char sql_release[] =
    "UPDATE run_shards AS s SET owner = '', boot_id = '', expires_at = '-infinity'"
    " FROM unnest($3::smallint[], $4::bigint[]) AS g (shard, fence)"
    " WHERE s.shard = g.shard AND s.fence = g.fence AND s.owner = $1 AND s.boot_id = $2";

static const char sql_leave[] =
    "DELETE FROM run_hosts WHERE host_id = $1 AND loop = $2::smallint AND boot_id = $3";

static const char sql_forget[] =
    "DELETE FROM run_hosts WHERE expires_at < clock_timestamp() - interval '1 day'";

void
engine_lease_init(struct plugin *p)
{
	p->sql.host_beat = ins_stmt_new(p->host, sql_beat);
	p->sql.lease_renew = ins_stmt_new(p->host, sql_renew);
	p->sql.lease_take = ins_stmt_new(p->host, sql_take);
	p->sql.host_units = ins_stmt_new(p->host, sql_units);
	p->sql.lease_release = ins_stmt_new(p->host, sql_release);
	p->sql.host_leave = ins_stmt_new(p->host, sql_leave);
	p->sql.host_forget = ins_stmt_new(p->host, sql_forget);
	p->sql.ahead = ins_stmt_new(p->host, "SELECT run_events_ahead()");
	p->metric.shards = ins_gauge(
	    p->host, "run_shards_owned", "Shards whose runs this host executes.");
	p->metric.hosts = ins_gauge(
	    p->host, "run_hosts_known", "Hosts that execute runs, by their heartbeats.");
	p->metric.takeovers = ins_counter(p->host, "run_takeovers_total",
	    "Shards taken over from a host whose lease had run out.", NULL);
	p->metric.lost = ins_counter(p->host, "run_fences_lost_total",
	    "Shards that another host had taken when this one renewed its leases.", NULL);
}

int
engine_leased(const struct engine *e)
{
	return ins_mono_us() < e->lease_until_us - MARGIN_MS * 1000;
}

int
engine_shard_leaving(const struct engine *e, int shard)
{
	return e->leaving_us[shard] != 0;
}

int
engine_pick_shard(struct engine *e)
{
	unsigned i, at;

	if (e->stopping || !engine_leased(e))
		return -1;
	e->turn++;
	/* The same one for a while: a batch touches few shards. */
	if (e->turn % RUNS_SHARD_TURN == 0)
		e->turn_at++;
	for (i = 0; i < RUNS_SHARDS; i++) {
		at = (e->turn_at + i) % RUNS_SHARDS;
		if (e->fence[at] != 0 && e->leaving_us[at] == 0) {
			e->turn_at = at;
			return (int)at;
		}
	}
	return -1;
}

/* Lets go of runs in memory whose shard is marked. Returns how many. */
static unsigned
drop_runs(struct engine *e, const uint8_t gone[RUNS_SHARDS])
{
	struct run *run, *next;
	unsigned i, n = 0;

	for (i = 0; i < RUNS_TABLE; i++)
		for (run = e->table[i]; run != NULL; run = next) {
			next = run->bucket_next;
			if (!gone[run->shard])
				continue;
			run_ref(run);
			run_remove(run);
			run_tell_gone(run);
			run_unref(run);
			n++;
		}
	return n;
}

/* Runs in shards that are no longer ours, or were ours under another fence. */
static void
drop_lost(ins_ctx *ctx, struct engine *e)
{
	uint8_t gone[RUNS_SHARDS];
	unsigned i, n;

	for (i = 0; i < RUNS_SHARDS; i++)
		gone[i] = e->fence[i] == 0 || e->fence[i] != e->loaded[i];
	n = drop_runs(e, gone);
	if (n > 0)
		ins_log(ctx, INS_LOG_WARN, "runs.lost",
		    json_pack("{s:i, s:s}", "runs", (int)n, "text",
			"another owner has their shards; it finishes them"));
}

/* ---- who should own what ---- */

static void
set_targets(ins_ctx *ctx, struct engine *e)
{
	uint16_t owner[RUNS_SHARDS];
	unsigned i, me, hosts = share_hosts(e->units, e->n_units);

	for (me = 0; me < e->n_units; me++)
		if (e->units[me].loop == (int)e->index &&
		    strcmp(e->units[me].host, ins_host_id()) == 0)
			break;
	memset(owner, 0xff, sizeof owner);
	if (e->n_units > 0)
		share_assign(e->units, e->n_units, owner);
	for (i = 0; i < RUNS_SHARDS; i++)
		e->target[i] = me < e->n_units && owner[i] == me;
	if (e->index != 0)
		return;
	ins_add(e->plugin->metric.hosts, NULL, (double)hosts - e->n_hosts);
	e->n_hosts = hosts;
	ins_log(ctx, INS_LOG_INFO, "runs.hosts",
	    json_pack("{s:i, s:i}", "hosts", (int)hosts, "loops", (int)e->n_units));
}

/* What the rows say of who is alive. Returns 1 when that changed. *ret_ms: until the first of the
 * others may be gone. */
static int
read_units(ins_ctx *ctx, struct engine *e, const ins_rows *rows, int64_t *ret_ms)
{
	unsigned i, n = (unsigned)ins_rows_count(rows);
	struct share_unit *units;

	*ret_ms = INT64_MAX;
	if (n > SHARE_UNITS_MAX || (units = calloc(n + 1, sizeof *units)) == NULL)
		return 0;
	for (i = 0; i < n; i++) {
		int64_t left = ins_value_int(rows, i, 2);

		snprintf(units[i].host, sizeof units[i].host, "%s", ins_value(rows, i, 0));
		units[i].loop = (int)ins_value_int(rows, i, 1);
		if (left < *ret_ms && strcmp(units[i].host, ins_host_id()) != 0)
			*ret_ms = left;
	}
	if (share_same(units, n, e->units, e->n_units)) {
		free(units);
		return 0;
	}
	free(e->units);
	e->units = units;
	e->n_units = n;
	set_targets(ctx, e);
	return 1;
}

/* ---- the round trip ---- */

/* Marks what the database says we own; the rest is lost. */
static void
adopt(ins_ctx *ctx, struct engine *e, const ins_rows *renewed, const ins_rows *taken)
{
	int64_t fence[RUNS_SHARDS] = { 0 };
	const ins_rows *rows[2] = { renewed, taken };
	unsigned i, lost = 0, over = 0, owned = 0;
	const char *from = NULL;
	size_t k;

	for (i = 0; i < 2; i++)
		for (k = 0; rows[i] != NULL && k < ins_rows_count(rows[i]); k++) {
			int64_t shard = ins_value_int(rows[i], k, 0);

			if (shard < 0 || shard >= RUNS_SHARDS)
				continue;
			fence[shard] = ins_value_int(rows[i], k, 1);
			owned++;
			if (i == 1 && *ins_value(rows[i], k, 2) != '\0' &&
			    strcmp(ins_value(rows[i], k, 2), ins_host_id()) != 0) {
				from = ins_value(rows[i], k, 2);
				over++;
			}
		}
	for (i = 0; i < RUNS_SHARDS; i++) {
		lost += e->fence[i] != 0 && fence[i] != e->fence[i];
		if (fence[i] == 0)
			e->leaving_us[i] = 0;
	}
	if (over > 0)
		ins_log(ctx, INS_LOG_WARN, "runs.taken_over",
		    json_pack("{s:i, s:s}", "shards", (int)over, "from", from));
	ins_add(e->plugin->metric.takeovers, NULL, over);
	ins_add(e->plugin->metric.lost, NULL, lost);
	ins_add(e->plugin->metric.shards, NULL, (double)owned - e->n_owned);
	e->n_owned = owned;
	memcpy(e->fence, fence, sizeof fence);
}

/* Another process runs under this host's name, and began later: it has the shards. */
static void
refuse(ins_ctx *ctx, struct engine *e, int refused)
{
	if (refused && (!e->refused || ins_mono_us() - e->refused_us > REFUSED_MS * 1000)) {
		ins_log(ctx, INS_LOG_ERROR, "runs.same_host_id",
		    json_pack("{s:s, s:i, s:s}", "host_id", ins_host_id(), "loop", (int)e->index,
			"text",
			"another process uses this host's name and executes its runs; this one "
			"takes none: set INSULA_HOST_ID"));
		e->refused_us = ins_mono_us();
	}
	e->refused = refused;
}

struct want {
	struct array held, free, loops;
	unsigned n_held, n_free;
};

static void
list_shards(const struct engine *e, struct want *w)
{
	unsigned i;

	for (i = 0; i < e->count; i++)
		if (i == e->index || !e->taken_once)
			array_int(&w->loops, i);
	for (i = 0; i < RUNS_SHARDS; i++) {
		if (e->fence[i] != 0) {
			array_int(&w->held, i);
			w->n_held++;
		} else if (e->target[i] && !e->refused) {
			array_int(&w->free, i);
			w->n_free++;
		}
	}
}

/* *ret_ms: when to come again. */
static int
round_trip(ins_ctx *ctx, struct engine *e, int64_t *ret_ms)
{
	struct plugin *p = e->plugin;
	int64_t asked = ins_mono_us(), others;
	ins_rows *rows[4] = { NULL }, *renewed = NULL, *taken = NULL;
	const char *first = e->taken_once ? "false" : "true";
	struct want w = { 0 };
	ins_arg beat[5], held[4], want[5];
	ins_call calls[4];
	unsigned n = 0;
	int r;

	list_shards(e, &w);
	beat[0] = held[0] = want[0] = ins_text(ins_host_id());
	held[1] = want[1] = beat[2] = ins_text(p->boot_id);
	beat[1] = array_arg(&w.loops);
	beat[3] = held[3] = want[3] = ins_int(ctx, p->conf.lease);
	beat[4] = want[4] = ins_text(first);
	held[2] = array_arg(&w.held);
	want[2] = array_arg(&w.free);
	calls[n++] = (ins_call){ p->sql.host_beat, beat, 5 };
	if (w.n_held > 0)
		calls[n++] = (ins_call){ p->sql.lease_renew, held, 4 };
	if (w.n_free > 0)
		calls[n++] = (ins_call){ p->sql.lease_take, want, 5 };
	calls[n++] = (ins_call){ p->sql.host_units, NULL, 0 };
	r = beat[1].p == NULL || held[2].p == NULL || want[2].p == NULL
	    ? -INS_ENOMEM
	    : ins_engine_batch(ctx, NULL, 0, calls, n, rows);
	array_free(&w.held);
	array_free(&w.free);
	array_free(&w.loops);
	if (r != 0)
		return r;
	if (w.n_held > 0)
		renewed = rows[1];
	if (w.n_free > 0)
		taken = rows[w.n_held > 0 ? 2 : 1];
	refuse(ctx, e, ins_rows_count(rows[0]) == 0);
	adopt(ctx, e, renewed, taken);
	e->lease_until_us = e->n_owned == 0 ? 0 : asked + p->conf.lease * 1000;
	*ret_ms = p->conf.lease / 3;
	if (read_units(ctx, e, rows[n - 1], &others))
		*ret_ms = 0;
	else if (taken != NULL && ins_rows_count(taken) < w.n_free && *ret_ms > UNTAKEN_MS)
		*ret_ms = UNTAKEN_MS;
	else if (others < *ret_ms)
		*ret_ms = others < 0 ? SOON_MS : others + SOON_MS;
	/* What was not known in the first round may be taken in the second. */
	if (*ret_ms != 0)
		e->taken_once = 1;
	return 0;
}

/* ---- giving back ---- */

/* Is anything of this run under way that its end would waste? */
static int
run_busy(const struct run *run)
{
	unsigned i, under_way = 0;

	for (i = 0; i < run->fold.n_open; i++)
		under_way += run->fold.open[i].kind == OPEN_STEP &&
		    run->fold.open[i].state == STEP_DISPATCHED;
	return run->n_pending > 0 || run->queued || under_way > run->n_waiting;
}

static void
mark_leaving(struct engine *e)
{
	unsigned i;

	for (i = 0; i < RUNS_SHARDS; i++) {
		if (e->fence[i] == 0 || (e->target[i] && !e->refused))
			e->leaving_us[i] = 0;
		else if (e->leaving_us[i] == 0)
			e->leaving_us[i] = ins_mono_us();
	}
}

/* Marks the shards that may go now; how many, and in *ret_left how many have to wait. */
static unsigned
list_leaving(struct engine *e, uint8_t go[RUNS_SHARDS], unsigned *ret_left)
{
	uint8_t busy[RUNS_SHARDS] = { 0 };
	unsigned i, n = 0, leaving = 0;
	struct run *run;

	for (i = 0; i < RUNS_SHARDS; i++)
		leaving += e->leaving_us[i] != 0;
	for (i = 0; leaving > 0 && i < RUNS_TABLE; i++)
		for (run = e->table[i]; run != NULL; run = run->bucket_next)
			if (e->leaving_us[run->shard] != 0 && run_busy(run))
				busy[run->shard] = 1;
	for (i = 0; i < RUNS_SHARDS; i++) {
		go[i] = e->leaving_us[i] != 0 &&
		    (!busy[i] || ins_mono_us() - e->leaving_us[i] > RUNS_HANDOVER_MS * 1000);
		n += go[i];
	}
	*ret_left = leaving - n;
	return n;
}

/* The runs of these shards are out of memory and the leases ended; on an error they run out. */
INS_AWAITS
static int
give_back(ins_ctx *ctx, struct engine *e, const uint8_t go[RUNS_SHARDS], int leave)
{
	struct plugin *p = e->plugin;
	struct array shards = { 0 }, fences = { 0 };
	ins_arg args[4], unit[3];
	ins_call calls[2];
	unsigned i, n = 0;
	int r;

	for (i = 0; i < RUNS_SHARDS; i++)
		if (go[i] && e->fence[i] != 0) {
			array_int(&shards, i);
			array_int(&fences, e->fence[i]);
			e->fence[i] = e->loaded[i] = e->leaving_us[i] = 0;
			n++;
		}
	drop_runs(e, go);
	ins_add(p->metric.shards, NULL, -(double)n);
	e->n_owned -= n;
	args[0] = unit[0] = ins_text(ins_host_id());
	args[1] = unit[2] = ins_text(p->boot_id);
	args[2] = array_arg(&shards);
	args[3] = array_arg(&fences);
	unit[1] = ins_int(ctx, e->index);
	calls[0] = (ins_call){ p->sql.lease_release, args, 4 };
	calls[1] = (ins_call){ p->sql.host_leave, unit, 3 };
	r = args[2].p == NULL || args[3].p == NULL
	    ? -INS_ENOMEM
	    : ins_engine_batch(ctx, NULL, 0, calls, leave ? 2 : 1, NULL);
	array_free(&shards);
	array_free(&fences);
	if (r == 0) {
		ins_log(ctx, INS_LOG_INFO, "runs.given_back", json_pack("{s:i}", "shards", (int)n));
		ins_relay_publish(p->host, WAKE, ins_s(ins_host_id()));
	}
	return r;
}

/* ---- the tasks ---- */

static void
make_partitions(ins_ctx *ctx, struct engine *e)
{
	const ins_call calls[2] = { { e->plugin->sql.ahead, NULL, 0 },
		{ e->plugin->sql.host_forget, NULL, 0 } };

	if (e->index != 0 || (e->ahead_us != 0 && ins_mono_us() - e->ahead_us < AHEAD_US))
		return;
	if (ins_engine_batch(ctx, NULL, 0, calls, 2, NULL) == 0) {
		e->ahead_us = ins_mono_us();
		return;
	}
	/* Rows then go to the partition for the rest: slower to drop, otherwise no harm. */
	ins_log(ctx, INS_LOG_WARN, "runs.partitions_failed",
	    json_pack("{s:s}", "text", ins_last_error(ctx)));
	ins_clear_error(ctx);
}

static void
lease_round(ins_ctx *ctx, struct engine *e)
{
	int announce = !e->taken_once;
	int64_t wait;

	if (round_trip(ctx, e, &wait) != 0) {
		if (!ins_cancelled(ctx))
			ins_log(ctx, INS_LOG_WARN, "runs.lease_failed",
			    json_pack("{s:s}", "text", ins_last_error(ctx)));
		ins_clear_error(ctx);
		e->round_us = ins_mono_us() +
		    (e->taken_once ? e->plugin->conf.lease / 6 : UNTAKEN_MS) * 1000;
		return;
	}
	e->round_us = ins_mono_us() + wait * 1000;
	if (announce && e->taken_once) /* others may have something for us */
		ins_relay_publish(e->plugin->host, WAKE, ins_s(ins_host_id()));
	mark_leaving(e);
	fair_unhold(&e->fair);
	drop_lost(ctx, e);
	engine_load_start(ctx, e);
	ins_cond_broadcast(e->leased);
	make_partitions(ctx, e);
	engine_kick(ctx, e);
	engine_pump(ctx, e);
}

static int
lease_task(ins_ctx *ctx, void *arg)
{
	struct engine *e = arg;
	uint8_t go[RUNS_SHARDS];
	int64_t wait;
	unsigned left = 0;

	if (e->round_now || ins_mono_us() >= e->round_us) {
		e->round_now = 0;
		lease_round(ctx, e);
	}
	if (!e->stopping && list_leaving(e, go, &left) > 0 && give_back(ctx, e, go, 0) != 0)
		ins_clear_error(ctx);
	wait = (e->round_us - ins_mono_us()) / 1000;
	if (left > 0 && wait > BUSY_MS)
		wait = BUSY_MS;
	if (wait > 0 && !e->round_now && !e->stopping)
		ins_cond_wait(ctx, e->lease_wake, wait);
	while (!ins_cancelled(ctx) && !e->stopping && engine_lease_start(e) != 0)
		ins_sleep(ctx, 100);
	return 0;
}

int
engine_lease_start(struct engine *e)
{
	return ins_spawn(e->plugin->host, e->loop, "runs.lease", lease_task, e);
}

/* Somebody gave shards back, or came. */
static void
on_wake(void *arg, const char *subject, ins_str data)
{
	struct engine *e = arg;

	(void)subject;
	(void)data;
	e->round_now = 1;
	ins_cond_broadcast(e->lease_wake);
}

int
engine_lease_open(struct engine *e)
{
	e->leased = ins_cond_new(e->loop);
	e->lease_wake = ins_cond_new(e->loop);
	if (!e->plugin->conf.execute) {
		e->taken_once = 1; /* nobody need wait for shards */
		return 0;
	}
	e->lease_relay = ins_relay_open(e->plugin->host, e->loop, WAKE, on_wake, e);
	return engine_lease_start(e);
}

/* The host stops, or a new instance of this plugin took its place: in that case it has the shards
 * already, under other fences, and this finds nothing of ours. */
static int
leave_task(ins_ctx *ctx, void *arg)
{
	uint8_t all[RUNS_SHARDS];

	memset(all, 1, sizeof all);
	ins_deadline(ctx, FLUSH_MS + RELEASE_MS);
	engine_flush(ctx, arg, FLUSH_MS);
	ins_clear_error(ctx);
	if (give_back(ctx, arg, all, 1) != 0)
		ins_clear_error(ctx); /* they run out */
	return 0;
}

void
engine_lease_drain(struct engine *e)
{
	ins_relay_close(e->lease_relay);
	e->lease_relay = NULL;
	ins_cond_broadcast(e->leased);
	ins_cond_broadcast(e->lease_wake);
	if (e->plugin->conf.execute)
		ins_spawn(e->plugin->host, e->loop, "runs.leave", leave_task, e);
}

void
engine_lease_close(struct engine *e)
{
	ins_relay_close(e->lease_relay);
	ins_cond_free(e->leased);
	ins_cond_free(e->lease_wake);
	ins_add(e->plugin->metric.shards, NULL, -(double)e->n_owned);
	ins_add(e->plugin->metric.hosts, NULL, -(double)e->n_hosts);
	free(e->units);
}
