/*
 * langgraph_assistants.c: assistants: a workflow with a configuration under an id of its own.
 *
 * Each workflow is an assistant by itself, whose id follows from its name; it has no row until it
 * is changed, and cannot be deleted. All others are the tenant's. Every change is kept as a
 * version.
 */
#include "langgraph.h"

/* The workflows' names and their assistants' ids, two lists that end with the task. */
static int
workflows(ins_ctx *ctx, struct lg *lg, json_t **ret_ids, json_t **ret_names)
{
	const ins_runs *runs = ins_service(ctx, lg->host, NEED_RUNS, 0, NULL);
	json_t *list = NULL, *one, *name;
	char id[LG_UUID_LEN + 1];
	size_t i;
	int r = runs->workflows(ctx, runs->self, &list);

	if (r != 0)
		return r;
	*ret_ids = ins_json_end(ctx, json_array());
	*ret_names = ins_json_end(ctx, json_array());
	json_array_foreach(list, i, one)
	{
		name = json_object_get(one, "name");
		if (!json_is_string(name))
			continue;
		lg_uuid_of_name(json_string_value(name), id);
		json_array_append_new(*ret_ids, json_string(id));
		json_array_append(*ret_names, name);
	}
	json_decref(list);
	return *ret_names == NULL ? -INS_ENOMEM : 0;
}

const char *
lg_workflow_of(ins_ctx *ctx, struct lg *lg, const char *id)
{
	json_t *ids, *names, *one;
	size_t i;

	if (workflows(ctx, lg, &ids, &names) != 0)
		return NULL;
	json_array_foreach(ids, i, one) if (strcmp(json_string_value(one), id) ==
	    0) return json_string_value(json_array_get(names, i));
	return NULL;
}

static int
is_workflow(ins_ctx *ctx, struct lg *lg, const char *name)
{
	json_t *ids, *names, *one;
	size_t i;

	if (workflows(ctx, lg, &ids, &names) != 0)
		return 0;
	json_array_foreach(names, i, one) if (strcmp(json_string_value(one), name) == 0) return 1;
	return 0;
}

static json_t *
assistant_json(const ins_rows *rows, size_t i)
{
	json_t *j = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "assistant_id",
	    lg_column_text(rows, i, 0), "graph_id", lg_column_text(rows, i, 1), "version",
	    lg_column_json(rows, i, 2), "name", lg_column_text(rows, i, 3), "description",
	    lg_column_text(rows, i, 4), "config", lg_column_json(rows, i, 5), "context",
	    lg_column_json(rows, i, 6), "metadata", lg_column_json(rows, i, 7), "created_at",
	    lg_column_text(rows, i, 8));

	if (ins_value(rows, i, 9) != NULL)
		json_object_set_new(j, "updated_at", lg_column_text(rows, i, 9));
	return j;
}

/* A workflow's own, as long as it has no row. */
static json_t *
own_json(ins_ctx *ctx, struct lg *lg, const char *id, const char *workflow)
{
	json_t *j = json_pack("{s:s, s:s, s:i, s:s, s:n, s:{}, s:{}, s:{s:s}}", "assistant_id", id,
	    "graph_id", workflow, "version", 1, "name", workflow, "description", "config",
	    "context", "metadata", "created_by", "system");

	(void)ctx;
	json_object_set_new(j, "created_at", json_string(lg->since));
	json_object_set_new(j, "updated_at", json_string(lg->since));
	return j;
}

static int
no_assistant(ins_ctx *ctx, const char *id_or_name)
{
	char id[LG_UUID_LEN + 1];

	ins_field(ctx, "assistant_id");
	if (lg_uuid(id_or_name, id))
		return ins_fail(ctx, INS_ENOTFOUND, "there is no assistant with this id");
	return ins_fail(ctx, INS_ENOTFOUND,
	    "there is no assistant \"%.100s\": it must be an assistant's id or a workflow's name",
	    id_or_name);
}

/* The id that a text means, and the workflow when it is a workflow's own. */
static int
resolve(
    ins_ctx *ctx, struct lg *lg, const char *z, char id[LG_UUID_LEN + 1], const char **ret_workflow)
{
	*ret_workflow = NULL;
	if (z == NULL || *z == '\0' || strlen(z) > LG_NAME_MAX)
		return no_assistant(ctx, z == NULL ? "" : z);
	if (lg_uuid(z, id)) {
		*ret_workflow = lg_workflow_of(ctx, lg, id);
		return 0;
	}
	if (!is_workflow(ctx, lg, z))
		return no_assistant(ctx, z);
	lg_uuid_of_name(z, id);
	*ret_workflow = z;
	return 0;
}

int
lg_assistant_find(ins_ctx *ctx, struct lg *lg, const char *id_or_name, struct lg_assistant *ret)
{
	const char *workflow;
	ins_rows *rows;
	int r = resolve(ctx, lg, id_or_name, ret->id, &workflow);

	if (r == 0)
		r = ins_db(ctx, lg->sql[S_ASSISTANT_GET], INS_ARGS(ins_text(ret->id)), &rows);
	if (r != 0)
		return r;
	if (ins_rows_count(rows) == 0) {
		if (workflow == NULL)
			return no_assistant(ctx, id_or_name);
		ret->workflow = workflow;
		ret->config = ins_json_end(ctx, json_object());
		ret->context = ins_json_end(ctx, json_object());
		ret->metadata = ins_json_end(ctx, json_pack("{s:s}", "created_by", "system"));
	} else {
		ret->workflow = ins_value(rows, 0, 1);
		ret->config = ins_json_end(ctx, lg_column_json(rows, 0, 5));
		ret->context = ins_json_end(ctx, lg_column_json(rows, 0, 6));
		ret->metadata = ins_json_end(ctx, lg_column_json(rows, 0, 7));
	}
	return ret->metadata == NULL ? -INS_ENOMEM : 0;
}

static const struct lg_member assistant_members[] = { { "assistant_id", LG_TEXT },
	{ "graph_id", LG_TEXT }, { "config", LG_OBJECT }, { "context", LG_OBJECT },
	{ "metadata", LG_OBJECT }, { "if_exists", LG_TEXT }, { "name", LG_TEXT },
	{ "description", LG_TEXT }, { NULL, 0 } };

static int
name_ok(ins_ctx *ctx, const json_t *body)
{
	const char *name = lg_text(body, "name");

	if (name == NULL || (*name != '\0' && strlen(name) <= LG_NAME_MAX))
		return 0;
	ins_field(ctx, "name");
	return ins_fail(ctx, INS_EINVAL, "name must be a text of 1 to %u bytes", LG_NAME_MAX);
}

static int
graph_ok(ins_ctx *ctx, struct lg *lg, const char *graph)
{
	if (graph == NULL || is_workflow(ctx, lg, graph))
		return 0;
	ins_field(ctx, "graph_id");
	return ins_fail(ctx, INS_ENOTFOUND, "there is no workflow \"%.100s\"", graph);
}

static ins_arg
object_or(ins_ctx *ctx, const json_t *body, const char *name, const char *dflt)
{
	const json_t *j = lg_get(body, name);

	return j == NULL ? ins_text(dflt) : ins_json(ctx, j);
}

INS_AWAITS
static int
assistant_create(ins_ctx *ctx, void *self)
{
	static const char *const exists[] = { "raise", "do_nothing", NULL };
	struct lg *lg = self;
	const char *graph, *name;
	char id[LG_UUID_LEN + 1];
	json_t *body;
	ins_rows *rows[2];
	ins_call calls[2];
	int r = lg_body(ctx, assistant_members, &body), if_exists;

	if (r != 0)
		return r;
	graph = lg_text(body, "graph_id");
	if (graph == NULL) {
		ins_field(ctx, "graph_id");
		return ins_fail(ctx, INS_EINVAL, "graph_id is required: a workflow's name");
	}
	if ((r = graph_ok(ctx, lg, graph)) != 0 || (r = name_ok(ctx, body)) != 0)
		return r;
	if ((if_exists = lg_choice(ctx, body, "if_exists", exists, 0)) < 0)
		return if_exists;
	if (lg_text(body, "assistant_id") == NULL) {
		ins_uuid7(id);
	} else if (!lg_uuid(lg_text(body, "assistant_id"), id)) {
		ins_field(ctx, "assistant_id");
		return ins_fail(ctx, INS_EINVAL, "assistant_id must be a uuid");
	}
	name = lg_text(body, "name");
	if (lg_workflow_of(ctx, lg, id) != NULL) {
		if (if_exists == 0)
			return ins_fail(ctx, INS_ECONFLICT, "there is an assistant with this id");
		calls[0] = (ins_call){ lg->sql[S_ASSISTANT_ENSURE],
			INS_ARGS(ins_text(id), ins_text(lg_workflow_of(ctx, lg, id))) };
		if ((r = ins_db_batch(ctx, calls, 1, NULL)) != 0)
			return r;
	}
	calls[0] = (ins_call){ lg->sql[S_ASSISTANT_ADD],
		INS_ARGS(ins_text(id), ins_text(graph), ins_text(name == NULL ? "Untitled" : name),
		    ins_text(lg_text(body, "description")), object_or(ctx, body, "config", "{}"),
		    object_or(ctx, body, "context", "{}"),
		    object_or(ctx, body, "metadata", "{}")) };
	calls[1] = (ins_call){ lg->sql[S_ASSISTANT_ADD_VERSION], INS_ARGS(ins_text(id)) };
	if ((r = ins_db_batch(ctx, calls, 2, rows)) != 0)
		return r;
	if (ins_rows_count(rows[0]) > 0)
		return ins_reply_take(ctx, 200, assistant_json(rows[0], 0));
	if (if_exists == 0)
		return ins_fail(ctx, INS_ECONFLICT, "there is an assistant with this id");
	r = ins_db(ctx, lg->sql[S_ASSISTANT_GET], INS_ARGS(ins_text(id)), rows);
	if (r == 0 && ins_rows_count(rows[0]) == 0)
		return ins_fail(ctx, INS_ECONFLICT, "the assistant was deleted meanwhile");
	return r != 0 ? r : ins_reply_take(ctx, 200, assistant_json(rows[0], 0));
}

INS_AWAITS
static int
assistant_get(ins_ctx *ctx, void *self)
{
	struct lg *lg = self;
	const char *z = ins_param(ctx, "id"), *workflow;
	char id[LG_UUID_LEN + 1];
	ins_rows *rows;
	int r = resolve(ctx, lg, z, id, &workflow);

	if (r == 0)
		r = ins_db(ctx, lg->sql[S_ASSISTANT_GET], INS_ARGS(ins_text(id)), &rows);
	if (r != 0)
		return r;
	if (ins_rows_count(rows) > 0)
		return ins_reply_take(ctx, 200, assistant_json(rows, 0));
	if (workflow == NULL)
		return no_assistant(ctx, z);
	return ins_reply_take(ctx, 200, own_json(ctx, lg, id, workflow));
}

INS_AWAITS
static int
assistant_patch(ins_ctx *ctx, void *self)
{
	struct lg *lg = self;
	const char *z = ins_param(ctx, "id"), *workflow;
	char id[LG_UUID_LEN + 1];
	json_t *body;
	ins_rows *rows[4];
	ins_call calls[4];
	size_t n;
	int r = lg_body(ctx, assistant_members + 1, &body);

	if (r != 0 || (r = resolve(ctx, lg, z, id, &workflow)) != 0 ||
	    (r = graph_ok(ctx, lg, lg_text(body, "graph_id"))) != 0 ||
	    (r = name_ok(ctx, body)) != 0)
		return r;
	calls[0] = (ins_call){ lg->sql[S_ASSISTANT_ENSURE],
		INS_ARGS(ins_text(id), ins_text(workflow)) };
	n = workflow != NULL;
	calls[n++] = (ins_call){ lg->sql[S_ASSISTANT_ADD_VERSION], INS_ARGS(ins_text(id)) };
	calls[n++] = (ins_call){ lg->sql[S_ASSISTANT_PATCH],
		INS_ARGS(ins_text(id), ins_text(lg_text(body, "graph_id")),
		    ins_text(lg_text(body, "name")), ins_text(lg_text(body, "description")),
		    object_or(ctx, body, "config", NULL), object_or(ctx, body, "context", NULL),
		    object_or(ctx, body, "metadata", NULL)) };
	calls[n++] = (ins_call){ lg->sql[S_ASSISTANT_ADD_VERSION], INS_ARGS(ins_text(id)) };
	if ((r = ins_db_batch(ctx, calls, n, rows)) != 0)
		return r;
	if (ins_rows_count(rows[n - 2]) == 0)
		return no_assistant(ctx, z);
	return ins_reply_take(ctx, 200, assistant_json(rows[n - 2], 0));
}

INS_AWAITS
static int
assistant_delete(ins_ctx *ctx, void *self)
{
	struct lg *lg = self;
	const char *z = ins_param(ctx, "id"), *workflow;
	char id[LG_UUID_LEN + 1];
	ins_rows *rows;
	int r = resolve(ctx, lg, z, id, &workflow);

	if (r != 0)
		return r;
	if (workflow != NULL)
		return ins_fail(ctx, INS_ECONFLICT, "a workflow's own assistant cannot be deleted");
	/* Threads first: who is cut off in between asks again, and the assistant is still there. */
	if (lg_query_flag(ctx, "delete_threads")) {
		if (!ins_allowed(ctx, "threads:write"))
			return ins_fail(ctx, INS_EDENIED, "delete_threads needs threads:write too");
		r = ins_db(ctx, lg->sql[S_ASSISTANT_GET], INS_ARGS(ins_text(id)), &rows);
		if (r == 0 && ins_rows_count(rows) == 0)
			return no_assistant(ctx, z);
		if (r != 0 || (r = lg_threads_delete_of(ctx, lg, id)) != 0)
			return r;
	}
	r = ins_db(ctx, lg->sql[S_ASSISTANT_DELETE], INS_ARGS(ins_text(id)), &rows);
	if (r != 0)
		return r;
	if (ins_rows_affected(rows) == 0)
		return no_assistant(ctx, z);
	return ins_reply_json(ctx, 200, "[s]", id);
}

/* ---------------------------------------------------------------- search and versions */

INS_AWAITS
static int
assistant_search(ins_ctx *ctx, void *self)
{
	static const struct lg_member members[] = { { "graph_id", LG_TEXT }, { "name", LG_TEXT },
		{ "metadata", LG_OBJECT }, { "limit", LG_INT }, { "offset", LG_INT },
		{ "sort_by", LG_TEXT }, { "sort_order", LG_TEXT }, { "select", LG_LIST },
		{ NULL, 0 } };
	static const char *const by[] = { "created_at", "updated_at", "assistant_id", "graph_id",
		"name", NULL };
	static const char *const order[] = { "desc", "asc", NULL };
	static const char *const fields[] = { "assistant_id", "graph_id", "name", "description",
		"config", "context", "created_at", "updated_at", "metadata", "version", NULL };
	struct lg *lg = self;
	json_t *body, *ids, *names, *all, *one;
	int64_t limit, offset;
	ins_rows *rows;
	size_t i, n;
	int r = lg_body(ctx, members, &body), sort_by, sort_order;

	if (r != 0 || (r = lg_page(ctx, body, &limit, &offset)) != 0)
		return r;
	if ((sort_by = lg_choice(ctx, body, "sort_by", by, 0)) < 0)
		return sort_by;
	if ((sort_order = lg_choice(ctx, body, "sort_order", order, 0)) < 0)
		return sort_order;
	if ((r = lg_fields_ok(ctx, lg_get(body, "select"), fields)) != 0 ||
	    (r = workflows(ctx, lg, &ids, &names)) != 0)
		return r;
	r = ins_db(ctx, lg->sql[S_ASSISTANT_SEARCH],
	    INS_ARGS(ins_json(ctx, ids), ins_json(ctx, names), ins_int(ctx, lg->since_us),
		ins_text(lg_text(body, "graph_id")), ins_text(lg_text(body, "name")),
		object_or(ctx, body, "metadata", NULL), ins_text(by[sort_by]),
		ins_text(order[sort_order]), ins_int(ctx, limit + 1), ins_int(ctx, offset)),
	    &rows);
	if (r != 0)
		return r;
	n = ins_rows_count(rows);
	all = json_array();
	for (i = 0; i < n && i < (size_t)limit; i++) {
		one = assistant_json(rows, i);
		lg_select(one, lg_get(body, "select"));
		json_array_append_new(all, one);
	}
	lg_pagination(ctx, offset, json_array_size(all), n > (size_t)limit);
	return ins_reply_take(ctx, 200, all);
}

INS_AWAITS
static int
assistant_count(ins_ctx *ctx, void *self)
{
	static const struct lg_member members[] = { { "graph_id", LG_TEXT }, { "name", LG_TEXT },
		{ "metadata", LG_OBJECT }, { NULL, 0 } };
	struct lg *lg = self;
	json_t *body, *ids, *names;
	ins_rows *rows;
	int r = lg_body(ctx, members, &body);

	if (r != 0 || (r = workflows(ctx, lg, &ids, &names)) != 0)
		return r;
	r = ins_db(ctx, lg->sql[S_ASSISTANT_COUNT],
	    INS_ARGS(ins_json(ctx, ids), ins_json(ctx, names), ins_int(ctx, lg->since_us),
		ins_text(lg_text(body, "graph_id")), ins_text(lg_text(body, "name")),
		object_or(ctx, body, "metadata", NULL)),
	    &rows);
	return r != 0 ? r : ins_reply_take(ctx, 200, lg_column_json(rows, 0, 0));
}

INS_AWAITS
static int
assistant_versions(ins_ctx *ctx, void *self)
{
	static const struct lg_member members[] = { { "metadata", LG_OBJECT }, { "limit", LG_INT },
		{ "offset", LG_INT }, { NULL, 0 } };
	struct lg *lg = self;
	const char *z = ins_param(ctx, "id"), *workflow;
	char id[LG_UUID_LEN + 1];
	int64_t limit, offset;
	json_t *body, *all;
	ins_rows *rows;
	size_t i;
	int r = lg_body(ctx, members, &body);

	if (r != 0 || (r = lg_page(ctx, body, &limit, &offset)) != 0 ||
	    (r = resolve(ctx, lg, z, id, &workflow)) != 0)
		return r;
	r = ins_db(ctx, lg->sql[S_ASSISTANT_VERSIONS],
	    INS_ARGS(ins_text(id), object_or(ctx, body, "metadata", NULL), ins_int(ctx, limit),
		ins_int(ctx, offset)),
	    &rows);
	if (r != 0)
		return r;
	all = json_array();
	for (i = 0; i < ins_rows_count(rows); i++)
		json_array_append_new(all, assistant_json(rows, i));
	if (i == 0 && offset == 0 && workflow != NULL)
		json_array_append_new(all, own_json(ctx, lg, id, workflow));
	else if (i == 0 && offset == 0) {
		json_decref(all);
		return no_assistant(ctx, z);
	}
	return ins_reply_take(ctx, 200, all);
}

INS_AWAITS
static int
assistant_latest(ins_ctx *ctx, void *self)
{
	static const struct lg_member members[] = { { "version", LG_INT | LG_NEEDED },
		{ NULL, 0 } };
	struct lg *lg = self;
	const char *z = ins_param(ctx, "id"), *workflow;
	char id[LG_UUID_LEN + 1];
	json_t *body;
	json_int_t version;
	ins_rows *rows;
	int r = lg_body(ctx, members, &body);

	if (r != 0 || (r = resolve(ctx, lg, z, id, &workflow)) != 0)
		return r;
	version = json_integer_value(lg_get(body, "version"));
	if (version < 1 || version > LG_SEQ_MAX) {
		ins_field(ctx, "version");
		return ins_fail(ctx, INS_EINVAL, "version must be 1 or more");
	}
	r = ins_db(
	    ctx, lg->sql[S_ASSISTANT_LATEST], INS_ARGS(ins_text(id), ins_int(ctx, version)), &rows);
	if (r != 0)
		return r;
	if (ins_rows_count(rows) == 0)
		return ins_fail(ctx, INS_ENOTFOUND, "there is no such version of this assistant");
	return ins_reply_take(ctx, 200, assistant_json(rows, 0));
}

int
lg_assistants_init(struct lg *lg)
{
	static const struct lg_route routes[] = {
		{ "POST", "/assistants", "assistants:write", assistant_create },
		{ "POST", "/assistants/search", "assistants:read", assistant_search },
		{ "POST", "/assistants/count", "assistants:read", assistant_count },
		{ "GET", "/assistants/{id}", "assistants:read", assistant_get },
		{ "PATCH", "/assistants/{id}", "assistants:write", assistant_patch },
		{ "DELETE", "/assistants/{id}", "assistants:write", assistant_delete },
		{ "POST", "/assistants/{id}/versions", "assistants:read", assistant_versions },
		{ "POST", "/assistants/{id}/latest", "assistants:write", assistant_latest },
	};
	return lg_routes(lg, routes, sizeof routes / sizeof *routes);
}
