/*
 * langgraph_threads.c: threads as rows: create, get, patch, delete, copy, prune. What their runs
 * made of them is langgraph_state.c; searching is langgraph_threads_search.c.
 *
 * A thread is busy while one of its runs is not over; the engine writes everything else on the row.
 */
#include "langgraph.h"

/* The text that a thread's error is to LangGraph's clients: {"error", "message"}. */
static json_t *
error_json(const json_t *error)
{
	const char *code = lg_text(error, "code"), *message = lg_text(error, "message");

	return json_pack("{s:s, s:s}", "error", code == NULL ? "Error" : code, "message",
	    message == NULL ? "" : message);
}

/* {task: [{id, value}]} of the engine's list. An interrupt's id is "<name>:<step>", a task's (in
 * lg_task_id) "<run>:<step>". */
static json_t *
interrupts_by_task(const char *run_id, const json_t *interrupts)
{
	json_t *all = json_object(), *one;
	const char *id, *step, *when;
	char task[LG_UUID_LEN + 24];
	size_t i;

	json_array_foreach((json_t *)interrupts, i, one)
	{
		id = lg_text(one, "id");
		step = id == NULL ? NULL : strrchr(id, ':');
		when = lg_text(one, "when");
		/* a stop before or after a step asks nothing */
		if (step == NULL || run_id == NULL || (when != NULL && strcmp(when, "node") != 0))
			continue;
		snprintf(task, sizeof task, "%.36s%.20s", run_id, step);
		json_object_set_new(all, task,
		    json_pack("[{s:O, s:O*}]", "id", json_object_get(one, "id"), "value",
			json_object_get(one, "value")));
	}
	return all;
}

json_t *
lg_thread_json(const ins_rows *rows, size_t i)
{
	json_t *interrupts = lg_column_json(rows, i, 5), *error = lg_column_json(rows, i, 6), *j;

	j = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "thread_id",
	    lg_column_text(rows, i, 0), "created_at", lg_column_text(rows, i, 7), "updated_at",
	    lg_column_text(rows, i, 8), "metadata", lg_column_json(rows, i, 2), "status",
	    lg_column_text(rows, i, 1), "config", lg_column_json(rows, i, 3), "values",
	    lg_column_json(rows, i, 4), "interrupts",
	    interrupts_by_task(ins_value(rows, i, 10), interrupts));
	if (ins_value(rows, i, 9) != NULL)
		json_object_set_new(j, "state_updated_at", lg_column_text(rows, i, 9));
	if (json_is_object(error))
		json_object_set_new(j, "error", error_json(error));
	json_decref(interrupts);
	json_decref(error);
	return j;
}

static int
no_thread(ins_ctx *ctx)
{
	return ins_fail(ctx, INS_ENOTFOUND, "there is no thread with this id");
}

/* {"ttl": minutes, ...}: threads stay until somebody deletes them. */
static int
refuse_ttl(ins_ctx *ctx, const json_t *body)
{
	if (lg_get(body, "ttl") == NULL)
		return 0;
	ins_field(ctx, "ttl");
	return ins_fail(
	    ctx, INS_EINVAL, "threads have no ttl here: they stay until they are deleted");
}

INS_AWAITS
static int
thread_create(ins_ctx *ctx, void *self)
{
	static const struct lg_member members[] = { { "thread_id", LG_TEXT },
		{ "metadata", LG_OBJECT }, { "if_exists", LG_TEXT }, { "ttl", LG_ANY },
		{ "supersteps", LG_LIST }, { NULL, 0 } };
	static const char *const exists[] = { "raise", "do_nothing", NULL };
	struct lg *lg = self;
	char id[LG_UUID_LEN + 1];
	json_t *body, *metadata;
	ins_rows *rows;
	int r = lg_body(ctx, members, &body), if_exists;

	if (r != 0 || (r = refuse_ttl(ctx, body)) != 0)
		return r;
	if (json_array_size(lg_get(body, "supersteps")) > 0) {
		ins_field(ctx, "supersteps");
		return ins_fail(ctx, INS_EINVAL,
		    "supersteps are not done here: create the thread, then POST its state");
	}
	if ((if_exists = lg_choice(ctx, body, "if_exists", exists, 0)) < 0)
		return if_exists;
	if (lg_text(body, "thread_id") == NULL) {
		ins_uuid7(id);
	} else if (!lg_uuid(lg_text(body, "thread_id"), id)) {
		ins_field(ctx, "thread_id");
		return ins_fail(ctx, INS_EINVAL, "thread_id must be a uuid");
	}
	metadata = lg_get(body, "metadata");
	r = ins_db(ctx, lg->sql[S_THREAD_ADD],
	    INS_ARGS(ins_text(id), metadata == NULL ? ins_text("{}") : ins_json(ctx, metadata),
		ins_text("{}")),
	    &rows);
	if (r == 0 && ins_rows_count(rows) == 0) {
		if (if_exists == 0)
			return ins_fail(ctx, INS_ECONFLICT, "there is a thread with this id");
		r = ins_db(ctx, lg->sql[S_THREAD_GET], INS_ARGS(ins_text(id)), &rows);
		if (r == 0 && ins_rows_count(rows) == 0)
			return no_thread(ctx);
	}
	return r != 0 ? r : ins_reply_take(ctx, 200, lg_thread_json(rows, 0));
}

int
lg_thread_get(ins_ctx *ctx, struct lg *lg, const char *id, ins_rows **ret_rows)
{
	int r = ins_db(ctx, lg->sql[S_THREAD_GET], INS_ARGS(ins_text(id)), ret_rows);

	return r == 0 && ins_rows_count(*ret_rows) == 0 ? no_thread(ctx) : r;
}

INS_AWAITS
static int
thread_get(ins_ctx *ctx, void *self)
{
	const char *id = lg_path_id(ctx, "id", "thread"), *include = ins_query(ctx, "include");
	ins_rows *rows;
	int r = id == NULL ? -INS_ENOTFOUND : lg_thread_get(ctx, self, id, &rows);

	if (r == 0 && include != NULL && *include != '\0') {
		ins_field(ctx, "include");
		return ins_fail(ctx, INS_EINVAL, "include knows nothing here: threads have no ttl");
	}
	return r != 0 ? r : ins_reply_take(ctx, 200, lg_thread_json(rows, 0));
}

INS_AWAITS
static int
thread_patch(ins_ctx *ctx, void *self)
{
	static const struct lg_member members[] = { { "metadata", LG_OBJECT }, { "ttl", LG_ANY },
		{ NULL, 0 } };
	struct lg *lg = self;
	const char *id = lg_path_id(ctx, "id", "thread");
	ins_str prefer = ins_header(ctx, "prefer");
	json_t *body, *metadata;
	ins_rows *rows;
	int r = id == NULL ? -INS_ENOTFOUND : lg_body(ctx, members, &body);

	if (r != 0 || (r = refuse_ttl(ctx, body)) != 0)
		return r;
	metadata = lg_get(body, "metadata");
	r = ins_db(ctx, lg->sql[S_THREAD_PATCH],
	    INS_ARGS(ins_text(id), metadata == NULL ? ins_text("{}") : ins_json(ctx, metadata)),
	    &rows);
	if (r == 0 && ins_rows_count(rows) == 0)
		return no_thread(ctx);
	if (r != 0)
		return r;
	if (ins_str_eq(prefer, "return=minimal"))
		return lg_reply_nothing(ctx);
	return ins_reply_take(ctx, 200, lg_thread_json(rows, 0));
}

/* The SDK's patchState: the same metadata by another way, without an answer. */
INS_AWAITS
static int
thread_patch_state(ins_ctx *ctx, void *self)
{
	static const struct lg_member members[] = { { "metadata", LG_OBJECT | LG_NEEDED },
		{ NULL, 0 } };
	struct lg *lg = self;
	const char *id = lg_path_id(ctx, "id", "thread");
	json_t *body;
	ins_rows *rows;
	int r = id == NULL ? -INS_ENOTFOUND : lg_body(ctx, members, &body);

	if (r == 0)
		r = ins_db(ctx, lg->sql[S_THREAD_PATCH],
		    INS_ARGS(ins_text(id), ins_json(ctx, lg_get(body, "metadata"))), &rows);
	if (r == 0 && ins_rows_count(rows) == 0)
		return no_thread(ctx);
	return r != 0 ? r : lg_reply_nothing(ctx);
}

/* Deletes a thread and its runs; those that are not over end first. 1 = deleted, 0 = none there. */
INS_AWAITS
static int
delete_thread(ins_ctx *ctx, struct lg *lg, const char *id)
{
	const ins_runs *runs = ins_service(ctx, lg->host, NEED_RUNS, 0, NULL);
	ins_call calls[3] = { { lg->sql[S_THREAD_LIVE], INS_ARGS(ins_text(id)) },
		{ lg->sql[S_THREAD_RUNS_DELETE], INS_ARGS(ins_text(id)) },
		{ lg->sql[S_THREAD_DELETE], INS_ARGS(ins_text(id)) } };
	ins_rows *rows[3];
	size_t i;
	int r = ins_db_batch(ctx, calls, 3, rows);

	if (r != 0)
		return r;
	if (ins_rows_affected(rows[2]) == 0)
		return 0;
	for (i = 0; i < ins_rows_count(rows[0]); i++) {
		r = runs->send(ctx, runs->self, ins_value(rows[0], i, 0), INS_MESSAGE_DELETE,
		    "thread deleted", NULL, NULL);
		if (r == -INS_ENOTFOUND || r == -INS_ECONFLICT)
			ins_clear_error(ctx); /* it is over, or was deleted meanwhile */
		else if (r < 0)
			return r;
	}
	return 1;
}

INS_AWAITS
static int
thread_delete(ins_ctx *ctx, void *self)
{
	const char *id = lg_path_id(ctx, "id", "thread");
	int r = id == NULL ? -INS_ENOTFOUND : delete_thread(ctx, self, id);

	if (r == 0)
		return no_thread(ctx);
	return r < 0 ? r : lg_reply_nothing(ctx);
}

int
lg_threads_delete_of(ins_ctx *ctx, struct lg *lg, const char *assistant_id)
{
	ins_rows *rows;
	size_t i, n;
	int r;

	do {
		r = ins_db(
		    ctx, lg->sql[S_THREAD_OF_ASSISTANT], INS_ARGS(ins_text(assistant_id)), &rows);
		n = r == 0 ? ins_rows_count(rows) : 0;
		for (i = 0; i < n && r >= 0; i++)
			r = delete_thread(ctx, lg, ins_value(rows, i, 0));
	} while (n > 0 && r >= 0);
	return r < 0 ? r : 0;
}

INS_AWAITS
static int
thread_prune(ins_ctx *ctx, void *self)
{
	static const struct lg_member members[] = { { "thread_ids", LG_LIST | LG_NEEDED },
		{ "strategy", LG_TEXT }, { NULL, 0 } };
	static const char *const strategies[] = { "delete", NULL };
	json_t *body, *ids, *one;
	char id[LG_UUID_LEN + 1];
	json_int_t n = 0;
	size_t i;
	int r = lg_body(ctx, members, &body);

	if (r != 0 || (r = lg_choice(ctx, body, "strategy", strategies, 0)) < 0)
		return r;
	ids = lg_get(body, "thread_ids");
	if ((r = lg_ids_ok(ctx, "thread_ids", ids)) != 0)
		return r;
	json_array_foreach(ids, i, one)
	{
		lg_uuid(json_string_value(one), id);
		if ((r = delete_thread(ctx, self, id)) < 0)
			return r;
		n += r;
	}
	return ins_reply_json(ctx, 200, "{s:I}", "pruned_count", n);
}

INS_AWAITS
static int
thread_copy(ins_ctx *ctx, void *self)
{
	struct lg *lg = self;
	const char *id = lg_path_id(ctx, "id", "thread");
	char copy[LG_UUID_LEN + 1];
	ins_rows *rows;
	int r;

	if (id == NULL)
		return -INS_ENOTFOUND;
	ins_uuid7(copy);
	r = ins_db(ctx, lg->sql[S_THREAD_COPY], INS_ARGS(ins_text(id), ins_text(copy)), &rows);
	if (r == 0 && ins_rows_count(rows) == 0)
		return no_thread(ctx);
	return r != 0 ? r : ins_reply_take(ctx, 200, lg_thread_json(rows, 0));
}

/* ---------------------------------------------------------------- for runs */

static json_t *
object_copy(const json_t *j)
{
	return json_is_object(j) ? json_deep_copy(j) : json_object();
}

/* config laid over base, and the members of "configurable" one by one. A new reference. */
static json_t *
config_merged(const json_t *base, const json_t *config)
{
	json_t *all = object_copy(base), *configurable;

	configurable = object_copy(json_object_get(all, "configurable"));
	lg_merge(configurable, json_object_get(config, "configurable"));
	lg_merge(all, config);
	if (json_object_size(configurable) > 0)
		json_object_set(all, "configurable", configurable);
	json_decref(configurable);
	return all;
}

int
lg_thread_use(ins_ctx *ctx, struct lg *lg, const char *thread_id, const struct lg_assistant *a,
    const json_t *config, const json_t *metadata, int create, json_t **ret_config)
{
	json_t *tags = json_pack("{s:s, s:s}", "graph_id", a->workflow, "assistant_id", a->id);
	json_t *merged, *stored, *made = object_copy(metadata);
	ins_rows *rows;
	int r;

	tags = ins_json_end(ctx, tags);
	made = ins_json_end(ctx, made);
	lg_merge(made, tags);
	merged = ins_json_end(ctx, config_merged(a->config, config));
	r = ins_db(ctx, lg->sql[S_THREAD_CONFIG], INS_ARGS(ins_text(thread_id)), &rows);
	if (r == 0 && ins_rows_count(rows) == 0) {
		if (!create)
			return no_thread(ctx);
		r = ins_db(ctx, lg->sql[S_THREAD_ADD],
		    INS_ARGS(ins_text(thread_id), ins_json(ctx, made), ins_json(ctx, merged)),
		    NULL);
	} else if (r == 0) {
		stored = lg_column_json(rows, 0, 0);
		merged = ins_json_end(ctx, config_merged(a->config, stored));
		json_decref(stored);
		merged = ins_json_end(ctx, config_merged(merged, config));
		r = ins_db(ctx, lg->sql[S_THREAD_TAG],
		    INS_ARGS(ins_text(thread_id), ins_json(ctx, tags), ins_json(ctx, merged)),
		    NULL);
	}
	*ret_config = merged;
	return r;
}

int
lg_threads_init(struct lg *lg)
{
	static const struct lg_route routes[] = {
		{ "POST", "/threads", "threads:write", thread_create },
		{ "POST", "/threads/prune", "threads:write", thread_prune },
		{ "GET", "/threads/{id}", "threads:read", thread_get },
		{ "PATCH", "/threads/{id}", "threads:write", thread_patch },
		{ "PATCH", "/threads/{id}/state", "threads:write", thread_patch_state },
		{ "DELETE", "/threads/{id}", "threads:write", thread_delete },
		{ "POST", "/threads/{id}/copy", "threads:write", thread_copy },
	};
	return lg_routes(lg, routes, sizeof routes / sizeof *routes);
}
