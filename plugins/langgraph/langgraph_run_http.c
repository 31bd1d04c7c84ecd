/* langgraph_run_http.c: runs that were begun: get, list, join, watch again, cancel, delete. */
#include "langgraph.h"

int
lg_run_find(
    ins_ctx *ctx, struct lg *lg, const char *thread_id, const char *run_id, ins_rows **ret_rows)
{
	int r = ins_db(
	    ctx, lg->sql[S_RUN_GET], INS_ARGS(ins_text(thread_id), ins_text(run_id)), ret_rows);

	if (r == 0 && ins_rows_count(*ret_rows) == 0)
		return ins_fail(ctx, INS_ENOTFOUND, "there is no run with this id");
	return r;
}

/* The run of the path. */
INS_AWAITS
static int
find(ins_ctx *ctx, struct lg *lg, const char **ret_thread, const char **ret_run, ins_rows **ret)
{
	*ret_thread = NULL;
	if (*ins_param(ctx, "id") != '\0' &&
	    (*ret_thread = lg_path_id(ctx, "id", "thread")) == NULL)
		return -INS_ENOTFOUND;
	if ((*ret_run = lg_path_id(ctx, "run_id", "run")) == NULL)
		return -INS_ENOTFOUND;
	return lg_run_find(ctx, lg, *ret_thread, *ret_run, ret);
}

INS_AWAITS
static int
run_get(ins_ctx *ctx, void *self)
{
	const char *thread, *run;
	ins_rows *rows;
	int r = find(ctx, self, &thread, &run, &rows);

	return r != 0 ? r : ins_reply_take(ctx, 200, lg_run_json(rows, 0));
}

/* LangGraph's word for a status as the engine's, with commas; NULL = not known. */
static const char *
engine_status(const char *status)
{
	static const char *const names[][2] = { { "pending", "pending" }, { "running", "running" },
		{ "success", "completed" }, { "error", "failed" }, { "timeout", "failed" },
		{ "interrupted", "interrupted,cancelled" } };
	size_t i;

	for (i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(names[i][0], status) == 0)
			return names[i][1];
	return NULL;
}

INS_AWAITS
static int
run_list(ins_ctx *ctx, void *self)
{
	struct lg *lg = self;
	static const char *const fields[] = { "run_id", "thread_id", "assistant_id", "created_at",
		"updated_at", "status", "metadata", "kwargs", "multitask_strategy", NULL };
	const char *thread = lg_path_id(ctx, "id", "thread"), *status = ins_query(ctx, "status");
	int64_t limit, offset;
	json_t *all, *one, *select = lg_query_select(ctx);
	ins_rows *rows;
	size_t i, n;
	int r = thread == NULL ? -INS_ENOTFOUND : lg_query_page(ctx, &limit, &offset);

	if (r != 0)
		return r;
	if (status != NULL && *status != '\0' && engine_status(status) == NULL) {
		ins_field(ctx, "status");
		return ins_fail(ctx, INS_EINVAL,
		    "status must be pending, running, success, error, timeout or interrupted");
	}
	if ((r = lg_fields_ok(ctx, select, fields)) != 0)
		return r;
	r = ins_db(ctx, lg->sql[S_RUN_LIST],
	    INS_ARGS(ins_text(thread),
		ins_text(status == NULL || *status == '\0' ? NULL : engine_status(status)),
		ins_null(), ins_int(ctx, limit + 1), ins_int(ctx, offset)),
	    &rows);
	if (r != 0)
		return r;
	n = ins_rows_count(rows);
	if (n == 0 && (r = lg_thread_get(ctx, lg, thread, &rows)) != 0)
		return r;
	all = json_array();
	for (i = 0; i < n && i < (size_t)limit; i++) {
		one = lg_run_json(rows, i);
		lg_select(one, select);
		json_array_append_new(all, one);
	}
	lg_pagination(ctx, offset, json_array_size(all), n > (size_t)limit);
	return ins_reply_take(ctx, 200, all);
}

/* `checkpoint_id` with Last-Event-ID -1: what comes after a state that the client shows already.
 * One that is not this run's says nothing of it. */
static int
after_checkpoint(ins_ctx *ctx, struct lg_streamed *s)
{
	const char *z = ins_query(ctx, "checkpoint_id");
	struct lg_checkpoint at;

	if (z == NULL || *z == '\0' || !s->again || s->from.after >= 0)
		return 0;
	if (!lg_checkpoint_parse(z, strlen(z), &at)) {
		ins_field(ctx, "checkpoint_id");
		return ins_fail(ctx, INS_EINVAL, "checkpoint_id must be \"RUN_ID:SEQ\"");
	}
	if (strcmp(at.run_id, s->run_id) == 0)
		s->from.after = at.seq;
	return 0;
}

/* Prepares to watch the run of the path. */
INS_AWAITS
static int
watch_again(ins_ctx *ctx, struct lg *lg, struct lg_streamed *s, ins_watch **ret_watch)
{
	const ins_runs *runs;
	ins_str last = ins_header(ctx, "last-event-id");
	ins_rows *rows;
	int r = find(ctx, lg, &s->thread_id, &s->run_id, &rows);

	if (r != 0)
		return r;
	s->workflow = ins_value(rows, 0, 8);
	s->assistant_id = ins_value(rows, 0, 2) == NULL ? "" : ins_value(rows, 0, 2);
	s->cancel_on_leave = lg_query_flag(ctx, "cancel_on_disconnect");
	s->from.after = -1;
	if (last.n > 0 && !lg_place_parse(last.p, last.n, &s->from)) {
		ins_field(ctx, "last-event-id");
		return ins_fail(ctx, INS_EINVAL, "Last-Event-ID is no id of an event of a run");
	}
	s->again = last.n > 0;
	if ((r = after_checkpoint(ctx, s)) != 0)
		return r;
	/* Who says nothing gets what the run's creator asked for. */
	if ((r = lg_modes_query(ctx, &s->modes)) == 0 && s->modes == 0)
		r = lg_modes_of_creator(ctx, rows, 10, &s->modes);
	if (r != 0)
		return r;
	runs = ins_service(ctx, lg->host, NEED_RUNS, 0, NULL);
	return runs->watch(ctx, runs->self, s->run_id, s->from.after, INS_WATCH_STATE, ret_watch);
}

INS_AWAITS
static int
run_join_stream(ins_ctx *ctx, void *self)
{
	struct lg_streamed s = { 0 };
	ins_watch *watch;
	int r = watch_again(ctx, self, &s, &watch);

	if (r != 0)
		return r;
	ins_set_header(ctx, "content-location",
	    s.thread_id == NULL ? ins_printf(ctx, "/runs/%s", s.run_id)
				: ins_printf(ctx, "/threads/%s/runs/%s", s.thread_id, s.run_id));
	return lg_stream(ctx, self, &s, watch);
}

INS_AWAITS
static int
run_join(ins_ctx *ctx, void *self)
{
	struct lg_streamed s = { 0 };
	ins_watch *watch;
	int r = watch_again(ctx, self, &s, &watch);

	return r != 0 ? r : lg_wait(ctx, self, &s, watch);
}

/* ---------------------------------------------------------------- cancel, delete */

/* Sends one message; a run that is over, or gone, has nothing to cancel. */
INS_AWAITS
static int
stop_run(ins_ctx *ctx, struct lg *lg, const char *run_id, const char *kind)
{
	const ins_runs *runs = ins_service(ctx, lg->host, NEED_RUNS, 0, NULL);
	int r = runs->send(ctx, runs->self, run_id, kind,
	    ins_printf(ctx, "langgraph %s", ins_request_id(ctx)), NULL, NULL);

	if (r == -INS_ECONFLICT) {
		ins_clear_error(ctx);
		r = 0;
	}
	return r < 0 ? r : 0;
}

struct later {
	struct lg *lg;
	char run_id[LG_UUID_LEN + 1];
};

static int
cancel_task(ins_ctx *ctx, void *arg)
{
	struct later *later = arg;
	int r;

	if (ins_cleanup(ctx, free, later) != 0) {
		free(later);
		return -INS_ENOMEM;
	}
	r = stop_run(ctx, later->lg, later->run_id, INS_MESSAGE_CANCEL);
	return r == -INS_ENOTFOUND ? 0 : r;
}

void
lg_cancel_later(ins_ctx *ctx, struct lg *lg, const char *run_id)
{
	struct later *later = calloc(1, sizeof *later);

	if (later == NULL)
		return;
	later->lg = lg;
	snprintf(later->run_id, sizeof later->run_id, "%s", run_id);
	if (ins_spawn_child(ctx, lg->host, "cancel on disconnect", cancel_task, later) != 0) {
		ins_log(ctx, INS_LOG_WARN, "langgraph.not_cancelled",
		    json_pack("{s:s}", "run_id", run_id));
		free(later);
	}
}

/* Until the run is over; one that was deleted is. */
INS_AWAITS
static int
wait_end(ins_ctx *ctx, struct lg *lg, const char *run_id)
{
	const ins_runs *runs = ins_service(ctx, lg->host, NEED_RUNS, 0, NULL);
	ins_watch *watch;
	json_t *event;
	int r = runs->watch(ctx, runs->self, run_id, -1, 0, &watch);

	while (r == 0 && (r = runs->next(ctx, runs->self, watch, &event)) == 1) {
		json_decref(event);
		r = 0;
	}
	if (r == -INS_ENOTFOUND) {
		ins_clear_error(ctx);
		r = 0;
	}
	return r;
}

/* action: interrupt, which keeps what the run did, or rollback, which deletes it. */
static int
action_of(ins_ctx *ctx, const char **ret_kind)
{
	const char *action = ins_query(ctx, "action");

	*ret_kind = INS_MESSAGE_CANCEL;
	if (action == NULL || *action == '\0' || strcmp(action, "interrupt") == 0)
		return 0;
	*ret_kind = INS_MESSAGE_DELETE;
	if (strcmp(action, "rollback") == 0)
		return 0;
	ins_field(ctx, "action");
	return ins_fail(ctx, INS_EINVAL, "action must be \"interrupt\" or \"rollback\"");
}

INS_AWAITS
static int
run_cancel(ins_ctx *ctx, void *self)
{
	struct lg *lg = self;
	const char *thread, *run, *kind;
	ins_rows *rows;
	const char *reason = ins_query(ctx, "reason");
	int r = action_of(ctx, &kind);

	if (r == 0 && reason != NULL && *reason != '\0') {
		ins_field(ctx, "reason");
		return ins_fail(ctx, INS_EINVAL, "a cancellation has no reason here");
	}
	if (r == 0)
		r = find(ctx, lg, &thread, &run, &rows);
	if (r == 0)
		r = stop_run(ctx, lg, run, kind);
	if (r != 0)
		return r;
	if (!lg_query_flag(ctx, "wait"))
		return ins_reply(ctx, 202, "application/json", "{}", 2);
	r = wait_end(ctx, lg, run);
	return r != 0 ? r : lg_reply_nothing(ctx);
}

/* POST /runs/cancel {"thread_id", "run_ids"} or {"status": "pending" | "running" | "all"} */
INS_AWAITS
static int
runs_cancel(ins_ctx *ctx, void *self)
{
	static const struct lg_member members[] = { { "thread_id", LG_TEXT },
		{ "run_ids", LG_LIST }, { "status", LG_TEXT }, { NULL, 0 } };
	static const char *const statuses[] = { "pending", "running", "all", NULL };
	static const char *const of[] = { "pending", "running", "pending,running" };
	struct lg *lg = self;
	char thread[LG_UUID_LEN + 1], run[LG_UUID_LEN + 1];
	const char *kind, *t;
	json_t *body, *ids, *one;
	ins_rows *rows;
	size_t i;
	int r = lg_body(ctx, members, &body), status;

	if (r != 0 || (r = action_of(ctx, &kind)) != 0)
		return r;
	if ((status = lg_choice(ctx, body, "status", statuses, 3)) < 0)
		return status;
	ids = lg_get(body, "run_ids");
	if ((status == 3) == (ids == NULL))
		return ins_fail(ctx, INS_EINVAL, "either run_ids or status must be given");
	if ((r = lg_ids_ok(ctx, "run_ids", ids)) != 0)
		return r;
	t = lg_text(body, "thread_id");
	if (t != NULL && !lg_uuid(t, thread)) {
		ins_field(ctx, "thread_id");
		return ins_fail(ctx, INS_EINVAL, "thread_id must be a uuid");
	}
	t = t == NULL ? NULL : thread;
	if (status != 3) {
		r = ins_db(
		    ctx, lg->sql[S_RUN_LIVE], INS_ARGS(ins_text(t), ins_text(of[status])), &rows);
		for (i = 0; r == 0 && i < ins_rows_count(rows); i++)
			r = stop_run(ctx, lg, ins_value(rows, i, 0), kind);
		return r != 0 ? r : lg_reply_nothing(ctx);
	}
	json_array_foreach(ids, i, one)
	{
		lg_uuid(json_string_value(one), run);
		if ((r = lg_run_find(ctx, lg, t, run, &rows)) != 0 ||
		    (r = stop_run(ctx, lg, run, kind)) != 0)
			return r;
	}
	return lg_reply_nothing(ctx);
}

INS_AWAITS
static int
run_delete(ins_ctx *ctx, void *self)
{
	struct lg *lg = self;
	const char *thread, *run;
	ins_rows *rows;
	int r = find(ctx, lg, &thread, &run, &rows);

	if (r == 0)
		r = stop_run(ctx, lg, run, INS_MESSAGE_DELETE);
	return r != 0 ? r : lg_reply_nothing(ctx);
}

int
lg_run_http_init(struct lg *lg)
{
	static const struct lg_route routes[] = {
		{ "GET", "/threads/{id}/runs", "runs:read", run_list },
		{ "GET", "/threads/{id}/runs/{run_id}", "runs:read", run_get },
		{ "GET", "/threads/{id}/runs/{run_id}/join", "runs:read", run_join },
		{ "GET", "/threads/{id}/runs/{run_id}/stream", "runs:read", run_join_stream },
		{ "POST", "/threads/{id}/runs/{run_id}/cancel", "runs:write", run_cancel },
		{ "DELETE", "/threads/{id}/runs/{run_id}", "runs:write", run_delete },
		{ "GET", "/runs/{run_id}/join", "runs:read", run_join },
		{ "GET", "/runs/{run_id}/stream", "runs:read", run_join_stream },
		{ "POST", "/runs/cancel", "runs:write", runs_cancel },
	};
	return lg_routes(lg, routes, sizeof routes / sizeof *routes);
}
