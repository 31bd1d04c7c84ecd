/*
 * engine_watch.c: watching runs.
 *
 * A watcher is the task of a request that streams or waits. It has a queue of its own, so that one
 * slow reader costs the others nothing; the step that fills it waits when it is full, and after 30
 * s of that the watcher is dropped and the run goes on. A run that left this loop (its shard was
 * taken over, its log moved) is followed by reading its log; pieces of streams are lost then,
 * recorded events never.
 */
#include <stdlib.h>

#include "engine.h"

#define POLL_MIN_MS 50
#define POLL_MAX_MS 1000

static const char sql_follow[] =
    "SELECT seq, type, step_id, attempt, node, (extract(epoch FROM ts) * 1000000)::bigint, data"
    " FROM run_events WHERE run_id = $1::uuid AND seq >= $2::integer ORDER BY seq LIMIT 16";

static const char sql_follow_run[] =
    "SELECT status, workflow, version FROM agent_runs WHERE run_id = $1::uuid";

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
	int idle;         /* the last event that it was told is Interrupted */
	uint32_t flags;
	ins_relay *relay; /* while it follows */
	int folded;       /* the fold stands at the last event that was taken */
	struct fold fold;
	int error;
	const char *why;
};

void
engine_watch_init(struct plugin *p)
{
	p->sql.follow = ins_stmt_new(p->host, sql_follow);
	p->sql.follow_run = ins_stmt_new(p->host, sql_follow_run);
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
	run_rest(NULL, w->run);
	run_unref(w->run);
}

static void
watch_end(void *arg)
{
	ins_watch *w = arg;
	struct item *it;

	ins_relay_close(w->relay);
	watch_detach(w);
	while ((it = w->head) != NULL) {
		w->head = it->next;
		json_decref(it->j);
		free(it);
	}
	fold_fini(&w->fold);
	free(w);
}

ins_watch *
watch_new(ins_ctx *ctx, struct run *run, uint32_t flags)
{
	ins_watch *w = calloc(1, sizeof *w);

	if (w == NULL)
		return NULL;
	w->tail = &w->head;
	w->cut_step = -1;
	w->flags = flags;
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
	w->idle = ev->type == EV_INTERRUPTED;
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

	if (run->watches == NULL && !run->relayed)
		return;
	j = run_event_json(ev);
	if (run->relayed)
		relay_json(run->engine, run->run_id, j);
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

	if (run->watches == NULL && !run->relayed)
		return 0;
	if ((r = wait_room(ctx, run)) != 0)
		return r;
	j = json_pack("{s:s, s:I, s:i, s:s, s:i, s:o}", "type", "delta", "seq",
	    (json_int_t)run->committed - 1, "step", (int)job->step_id, "name", job->name, "attempt",
	    (int)job->attempt, "delta", json_deep_copy(delta));
	if (j == NULL)
		return -INS_ENOMEM;
	bytes = json_dumpb(j, NULL, 0, JSON_COMPACT);
	if (run->relayed) {
		relay_json(run->engine, run->run_id, j);
		job->streamed = 1;
	}
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

static void
watch_cut(ins_watch *w, json_t *j)
{
	w->cut_step = -1;
	if ((w->flags & INS_WATCH_STATE) != 0)
		watch_push(w, j, 100);
	else
		watch_fail(w, INS_EUPSTREAM,
		    "the answer was cut off; the run may still finish: ask for it by its id");
}

void
run_tell_cut(struct run *run, int32_t step_id, const char *name)
{
	ins_watch *w;
	json_t *j = json_pack("{s:s, s:i, s:s}", "type", "cut", "step", (int)step_id, "name", name);

	if (run->relayed)
		relay_json(run->engine, run->run_id, j);
	for (w = run->watches; w != NULL; w = w->next)
		if (w->cut_step == step_id)
			watch_cut(w, j);
	json_decref(j);
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

/* j again as the event that it shows. Its data's members are among j's own. */
static struct run_event *
event_of(json_t *j)
{
	struct run_event *ev = run_event_new(
	    event_type_parse(json_string_value(json_object_get(j, "type"))),
	    json_object_get(j, "step") == NULL
		? -1
		: (int32_t)json_integer_value(json_object_get(j, "step")),
	    (int32_t)json_integer_value(json_object_get(j, "attempt")),
	    json_string_value(json_object_get(j, "name")), json_incref(j));

	if (ev != NULL) {
		ev->seq = json_integer_value(json_object_get(j, "seq"));
		ev->ts_us = fold_time_parse(json_string_value(json_object_get(j, "ts")));
	}
	return ev;
}

/* An event whose seq is not the next one is found in the log. */
void
watch_relayed(ins_watch *w, json_t *j)
{
	const char *type = json_string_value(json_object_get(j, "type"));
	struct run_event *ev;

	if (!w->following || type == NULL)
		return;
	if (strcmp(type, "delta") == 0) {
		watch_push(w, j, json_dumpb(j, NULL, 0, JSON_COMPACT));
		w->cut_step = (int32_t)json_integer_value(json_object_get(j, "step"));
	} else if (strcmp(type, "cut") == 0) {
		if (w->cut_step == (int32_t)json_integer_value(json_object_get(j, "step")))
			watch_cut(w, j);
	} else if ((ev = event_of(j)) != NULL) {
		w->following = 0;
		watch_event(w, ev, j);
		w->following = 1;
		w->poll_ms = POLL_MIN_MS;
		run_event_free(ev);
	}
	ins_cond_broadcast(w->run->engine->arrived);
}

/* What is left to say of a run whose log has no more: is it over? */
static int
follow_end(ins_ctx *ctx, ins_watch *w, const char *status)
{
	json_t *end;

	if (status == NULL)
		return ins_fail(ctx, INS_ENOTFOUND, "the run was deleted");
	if (strcmp(status, "interrupted") == 0) {
		w->over = w->idle;
	} else if (strcmp(status, "pending") != 0 && strcmp(status, "running") != 0) {
		w->over = 1;
		if (w->told > 0)
			return 0; /* its watcher asked for what comes after the end */
		/* it was cancelled before it began, and has no log */
		end = json_pack("{s:i, s:s, s:s}", "seq", 0, "type", "RunEnded", "status", status);
		watch_push(w, end, 100);
		json_decref(end);
	}
	return 0;
}

static int
follow_rows(ins_ctx *ctx, ins_watch *w, const ins_rows *rows)
{
	size_t i;

	for (i = 0; i < ins_rows_count(rows); i++) {
		struct run_event *ev = run_event_parse(rows, i, 0);
		json_t *j;

		if (ev == NULL)
			return ins_fail(ctx, INS_ENOMEM, "out of memory");
		j = run_event_json(ev);
		w->following = 0;
		watch_event(w, ev, j);
		w->following = 1;
		json_decref(j);
		run_event_free(ev);
	}
	return 0;
}

/* Until the run comes to this loop, something was relayed, or it is time to read the log again. The
 * condition is every follower's: most of its broadcasts are for others. */
INS_AWAITS
static int
follow_wait(ins_ctx *ctx, ins_watch *w)
{
	struct engine *e = w->run->engine;
	int64_t until = ins_mono_us() + w->poll_ms * 1000, left;
	const struct run *back;
	int r = 0;

	while (r != -INS_ECANCELED && w->head == NULL && !w->over && w->error == 0 &&
	    ((back = run_find(e, w->run->run_id)) == NULL || back->committed != w->told) &&
	    (left = until - ins_mono_us()) > 0)
		r = ins_cond_wait(ctx, e->arrived, (left + 999) / 1000);
	return r == -INS_ECANCELED ? r : 0;
}

/* Reads on in the log, or goes back to a run that this loop holds again. */
static int
follow(ins_ctx *ctx, ins_watch *w)
{
	struct engine *e = w->run->engine;
	struct run *back = run_find(e, w->run->run_id);
	ins_arg args[2] = { ins_text(w->run->run_id), ins_int(ctx, w->told) };
	/* The status before the events: each statement sees what was committed before it, and a run
	 * that ends in between must not be over for a watcher who has not read its end. */
	ins_call calls[2] = { { e->plugin->sql.follow_run, args, 1 },
		{ e->plugin->sql.follow, args, 2 } };
	ins_rows *rows[2];
	size_t n;
	int r;

	if (back != NULL && back != w->run && back->committed == w->told) {
		watch_detach(w);
		watch_attach(w, back);
		w->following = 0;
		ins_relay_close(w->relay);
		w->relay = NULL;
		return 0;
	}
	if (w->relay == NULL)
		w->relay = relay_follow(e, w->run->run_id, w);
	relay_want(e, w->run->run_id);
	if ((r = ins_db_batch(ctx, calls, 2, rows)) != 0)
		return r;
	n = ins_rows_count(rows[1]);
	r = follow_rows(ctx, w, rows[1]);
	if (r == 0 && n == 0 && !w->over)
		r = follow_end(
		    ctx, w, ins_rows_count(rows[0]) == 0 ? NULL : ins_value(rows[0], 0, 0));
	ins_rows_end(rows[0]); /* a long wait reads many times */
	ins_rows_end(rows[1]);
	if (r != 0 || w->over || w->head != NULL || n > 0) {
		w->poll_ms = POLL_MIN_MS;
		return r;
	}
	r = follow_wait(ctx, w);
	w->poll_ms = w->poll_ms * 2 > POLL_MAX_MS ? POLL_MAX_MS : w->poll_ms * 2;
	return r;
}

/* A run that this loop does not hold, as far as its watcher is concerned. */
static struct run *
elsewhere(ins_ctx *ctx, struct engine *e, const char *id)
{
	struct run *run = run_new(e, id);

	if (run == NULL)
		return NULL;
	run->state = RUN_GONE;
	snprintf(run->tenant_id, sizeof run->tenant_id, "%s", ins_tenant_id(ctx));
	return run;
}

int
runs_watch(ins_ctx *ctx, void *self, const char *run_id, int64_t after, uint32_t flags,
    ins_watch **ret_watch)
{
	struct plugin *p = self;
	struct engine *e = ins_local(ctx, p->host);
	const char *id = uuid_of(ctx, run_id);
	struct run *run;
	ins_rows *row;
	ins_watch *w;
	int r;

	if (id == NULL)
		return ins_fail(ctx, INS_ENOTFOUND, "there is no run with this id");
	/* asked even when it is in memory: the row says whether it is this tenant's */
	if ((r = ins_db(ctx, p->sql.follow_run, INS_ARGS(ins_text(id)), &row)) != 0)
		return r;
	if (ins_rows_count(row) == 0)
		return ins_fail(ctx, INS_ENOTFOUND, "there is no run with this id");
	run = elsewhere(ctx, e, id);
	if (run == NULL || (w = watch_new(ctx, run, flags)) == NULL) {
		if (run != NULL)
			run_unref(run);
		return ins_fail(ctx, INS_ENOMEM, "out of memory");
	}
	snprintf(run->workflow, sizeof run->workflow, "%s", ins_value(row, 0, 1));
	snprintf(run->version, sizeof run->version, "%s", ins_value(row, 0, 2));
	run_unref(run);
	w->told = after < 0 ? 0 : after + 1;
	w->following = 1;
	w->poll_ms = POLL_MIN_MS;
	w->relay = relay_follow(e, id, w);
	*ret_watch = w;
	return 0;
}

/* What the step wrote, by its workflow's words. */
static void
add_update(ins_ctx *ctx, const ins_workflow *wf, json_t *event)
{
	const char *name = json_string_value(json_object_get(event, "name"));
	const json_t *output = json_object_get(event, "output");
	json_t *update = NULL;

	if (output == NULL || name == NULL || wf == NULL ||
	    wf->size <= offsetof(ins_workflow, update) || wf->update == NULL)
		return;
	if (wf->update(ctx, wf->self, name, output, &update) == 0 && update != NULL)
		json_object_set(event, "update", update);
	json_decref(update);
	ins_clear_error(ctx);
}

/* Adds the state that a recorded event made. The watcher folds for itself: the run's own fold may
 * be ahead of its log, and is elsewhere for a run that is followed. */
INS_AWAITS
static int
add_state(ins_ctx *ctx, ins_watch *w, json_t **event)
{
	struct plugin *p = w->run->engine->plugin;
	struct run_event *ev = event_of(*event);
	struct run_row row;
	json_t *with;
	int r = 0;

	if (ev == NULL)
		return ins_fail(ctx, INS_ENOMEM, "out of memory");
	if (ev->type == EV_TYPES) { /* a piece of a stream */
		run_event_free(ev);
		return 0;
	}
	if (!w->folded || ev->seq != w->fold.next_seq)
		r = state_load(ctx, p, ins_tenant_id(ctx), w->run->run_id, ev->seq, &row, &w->fold);
	else
		r = fold_apply(
		    &w->fold, ctx, run_workflow(ctx, p, w->run->workflow, w->run->version), ev);
	run_event_free(ev);
	w->folded = r == 0;
	if (r != 0)
		return r;
	with = json_copy(*event);
	json_object_set_new(with, "state",
	    fold_state_json(
		&w->fold, ctx, run_workflow(ctx, p, w->run->workflow, w->run->version)));
	add_update(ctx, run_workflow(ctx, p, w->run->workflow, w->run->version), with);
	json_decref(*event);
	*event = with;
	return 0;
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
			if ((w->flags & INS_WATCH_STATE) == 0)
				return 1;
			if ((r = add_state(ctx, w, ret_event)) == 0)
				return 1;
			json_decref(*ret_event);
			*ret_event = NULL;
			return r;
		}
		if (w->error != 0)
			return ins_fail(ctx, w->error, "%s", w->why);
		if (w->over || (w->idle && !w->following && w->run->n_pending == 0))
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

int
runs_describe(ins_ctx *ctx, void *self, const char *workflow, json_t **ret)
{
	const ins_workflow *wf = run_workflow(ctx, self, workflow, NULL);
	int r = 0;

	*ret = NULL;
	if (wf == NULL)
		return ins_fail(ctx, INS_EMODEL, "there is no workflow %.100s", workflow);
	if (wf->size > offsetof(ins_workflow, describe) && wf->describe != NULL)
		r = wf->describe(ctx, wf->self, ret);
	if (r == 0 && *ret == NULL)
		*ret = json_object();
	if (r == 0) {
		json_object_set_new(*ret, "name", json_string(wf->name));
		json_object_set_new(*ret, "version", json_string(wf->version));
	}
	return r;
}
