/*
 * langgraph_state.c: the states that runs made of a thread: the newest, one by its checkpoint, the
 * history, and edits.
 *
 * A checkpoint is an event of a run, "<run id>:<seq>". An edit is a run of its own that begins at a
 * checkpoint, takes the values and ends before a step: the log of no run is ever changed.
 */
#include "langgraph.h"

/* Where a thread stands. run_id "" = nowhere yet. */
struct head {
	char run_id[LG_UUID_LEN + 1];
	int64_t seq; /* -1 = the run's newest */
	const char *workflow;
};

/* columns: run, seq, workflow */
INS_AWAITS
static int
head_of(ins_ctx *ctx, struct lg *lg, const char *thread_id, struct head *ret)
{
	ins_rows *rows;
	int r = ins_db(ctx, lg->sql[S_THREAD_HEAD], INS_ARGS(ins_text(thread_id)), &rows);

	if (r != 0)
		return r;
	if (ins_rows_count(rows) == 0)
		return ins_fail(ctx, INS_ENOTFOUND, "there is no thread with this id");
	ret->run_id[0] = '\0';
	if (ins_value(rows, 0, 0) != NULL)
		lg_uuid(ins_value(rows, 0, 0), ret->run_id);
	ret->seq = ins_value(rows, 0, 1) == NULL ? -1 : ins_value_int(rows, 0, 1);
	ret->workflow = ins_value(rows, 0, 2);
	return 0;
}

int
lg_thread_has_run(ins_ctx *ctx, struct lg *lg, const char *thread_id, const char *run_id)
{
	ins_rows *rows;
	int r = ins_db(
	    ctx, lg->sql[S_THREAD_HAS_RUN], INS_ARGS(ins_text(thread_id), ins_text(run_id)), &rows);

	if (r != 0 || ins_rows_count(rows) > 0 ||
	    (r = lg_thread_get(ctx, lg, thread_id, &rows)) != 0)
		return r;
	ins_field(ctx, "checkpoint_id");
	return ins_fail(ctx, INS_ENOTFOUND, "this thread has no such checkpoint");
}

static int
bad_checkpoint(ins_ctx *ctx, const char *field)
{
	ins_field(ctx, field);
	return ins_fail(ctx, INS_EINVAL, "%s must be \"RUN_ID:SEQ\", as states have it", field);
}

int
lg_checkpoint_of(ins_ctx *ctx, const json_t *body, struct lg_checkpoint *ret)
{
	static const struct lg_member members[] = { { "checkpoint_id", LG_TEXT },
		{ "checkpoint_ns", LG_TEXT }, { "checkpoint_map", LG_OBJECT },
		{ "thread_id", LG_TEXT }, { NULL, 0 } };
	const json_t *j = lg_get(body, "checkpoint");
	const char *field = "checkpoint_id", *z = lg_text(body, field), *ns;
	int r;

	if (j != NULL) {
		if ((r = lg_members(ctx, j, "checkpoint.", members)) != 0)
			return r;
		ns = lg_text(j, "checkpoint_ns");
		if ((ns != NULL && *ns != '\0') ||
		    json_object_size(lg_get(j, "checkpoint_map")) > 0) {
			ins_field(ctx, "checkpoint.checkpoint_ns");
			return ins_fail(ctx, INS_EINVAL,
			    "workflows have no subgraphs: checkpoint_ns must be empty");
		}
		field = "checkpoint.checkpoint_id";
		z = lg_text(j, "checkpoint_id");
	}
	if (z == NULL)
		return 0;
	return lg_checkpoint_parse(z, strlen(z), ret) ? 1 : bad_checkpoint(ctx, field);
}

/* "values.KEY" names a part of the values. */
static int
select_ok(ins_ctx *ctx, const json_t *select)
{
	static const char *const fields[] = { "values", "next", "tasks", "metadata", "created_at",
		"checkpoint", "parent_checkpoint", "interrupts", NULL };
	json_t *members, *one;
	size_t i;

	if (select == NULL)
		return 0;
	if ((members = ins_json_end(ctx, json_array())) == NULL)
		return ins_fail(ctx, INS_ENOMEM, "out of memory");
	json_array_foreach((json_t *)select, i, one) if (!json_is_string(one) ||
	    strncmp(json_string_value(one), "values.", 7) != 0) json_array_append(members, one);
	return lg_fields_ok(ctx, members, fields);
}

/* Keeps of a state what `select` names: a member, or "values.KEY". */
static void
select_state(json_t *state, const json_t *select)
{
	json_t *values = json_object(), *kept = json_array(), *one, *all, *value;
	const char *z;
	size_t i;

	if (!json_is_array(select)) {
		json_decref(values);
		json_decref(kept);
		return;
	}
	all = json_object_get(state, "values");
	json_array_foreach((json_t *)select, i, one)
	{
		z = json_string_value(one);
		if (z == NULL || strncmp(z, "values.", 7) != 0) {
			json_array_append(kept, one);
			continue;
		}
		if ((value = json_object_get(all, z + 7)) != NULL)
			json_object_set(values, z + 7, value);
		json_array_append_new(kept, json_string("values"));
		json_object_set(state, "values", values);
	}
	lg_select(state, kept);
	json_decref(values);
	json_decref(kept);
}

INS_AWAITS
static int
reply_state(ins_ctx *ctx, struct lg *lg, const char *thread_id, const char *run_id, int64_t seq,
    const json_t *select)
{
	const ins_runs *runs = ins_service(ctx, lg->host, NEED_RUNS, 0, NULL);
	json_t *state, *j;
	int r = select_ok(ctx, select);

	if (r != 0)
		return r;
	if (*run_id == '\0') {
		j = json_pack("{s:{}, s:[], s:[], s:n, s:n, s:n, s:n, s:[]}", "values", "next",
		    "tasks", "metadata", "created_at", "checkpoint", "parent_checkpoint",
		    "interrupts");
	} else {
		if ((r = runs->state(ctx, runs->self, run_id, seq, &state)) != 0)
			return r;
		j = lg_state_json(thread_id, state);
		json_decref(state);
	}
	select_state(j, select);
	return ins_reply_take(ctx, 200, j);
}

INS_AWAITS
static int
state_get(ins_ctx *ctx, void *self)
{
	const char *id = lg_path_id(ctx, "id", "thread");
	struct head head;
	int r = id == NULL ? -INS_ENOTFOUND : head_of(ctx, self, id, &head);

	return r != 0 ? r : reply_state(ctx, self, id, head.run_id, head.seq, lg_query_select(ctx));
}

INS_AWAITS
static int
state_at(ins_ctx *ctx, void *self)
{
	const char *id = lg_path_id(ctx, "id", "thread"), *z = ins_param(ctx, "checkpoint_id");
	struct lg_checkpoint at;
	struct head head;
	int r;

	if (id == NULL)
		return -INS_ENOTFOUND;
	if (!lg_checkpoint_parse(z, strlen(z), &at)) {
		r = head_of(
		    ctx, self, id, &head); /* what is not there is not there, first of all */
		return r != 0 ? r : bad_checkpoint(ctx, "checkpoint_id");
	}
	r = lg_thread_has_run(ctx, self, id, at.run_id);
	return r != 0 ? r : reply_state(ctx, self, id, at.run_id, at.seq, lg_query_select(ctx));
}

INS_AWAITS
static int
state_at_post(ins_ctx *ctx, void *self)
{
	static const struct lg_member members[] = { { "checkpoint", LG_OBJECT },
		{ "subgraphs", LG_BOOL }, { "select", LG_LIST }, { NULL, 0 } };
	const char *id = lg_path_id(ctx, "id", "thread");
	struct lg_checkpoint at;
	struct head head;
	json_t *body;
	int r = id == NULL ? -INS_ENOTFOUND : lg_body(ctx, members, &body);

	if (r != 0 || (r = lg_checkpoint_of(ctx, body, &at)) < 0)
		return r;
	if (r == 1) {
		if ((r = lg_thread_has_run(ctx, self, id, at.run_id)) != 0)
			return r;
		return reply_state(ctx, self, id, at.run_id, at.seq, lg_get(body, "select"));
	}
	r = head_of(ctx, self, id, &head);
	return r != 0 ? r
		      : reply_state(ctx, self, id, head.run_id, head.seq, lg_get(body, "select"));
}

/* ---------------------------------------------------------------- edits */

/* Waits for the end of the run that edits. */
INS_AWAITS
static int
edit_done(ins_ctx *ctx, const ins_runs *runs, ins_watch *watch)
{
	json_t *event;
	const json_t *error;
	int r, bad = 0;

	while ((r = runs->next(ctx, runs->self, watch, &event)) == 1) {
		error = json_object_get(event, "error");
		if (error != NULL) {
			ins_field(ctx, "values");
			bad = ins_fail(ctx, INS_EINVAL, "the workflow does not take this: %s",
			    lg_text(error, "message") == NULL ? "" : lg_text(error, "message"));
		}
		json_decref(event);
	}
	return r != 0 ? r : bad;
}

INS_AWAITS
static int
edit(
    ins_ctx *ctx, struct lg *lg, const char *id, const json_t *body, const struct lg_checkpoint *at)
{
	const ins_runs *runs = ins_service(ctx, lg->host, NEED_RUNS, 0, NULL);
	ins_run_request req = { .size = sizeof req, .multitask = INS_MULTITASK_REJECT };
	json_t *command, *options, *state, *reply;
	struct head head;
	ins_watch *watch;
	const char *run_id;
	int r = head_of(ctx, lg, id, &head);

	if (r != 0)
		return r;
	if (head.workflow == NULL)
		return ins_fail(ctx, INS_EINVAL,
		    "nobody knows which workflow this thread is for: give it metadata.graph_id, or "
		    "run it once");
	command = json_object();
	json_object_set(command, "update",
	    lg_get(body, "values") == NULL ? json_null() : lg_get(body, "values"));
	if (lg_text(body, "as_node") != NULL)
		json_object_set(command, "as_node", lg_get(body, "as_node"));
	options = json_pack("{s:o, s:b}", "command", command, "hold", 1);
	if (at != NULL)
		json_object_set_new(options, "checkpoint",
		    json_pack("{s:s, s:I}", "run_id", at->run_id, "seq", (json_int_t)at->seq));
	req.workflow = head.workflow;
	req.thread_id = id;
	req.options = ins_json_end(ctx, options);
	req.metadata = ins_json_end(ctx, json_pack("{s:b}", LG_EDIT, 1));
	if (req.options == NULL || req.metadata == NULL)
		return ins_fail(ctx, INS_ENOMEM, "out of memory");
	r = runs->start(ctx, runs->self, &req, &run_id, &watch);
	if (r < 0 || (r = edit_done(ctx, runs, watch)) != 0 ||
	    (r = runs->state(ctx, runs->self, run_id, -1, &state)) != 0)
		return r;
	json_object_set_new(state, "run_id", json_string(run_id));
	reply = lg_checkpoint_json(id, state);
	json_decref(state);
	return ins_reply_json(ctx, 200, "{s:o}", "checkpoint", reply);
}

INS_AWAITS
static int
state_post(ins_ctx *ctx, void *self)
{
	static const struct lg_member members[] = { { "values", LG_OBJECT }, { "as_node", LG_TEXT },
		{ "checkpoint", LG_OBJECT }, { "checkpoint_id", LG_TEXT }, { NULL, 0 } };
	const char *id = lg_path_id(ctx, "id", "thread");
	struct lg_checkpoint at;
	json_t *body;
	int r = id == NULL ? -INS_ENOTFOUND : lg_body(ctx, members, &body);

	if (r != 0 || (r = lg_checkpoint_of(ctx, body, &at)) < 0)
		return r;
	if (r == 0)
		return edit(ctx, self, id, body, NULL);
	r = lg_thread_has_run(ctx, self, id, at.run_id);
	return r != 0 ? r : edit(ctx, self, id, body, &at);
}

/* ---------------------------------------------------------------- history */

struct history {
	const char *thread_id;
	int64_t limit;
	struct lg_checkpoint from; /* states before this event; run_id "" = from the end */
	const json_t *metadata;    /* what a state's metadata must hold, or NULL */
	const json_t *select;
};

static int
holds(const json_t *metadata, const json_t *wanted)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)wanted, name,
	    value) if (!json_equal(json_object_get(metadata, name), value)) return 0;
	return 1;
}

INS_AWAITS
static int
reply_history(ins_ctx *ctx, struct lg *lg, const struct history *h)
{
	const ins_runs *runs = ins_service(ctx, lg->host, NEED_RUNS, 0, NULL);
	struct lg_checkpoint from = h->from;
	struct head head;
	json_t *states, *all, *one, *j;
	size_t i;
	int r = select_ok(ctx, h->select);

	if (r != 0)
		return r;
	if (*from.run_id != '\0') {
		r = lg_thread_has_run(ctx, lg, h->thread_id, from.run_id);
	} else if ((r = head_of(ctx, lg, h->thread_id, &head)) == 0) {
		memcpy(from.run_id, head.run_id, sizeof from.run_id);
		from.seq = head.seq < 0 ? -1 : head.seq + 1;
	}
	if (r != 0)
		return r;
	if (*from.run_id == '\0')
		return ins_reply_json(ctx, 200, "[]");
	r = runs->history(ctx, runs->self, from.run_id, from.seq,
	    h->metadata != NULL ? LG_PAGE_MAX : (uint32_t)h->limit, &states);
	if (r != 0)
		return r;
	all = json_array();
	json_array_foreach(states, i, one)
	{
		j = lg_state_json(h->thread_id, one);
		if (json_array_size(all) < (size_t)h->limit &&
		    holds(json_object_get(j, "metadata"), h->metadata)) {
			select_state(j, h->select);
			json_array_append(all, j);
		}
		json_decref(j);
	}
	json_decref(states);
	return ins_reply_take(ctx, 200, all);
}

/* `before`: a checkpoint's id, or {"configurable": {"checkpoint_id"}}. */
static int
before_of(ins_ctx *ctx, const json_t *before, struct lg_checkpoint *ret)
{
	const char *z = json_string_value(before);

	if (json_is_object(before))
		z = lg_text(json_object_get(before, "configurable"), "checkpoint_id");
	if (z == NULL || !lg_checkpoint_parse(z, strlen(z), ret))
		return bad_checkpoint(ctx, "before");
	return 0;
}

INS_AWAITS
static int
history_post(ins_ctx *ctx, void *self)
{
	static const struct lg_member members[] = { { "limit", LG_INT },
		{ "before", LG_TEXT | LG_OBJECT }, { "metadata", LG_OBJECT },
		{ "checkpoint", LG_OBJECT }, { "select", LG_LIST }, { NULL, 0 } };
	struct history h = { .thread_id = lg_path_id(ctx, "id", "thread") };
	int64_t offset;
	json_t *body;
	int r = h.thread_id == NULL ? -INS_ENOTFOUND : lg_body(ctx, members, &body);

	if (r != 0 || (r = lg_page(ctx, body, &h.limit, &offset)) != 0)
		return r;
	h.metadata = lg_get(body, "metadata");
	h.select = lg_get(body, "select");
	if ((r = lg_checkpoint_of(ctx, body, &h.from)) < 0)
		return r;
	if (r == 1)
		h.from.seq++; /* with the state at the checkpoint itself */
	if (lg_get(body, "before") != NULL &&
	    (r = before_of(ctx, lg_get(body, "before"), &h.from)) != 0)
		return r;
	return reply_history(ctx, self, &h);
}

INS_AWAITS
static int
history_get(ins_ctx *ctx, void *self)
{
	struct history h = { .thread_id = lg_path_id(ctx, "id", "thread") };
	const char *before = ins_query(ctx, "before");
	int64_t offset;
	int r = h.thread_id == NULL ? -INS_ENOTFOUND : lg_query_page(ctx, &h.limit, &offset);

	if (r != 0)
		return r;
	if (before != NULL && *before != '\0' &&
	    !lg_checkpoint_parse(before, strlen(before), &h.from))
		return bad_checkpoint(ctx, "before");
	h.select = lg_query_select(ctx);
	return reply_history(ctx, self, &h);
}

int
lg_state_init(struct lg *lg)
{
	static const struct lg_route routes[] = {
		{ "GET", "/threads/{id}/state", "threads:read", state_get },
		{ "POST", "/threads/{id}/state", "threads:write", state_post },
		{ "GET", "/threads/{id}/state/{checkpoint_id}", "threads:read", state_at },
		{ "POST", "/threads/{id}/state/checkpoint", "threads:read", state_at_post },
		{ "GET", "/threads/{id}/history", "threads:read", history_get },
		{ "POST", "/threads/{id}/history", "threads:read", history_post },
	};
	return lg_routes(lg, routes, sizeof routes / sizeof *routes);
}
