/*
 * engine_watch.c: starting a run and watching it.
 *
 * A watcher is the task of a request that streams or waits. It has a queue of its own, so that one
 * slow reader costs the others nothing; the step that fills it waits when it is full, and after 30
 * s of that the watcher is dropped and the run goes on. A run that left this loop (its shard was
 * taken over, its log moved) is followed by reading its log; pieces of streams are lost then,
 * recorded events never.
 */
#include <stdlib.h>

#include "engine.h"

#define LEASE_WAIT_MS 5000
#define START_WAIT_MS 10000
#define POLL_MIN_MS 50
#define POLL_MAX_MS 1000
#define RETRY_AFTER_S 2

static const char sql_follow[] =
    "SELECT seq, type, step_id, attempt, node, (extract(epoch FROM ts) * 1000000)::bigint, data"
    " FROM run_events WHERE run_id = $1::uuid AND seq >= $2::integer ORDER BY seq LIMIT 16";

struct item {
	struct item *next;
	json_t *j;
	size_t bytes;
};

struct ins_watch {
	struct ins_watch *next; /* of the run */
	struct run *run;
	struct item *head, **tail;
	size_t bytes;
	int64_t told; /* the seq of the next recorded event */
	int64_t poll_ms;
	int32_t cut_step; /* the open step whose stream it has some of; -1 = none */
	int over;         /* RunEnded was queued */
	int following;    /* reads the log */
	int error;
	const char *why;
};

void
engine_watch_init(struct plugin *p)
{
	p->sql.follow = ins_stmt_new(p->host, sql_follow);
}

static void
watch_attach(ins_watch *w, struct run *run)
{
	run_ref(run);
	w->run = run;
	w->next = run->watches;
	run->watches = w;
}

static void
watch_detach(ins_watch *w)
{
	ins_watch **at = &w->run->watches;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	ins_cond_broadcast(w->run->cond); /* a step may wait for room in its queue */
	run_unref(w->run);
}

static void
watch_end(void *arg)
{
	ins_watch *w = arg;
	struct item *it;

	watch_detach(w);
	while ((it = w->head) != NULL) {
		w->head = it->next;
		json_decref(it->j);
		free(it);
	}
	free(w);
}

static ins_watch *
watch_new(ins_ctx *ctx, struct run *run)
{
	ins_watch *w = calloc(1, sizeof *w);

	if (w == NULL)
		return NULL;
	w->tail = &w->head;
	w->cut_step = -1;
	watch_attach(w, run);
	if (ins_cleanup(ctx, watch_end, w) != 0) {
		watch_end(w);
		return NULL;
	}
	return w;
}

static void
watch_fail(ins_watch *w, int code, const char *why)
{
	if (w->error != 0)
		return;
	w->error = code;
	w->why = why;
}

/* Shares j. */
static void
watch_push(ins_watch *w, json_t *j, size_t bytes)
{
	struct item *it;

	if (w->error != 0)
		return;
	it = malloc(sizeof *it);
	if (it == NULL || w->bytes > 2 * RUNS_WATCH_BYTES) {
		free(it);
		watch_fail(w, INS_ELIMIT, "the reader of this run is too slow");
		return;
	}
	it->next = NULL;
	it->j = json_incref(j);
	it->bytes = bytes + 64;
	*w->tail = it;
	w->tail = &it->next;
	w->bytes += it->bytes;
}

static void
watch_event(ins_watch *w, const struct run_event *ev, json_t *j)
{
	if (w->following || ev->seq != w->told)
		return;
	watch_push(w, j, ev->bytes + 100);
	w->told = ev->seq + 1;
	if (ev->type == EV_RUN_ENDED)
		w->over = 1;
	if (ev->step_id == w->cut_step && ev->type != EV_STEP_SCHEDULED)
		w->cut_step = -1;
}

void
run_tell(struct run *run, const struct run_event *ev)
{
	ins_watch *w;
	json_t *j;

	if (run->watches == NULL)
		return;
	j = run_event_json(ev);
	for (w = run->watches; w != NULL; w = w->next)
		watch_event(w, ev, j);
	json_decref(j);
}

/* Waits until every watcher has room, or gave up. */
static int
wait_room(ins_ctx *ctx, struct run *run)
{
	int64_t until = ins_mono_us() + RUNS_WATCH_STALL_MS * INT64_C(1000), now;
	ins_watch *w, *full;
	int r;

	for (;;) {
		now = ins_mono_us();
		full = NULL;
		for (w = run->watches; w != NULL; w = w->next) {
			if (w->error != 0 || w->bytes < RUNS_WATCH_BYTES)
				continue;
			full = w;
			if (now >= until)
				watch_fail(w, INS_ELIMIT, "the reader of this run is too slow");
		}
		if (full == NULL || now >= until)
			return 0;
		r = ins_cond_wait(ctx, run->cond, (until - now) / 1000 + 1);
		if (r == -INS_ECANCELED)
			return r;
		if (run->state == RUN_GONE || run->fold.ended)
			return -INS_ECANCELED;
	}
}

int
run_tell_delta(ins_ctx *ctx, struct job *job, const json_t *delta)
{
	struct run *run = job->run;
	ins_watch *w;
	size_t bytes;
	json_t *j;
	int r;

	if (run->watches == NULL)
		return 0;
	if ((r = wait_room(ctx, run)) != 0)
		return r;
	j = json_pack("{s:s, s:I, s:i, s:s, s:i, s:o}", "type", "delta", "seq",
	    (json_int_t)run->committed - 1, "step", (int)job->step_id, "name", job->name, "attempt",
	    (int)job->attempt, "delta", json_deep_copy(delta));
	if (j == NULL)
		return -INS_ENOMEM;
	bytes = json_dumpb(j, NULL, 0, JSON_COMPACT);
	for (w = run->watches; w != NULL; w = w->next) {
		if (w->following)
			continue;
		watch_push(w, j, bytes);
		w->cut_step = job->step_id;
		job->streamed = 1;
	}
	json_decref(j);
	ins_cond_broadcast(run->cond);
	return 0;
}

void
run_tell_cut(struct run *run, int32_t step_id)
{
	ins_watch *w;

	for (w = run->watches; w != NULL; w = w->next)
		if (w->cut_step == step_id)
			watch_fail(w, INS_EUPSTREAM,
			    "the answer was cut off; the run may still finish: ask for it by its "
			    "id");
	ins_cond_broadcast(run->cond);
}

void
run_tell_gone(struct run *run)
{
	ins_watch *w;

	for (w = run->watches; w != NULL; w = w->next) {
		w->following = !w->over;
		w->poll_ms = POLL_MIN_MS;
		if (w->cut_step >= 0)
			watch_fail(w, INS_EUNAVAILABLE,
			    "the answer was cut off; the run goes on: ask for it by its id");
	}
	ins_cond_broadcast(run->cond);
}

/* Reads on in the log, or goes back to a run that this loop holds again. */
static int
follow(ins_ctx *ctx, ins_watch *w)
{
	struct plugin *p = w->run->engine->plugin;
	struct run *back = run_find(w->run->engine, w->run->run_id);
	ins_rows *rows;
	size_t i;
	int r;

	if (back != NULL && back != w->run && back->committed == w->told) {
		watch_detach(w);
		watch_attach(w, back);
		w->following = 0;
		return 0;
	}
	r = ins_db(
	    ctx, p->sql.follow, INS_ARGS(ins_text(w->run->run_id), ins_int(ctx, w->told)), &rows);
	if (r != 0)
		return r;
	for (i = 0; i < ins_rows_count(rows); i++) {
		struct run_event *ev = run_event_parse(rows, i, 0);
		json_t *j;

		if (ev == NULL) {
			ins_rows_end(rows);
			return ins_fail(ctx, INS_ENOMEM, "out of memory");
		}
		j = run_event_json(ev);
		w->following = 0;
		watch_event(w, ev, j);
		w->following = 1;
		json_decref(j);
		run_event_free(ev);
	}
	ins_rows_end(rows); /* a long wait reads many times */
	if (i > 0) {
		w->poll_ms = POLL_MIN_MS;
		return 0;
	}
	r = ins_sleep(ctx, w->poll_ms);
	w->poll_ms = w->poll_ms * 2 > POLL_MAX_MS ? POLL_MAX_MS : w->poll_ms * 2;
	return r;
}

int
runs_next(ins_ctx *ctx, void *self, ins_watch *w, json_t **ret_event)
{
	struct item *it;
	int r;

	(void)self;
	*ret_event = NULL;
	for (;;) {
		if ((it = w->head) != NULL) {
			w->head = it->next;
			if (w->head == NULL)
				w->tail = &w->head;
			if (w->bytes >= RUNS_WATCH_BYTES)
				ins_cond_broadcast(w->run->cond);
			w->bytes -= it->bytes;
			*ret_event = it->j;
			free(it);
			return 1;
		}
		if (w->error != 0)
			return ins_fail(ctx, w->error, "%s", w->why);
		if (w->over)
			return 0;
		r = w->following ? follow(ctx, w) : ins_cond_wait(ctx, w->run->cond, -1);
		if (r != 0)
			return r;
	}
}

int
runs_workflows(ins_ctx *ctx, void *self, json_t **ret)
{
	struct plugin *p = self;
	const ins_workflow *wf;
	uint32_t i;

	*ret = json_array();
	for (i = 0; (wf = ins_service(ctx, p->host, NEED_WORKFLOW, i, NULL)) != NULL; i++)
		json_array_append_new(
		    *ret, json_pack("{s:s, s:s}", "name", wf->name, "version", wf->version));
	return 0;
}

static int
unavailable(ins_ctx *ctx, const char *text)
{
	ins_fail(ctx, INS_EUNAVAILABLE, "%s", text);
	ins_retry_after(ctx, RETRY_AFTER_S);
	return -INS_EUNAVAILABLE;
}

/* A shard to begin a run in: right after a start the lease may be a moment away. */
static int
wait_shard(ins_ctx *ctx, struct engine *e, int *ret_shard)
{
	int64_t until = ins_mono_us() + LEASE_WAIT_MS * 1000;

	while ((*ret_shard = engine_pick_shard(e)) < 0) {
		int64_t left = (until - ins_mono_us()) / 1000;

		if (left <= 0 || e->stopping)
			return unavailable(ctx,
			    "no run can be begun now: the database is away, or "
			    "other hosts hold all shards");
		if (ins_cond_wait(ctx, e->leased, left) == -INS_ECANCELED)
			return -INS_ECANCELED;
	}
	return 0;
}

static void
limits_for(const struct plugin *p, const char *workflow, struct fold_limits *ret)
{
	ret->steps = p->conf.steps;
	ret->visits = p->conf.visits;
	ret->time_ms = p->conf.time;
	ret->tokens = p->conf.tokens;
	ret->cost_nanos = p->conf.cost_nanos;
	fold_limits_parse(ret, json_object_get(p->conf.limits, workflow));
}

static struct run *
make_run(ins_ctx *ctx, struct engine *e, const ins_workflow *wf, int shard)
{
	struct fold_limits limits;
	char id[37];
	struct run *run;

	ins_uuid7(id);
	run = run_new(e, id);
	if (run == NULL)
		return NULL;
	run->shard = shard;
	snprintf(run->tenant_id, sizeof run->tenant_id, "%s", ins_tenant_id(ctx));
	snprintf(run->user_id, sizeof run->user_id, "%s", ins_user_id(ctx));
	snprintf(run->plan, sizeof run->plan, "%s", ins_plan(ctx));
	snprintf(run->workflow, sizeof run->workflow, "%s", wf->name);
	snprintf(run->version, sizeof run->version, "%s", wf->version);
	limits_for(e->plugin, wf->name, &limits);
	fold_init(&run->fold, &limits);
	return run;
}

/* Until RunStarted is committed. */
static int
wait_started(ins_ctx *ctx, struct run *run)
{
	int64_t until = ins_mono_us() + START_WAIT_MS * INT64_C(1000);

	while (run->committed == 0) {
		int64_t left = (until - ins_mono_us()) / 1000;
		int r;

		if (run->start_error == -INS_EINVAL)
			return ins_fail(ctx, INS_EINVAL,
			    "the run could not be recorded: its input holds what the database "
			    "refuses");
		if (run->start_error != 0 || left <= 0 || run->state == RUN_GONE) {
			run->abandoned = 1;
			return unavailable(ctx, "the run could not be recorded now");
		}
		r = ins_cond_wait(ctx, run->cond, left);
		if (r == -INS_ECANCELED)
			return r;
	}
	return 0;
}

int
runs_start(ins_ctx *ctx, void *self, const ins_run_request *req, const char **ret_run_id,
    ins_watch **ret_watch)
{
	struct plugin *p = self;
	struct engine *e = ins_local(ctx, p->host);
	const ins_workflow *wf = run_workflow(ctx, p, req->workflow, NULL);
	const json_t *input = req->input;
	ins_watch *watch;
	struct run *run;
	int r, shard;

	if (wf == NULL)
		return ins_fail(ctx, INS_EMODEL, "there is no workflow %.100s", req->workflow);
	if (json_dumpb(input, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY) > RUNS_INPUT_MAX)
		return ins_fail(ctx, INS_ETOOBIG, "the input of a run may have %u bytes at most",
		    RUNS_INPUT_MAX);
	if (e->n_live >= (unsigned)p->conf.live)
		return ins_fail(
		    ctx, INS_ELIMIT, "this host has %u runs under way; try again later", e->n_live);
	if ((r = wait_shard(ctx, e, &shard)) != 0)
		return r;
	run = make_run(ctx, e, wf, shard);
	if (run == NULL || (watch = watch_new(ctx, run)) == NULL) {
		if (run != NULL)
			run_unref(run);
		return ins_fail(ctx, INS_ENOMEM, "out of memory");
	}
	if (ret_watch != NULL)
		*ret_watch = watch;
	*ret_run_id = ins_strndup(ctx, run->run_id, 36);
	run_insert(run);
	r = *ret_run_id == NULL
	    ? -INS_ENOMEM
	    : run_record(ctx, run,
		  run_event_new(EV_RUN_STARTED, -1, 0, NULL, json_pack("{s:O}", "input", input)));
	if (r == 0)
		r = wait_started(ctx, run);
	else
		run_remove(run);
	run_unref(run);
	return r == 0 ? 1 : r;
}
