/*
 * runs: the run engine as a plugin: descriptor, options, start and stop. engine.h says how it is
 * built, README.md what it does.
 */
#include <stdlib.h>

#include "engine.h"

static const char schema_text[] =
#include "plugins/runs/runs.inc"
    ;
static const char threads_text[] =
#include "plugins/runs/runs_threads.inc"
    ;
static const char pending_text[] =
#include "plugins/runs/runs_pending.inc"
    ;
static const char hosts_text[] =
#include "plugins/runs/runs_hosts.inc"
    ;

static int
check_options(ins_host *host, const struct conf *conf)
{
	if (conf->lease < 1500 || conf->lease > 60000)
		return ins_conf_error(host, "lease", "must be between 1500ms and 60s");
	if (conf->live < 1)
		return ins_conf_error(host, "live", "must be at least 1");
	if (conf->pending < 1)
		return ins_conf_error(host, "pending", "must be at least 1");
	if (conf->steps_running < 1)
		return ins_conf_error(host, "steps_running", "must be at least 1");
	if (conf->limits != NULL && !json_is_object(conf->limits))
		return ins_conf_error(host, "limits", "must map names of workflows to limits");
	return 0;
}

static int
check_limits(ins_host *host, const json_t *limits)
{
	static const char *const known[] = { "steps", "visits", "time_ms", "tokens", "cost_nanos" };
	const char *workflow, *key;
	json_t *of, *v;
	char path[200];
	size_t i;

	json_object_foreach((json_t *)limits, workflow, of) json_object_foreach(of, key, v)
	{
		for (i = 0; i < sizeof known / sizeof *known; i++)
			if (strcmp(key, known[i]) == 0)
				break;
		snprintf(path, sizeof path, "limits.%s.%s", workflow, key);
		if (i == sizeof known / sizeof *known)
			return ins_conf_error(host, path,
			    "no such limit: steps, visits, time_ms, tokens or cost_nanos");
		if (!json_is_integer(v) || json_integer_value(v) < 0)
			return ins_conf_error(host, path, "must be a whole number, 0 for no limit");
	}
	return 0;
}

static int
init(ins_host *host, const void *conf, void **ret_self)
{
	struct plugin *p = ins_new(host, sizeof *p);
	char nonce[37];
	int r;

	p->host = host;
	p->conf = *(const struct conf *)conf;
	if ((r = check_options(host, &p->conf)) != 0 ||
	    (r = check_limits(host, p->conf.limits)) != 0 || (r = plan_shares_init(p)) != 0 ||
	    (r = failpoint_init(p)) != 0)
		return r;
	/* Two generations of this plugin in one process are two owners. */
	ins_uuid7(nonce);
	snprintf(p->boot_id, sizeof p->boot_id, "%.40s/%s", ins_boot_id(), nonce);
	p->metric.ready = ins_gauge(
	    host, "queue_depth", "Steps of runs that are ready and wait for room.");
	p->metric.ended = ins_counter(host, "runs_total", "Runs that ended, by status.", "status");
	p->metric.duration = ins_histogram(
	    host, "run_duration_seconds", "From RunStarted to RunEnded, by the run's own log.");
	p->metric.refused = ins_counter(host, "run_pending_refused_total",
	    "Starts that were refused because too many runs of the tenant wait to begin.", NULL);
	p->metric.commits = ins_counter(
	    host, "run_commits_total", "Commit batches of the run engine.", NULL);
	p->metric.events = ins_counter(
	    host, "run_events_total", "Events recorded by the run engine.", NULL);
	p->metric.retries = ins_counter(
	    host, "run_step_retries_total", "Attempts of steps after the first.", NULL);
	engine_batch_init(p);
	engine_lease_init(p);
	engine_load_init(p);
	engine_ready_init(p);
	engine_inbox_init(p);
	engine_send_init(p);
	engine_told_init(p);
	engine_start_init(p);
	engine_state_init(p);
	engine_watch_init(p);
	p->vtable.size = sizeof p->vtable;
	p->vtable.self = p;
	p->vtable.workflows = runs_workflows;
	p->vtable.describe = runs_describe;
	p->vtable.start = runs_start;
	p->vtable.watch = runs_watch;
	p->vtable.next = runs_next;
	p->vtable.send = runs_send;
	p->vtable.state = runs_state;
	p->vtable.history = runs_history;
	*ret_self = p;
	if ((r = runs_http_init(p)) != 0)
		return r;
	return ins_provide(host, INS_RUNS_IFACE, "runs", &p->vtable);
}

static int
start(void *self, ins_loop *loop, void **ret_local)
{
	struct plugin *p = self;
	struct engine *e = calloc(1, sizeof *e);
	int r;

	if (e == NULL)
		return -INS_ENOMEM;
	e->plugin = p;
	e->loop = loop;
	e->index = ins_loop_index(loop);
	e->count = ins_loop_count(p->host);
	e->batch_max = RUNS_BATCH_RUNS;
	e->queue_tail = &e->queue;
	ready_init(e);
	e->due = ins_cond_new(loop);
	e->arrived = ins_cond_new(loop);
	*ret_local = e;
	if ((r = engine_lease_open(e)) != 0 || (r = engine_timer_start(e)) != 0)
		return r;
	if ((r = engine_relays_open(e)) != 0)
		return r;
	return engine_pulse_start(e);
}

/* No dispatch, no renewal and no new event from here on: what is recorded is committed, then the
 * next generation, or the next start of the host, takes the shards and goes on from the log. Those
 * who watch follow the log. */
static void
drain(void *self, ins_loop *loop, void *local)
{
	struct plugin *p = self;
	struct engine *e = local;
	struct run *run, *next;
	unsigned i;

	(void)loop;
	e->stopping = 1;
	for (i = 0; i < RUNS_TABLE; i++)
		for (run = e->table[i]; run != NULL; run = next) {
			next = run->bucket_next;
			/* what is recorded and not committed yet is, by engine_lease_drain() */
			if (run->n_pending > 0 && run->committed > 0 && p->conf.execute)
				continue;
			run_ref(run);
			run_remove(run);
			run_tell_gone(run);
			run_unref(run);
		}
	ins_cond_broadcast(e->due);
	ins_cond_broadcast(e->arrived);
	engine_lease_drain(e);
}

static void
stop(void *self, ins_loop *loop, void *local)
{
	struct engine *e = local;

	(void)self;
	(void)loop;
	engine_clear(e);
	ins_relay_close(e->wakes);
	ins_relay_close(e->wanted);
	ins_cond_free(e->due);
	ins_cond_free(e->arrived);
	engine_lease_close(e);
	fair_fini(&e->fair);
	free(e);
}

static const ins_option options[] = {
	INS_OPT_MS(struct conf, lease, "3s", "how long a shard is held without a renewal"),
	INS_OPT_BOOL(struct conf, execute, "true",
	    "executes runs; false: accepts and watches them, and leaves the work to other hosts"),
	INS_OPT_INT(struct conf, live, "2048", "most runs under way on one loop"),
	INS_OPT_INT(struct conf, pending, "10000",
	    "most runs of one tenant that wait to begin; past it 429"),
	INS_OPT_INT(struct conf, steps_running, "256", "most steps that run at once on one loop"),
	INS_OPT_INT(struct conf, steps, "1000", "most steps of a run"),
	INS_OPT_INT(struct conf, visits, "100", "most times that a run comes to the same step"),
	INS_OPT_MS(struct conf, time, "24h", "longest time from a run's start to its end"),
	INS_OPT_INT(struct conf, tokens, "200000", "most tokens that a run's models may use"),
	INS_OPT_INT(struct conf, cost_nanos, "1000000000",
	    "most money that a run may cost, in billionths of a dollar"),
	INS_OPT_JSON(struct conf, plans,
	    "shares of the tenants of single plans: {PLAN: {weight, in_flight}}; in_flight: most "
	    "steps of one tenant at once on one loop, 0 = no limit"),
	INS_OPT_JSON(struct conf, limits,
	    "limits of single workflows: {NAME: {steps, visits, time_ms, tokens, cost_nanos}}"),
	INS_OPT_STR(struct conf, failpoint, "",
	    "for tests of crashes: NAME:COUNT, where the host ends without a word"),
	INS_OPT_END(struct conf),
};

static const ins_need needs[] = {
	{ INS_WORKFLOW_IFACE, INS_MANY | INS_OPTIONAL },
	{ NULL, 0 },
};

static const char *const schema[] = { "0001_runs", schema_text, "0002_threads", threads_text,
	"0003_hosts", hosts_text, "0004_pending", pending_text, NULL };

INS_PLUGIN(.name = "runs", .version = "1.0.0",
    .summary = "durable runs of workflows, their log in PostgreSQL",
    .caps = INS_CAP_HTTP | INS_CAP_DB | INS_CAP_ENGINE, .options = options, .needs = needs,
    .schema = schema, .init = init, .start = start, .drain = drain, .stop = stop);
