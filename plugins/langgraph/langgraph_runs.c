/*
 * langgraph_runs.c: begins runs: on a thread or without one, in the background, waited for,
 * streamed, or several at once.
 *
 * What a request asks for and is not done here is refused. What concerns only how LangGraph's own
 * server works (durability, subgraphs, tracing) is accepted, since nothing of it can go missing.
 */
#include "langgraph.h"

/* A request, checked, and what it begins. */
struct begin {
	struct lg_assistant assistant;
	ins_run_request req;
	struct lg_streamed streamed;
	const char *thread_id; /* of the path; NULL = stateless */
	int create_thread, keep;
	const char *strategy;
	ins_watch *watch;
};

static const struct lg_member run_members[] = {
	{ "assistant_id", LG_TEXT | LG_NEEDED },
	{ "input", LG_ANY },
	{ "command", LG_OBJECT },
	{ "checkpoint", LG_OBJECT },
	{ "checkpoint_id", LG_TEXT },
	{ "config", LG_OBJECT },
	{ "context", LG_OBJECT },
	{ "metadata", LG_OBJECT },
	{ "interrupt_before", LG_TEXT | LG_LIST },
	{ "interrupt_after", LG_TEXT | LG_LIST },
	{ "multitask_strategy", LG_TEXT },
	{ "if_not_exists", LG_TEXT },
	{ "on_completion", LG_TEXT },
	{ "on_disconnect", LG_TEXT },
	{ "stream_mode", LG_TEXT | LG_LIST },
	{ "after_seconds", LG_NUMBER },
	{ "feedback_keys", LG_LIST },
	{ "webhook", LG_TEXT },
	/* accepted: every step is recorded, every stream can be resumed, there are no subgraphs */
	{ "durability", LG_TEXT },
	{ "checkpoint_during", LG_BOOL },
	{ "stream_resumable", LG_BOOL },
	{ "stream_subgraphs", LG_BOOL },
	{ "strict_resume", LG_BOOL },
	{ "langsmith_tracer", LG_OBJECT },
	{ NULL, 0 },
};

static int
wrong(ins_ctx *ctx, const char *field, const char *text)
{
	ins_field(ctx, field);
	return ins_fail(ctx, INS_EINVAL, "%s %s", field, text);
}

static int
refuse_undone(ins_ctx *ctx, const json_t *body)
{
	if (lg_get(body, "webhook") != NULL)
		return wrong(ctx, "webhook", "is not done here: watch or join the run");
	if (json_array_size(lg_get(body, "feedback_keys")) > 0)
		return wrong(ctx, "feedback_keys", "are not done here");
	return 0;
}

static int
names_ok(ins_ctx *ctx, const json_t *body, const char *field)
{
	const json_t *j = lg_get(body, field), *one;
	size_t i;

	if (json_is_string(j) && strcmp(json_string_value(j), "*") == 0)
		return 0;
	if (j != NULL && (!json_is_array(j) || json_array_size(j) > LG_NODES_MAX))
		return wrong(ctx, field, "must be \"*\" or a list of up to 256 names of steps");
	json_array_foreach((json_t *)j, i, one) if (!json_is_string(one)) return wrong(
	    ctx, field, "must be \"*\" or a list of names of steps");
	return 0;
}

/* goto: the name of a step, or a list of one. */
static int
goto_of(ins_ctx *ctx, const json_t *command, json_t *ret)
{
	json_t *to = lg_get(command, "goto");

	if (json_is_array(to) && json_array_size(to) == 0)
		to = NULL;
	if (json_is_array(to) && json_array_size(to) == 1)
		to = json_array_get(to, 0);
	if (to != NULL && !json_is_string(to))
		return wrong(ctx, "command.goto",
		    "must be the name of one step; {node, input} is not done here");
	if (to != NULL)
		json_object_set(ret, "goto", to);
	return 0;
}

/* update: an object, or a list of pairs [name, value]. */
static int
update_of(ins_ctx *ctx, const json_t *command, json_t *ret)
{
	json_t *update = lg_get(command, "update"), *all, *pair;
	size_t i;

	if (update == NULL)
		return 0;
	if (json_is_object(update)) {
		json_object_set(ret, "update", update);
		return 0;
	}
	all = json_object();
	json_object_set_new(ret, "update", all);
	json_array_foreach(update, i, pair)
	{
		const char *name = json_string_value(json_array_get(pair, 0));

		if (json_array_size(pair) != 2 || name == NULL ||
		    json_object_get(all, name) != NULL)
			return wrong(ctx, "command.update",
			    "must be an object or a list of pairs of a name and a value");
		json_object_set(all, name, json_array_get(pair, 1));
	}
	return 0;
}

/* {"resume", "update", "goto"}: 1 = it asks for something. */
static int
command_of(ins_ctx *ctx, const json_t *body, json_t *options)
{
	static const struct lg_member members[] = { { "resume", LG_ANY },
		{ "update", LG_OBJECT | LG_LIST }, { "goto", LG_TEXT | LG_OBJECT | LG_LIST },
		{ NULL, 0 } };
	const json_t *command = lg_get(body, "command");
	json_t *mine;
	int r;

	if (command == NULL || json_object_size(command) == 0)
		return 0;
	if ((r = lg_members(ctx, command, "command.", members)) != 0)
		return r;
	mine = json_object();
	json_object_set_new(options, "command", mine);
	if (lg_get(command, "resume") != NULL)
		json_object_set(mine, "resume", lg_get(command, "resume"));
	if ((r = update_of(ctx, command, mine)) != 0 || (r = goto_of(ctx, command, mine)) != 0)
		return r;
	if (json_object_size(mine) > 0)
		return 1;
	json_object_del(options, "command");
	return 0;
}

/*
 * What the workflow gets as its context: the assistant's, the thread's and this run's
 * config.configurable, with the assistant's and this run's context laid over them.
 */
static json_t *
context_of(const struct begin *b, const json_t *body, const json_t *config)
{
	static const char *const ours[] = { "thread_id", "checkpoint_id", "checkpoint_ns",
		"checkpoint_map", "run_id" };
	json_t *context = json_object();
	size_t i;

	lg_merge(context, json_object_get(config, "configurable"));
	for (i = 0; i < sizeof ours / sizeof *ours; i++)
		json_object_del(context, ours[i]);
	lg_merge(context, b->assistant.context);
	lg_merge(context, lg_get(body, "context"));
	return context;
}

static int
options_of(ins_ctx *ctx, struct begin *b, const json_t *body)
{
	static const char *const names[] = { "interrupt_before", "interrupt_after" };
	json_t *options = ins_json_end(ctx, json_object());
	struct lg_checkpoint at;
	size_t i;
	int r;

	if (options == NULL)
		return ins_fail(ctx, INS_ENOMEM, "out of memory");
	b->req.options = options;
	b->req.input = lg_get(body, "input");
	if ((r = command_of(ctx, body, options)) < 0)
		return r;
	if (r == 1)
		b->req.input = NULL;
	if ((r = lg_checkpoint_of(ctx, body, &at)) < 0)
		return r;
	if (r == 1 && b->thread_id == NULL)
		return wrong(ctx, "checkpoint", "needs a thread");
	if (r == 1)
		json_object_set_new(options, "checkpoint",
		    json_pack("{s:s, s:I}", "run_id", at.run_id, "seq", (json_int_t)at.seq));
	for (i = 0; i < 2; i++) {
		if ((r = names_ok(ctx, body, names[i])) != 0)
			return r;
		if (lg_get(body, names[i]) != NULL)
			json_object_set(options, names[i], lg_get(body, names[i]));
	}
	/* Whoever joins the run later without saying more gets what its creator asked for. */
	if (lg_get(body, "stream_mode") != NULL)
		json_object_set(options, "stream_mode", lg_get(body, "stream_mode"));
	return 0;
}

/* What is accepted without being looked at further must at least be what it says it is. */
static int
accepted_ok(ins_ctx *ctx, const json_t *body)
{
	static const struct lg_member members[] = { { "tags", LG_LIST },
		{ "recursion_limit", LG_INT }, { "configurable", LG_OBJECT },
		{ "metadata", LG_OBJECT } };
	static const char *const durability[] = { "sync", "async", "exit", NULL };
	const json_t *config = lg_get(body, "config"), *known;
	json_t *some = ins_json_end(ctx, json_object());
	struct lg_member all[sizeof members / sizeof *members + 1] = { { NULL, 0 } };
	size_t i;
	int r;

	if (some == NULL)
		return ins_fail(ctx, INS_ENOMEM, "out of memory");
	/* Other members of config are the workflow's business. */
	for (i = 0; i < sizeof members / sizeof *members; i++) {
		all[i] = members[i];
		if ((known = lg_get(config, members[i].name)) != NULL)
			json_object_set(some, members[i].name, (json_t *)known);
	}
	if ((r = lg_members(ctx, some, "config.", all)) != 0)
		return r;
	r = lg_choice(ctx, body, "durability", durability, 0);
	return r < 0 ? r : 0;
}

/* Checks a body and fills in what it says, but for the thread's part. */
static int
check(ins_ctx *ctx, struct begin *b, const json_t *body)
{
	static const char *const multitask[] = { [INS_MULTITASK_ENQUEUE] = "enqueue",
		[INS_MULTITASK_REJECT] = "reject",
		[INS_MULTITASK_INTERRUPT] = "interrupt",
		[INS_MULTITASK_ROLLBACK] = "rollback",
		NULL };
	static const char *const exists[] = { "reject", "create", NULL };
	static const char *const completion[] = { "delete", "keep", NULL };
	static const char *const leave[] = { "continue", "cancel", NULL };
	const json_t *after = lg_get(body, "after_seconds");
	int r = refuse_undone(ctx, body);

	if (r != 0 || (r = accepted_ok(ctx, body)) != 0 || (r = options_of(ctx, b, body)) != 0)
		return r;
	if ((r = lg_choice(ctx, body, "multitask_strategy", multitask, INS_MULTITASK_ENQUEUE)) < 0)
		return r;
	b->req.multitask = (uint32_t)r;
	b->strategy = multitask[r];
	if ((r = lg_choice(ctx, body, "if_not_exists", exists, 0)) < 0)
		return r;
	b->create_thread = r;
	if ((r = lg_choice(ctx, body, "on_completion", completion, 0)) < 0)
		return r;
	b->keep = r;
	if ((r = lg_choice(ctx, body, "on_disconnect", leave, 0)) < 0)
		return r;
	b->streamed.cancel_on_leave = r;
	if (after != NULL &&
	    (json_number_value(after) < 0 || json_number_value(after) > LG_AFTER_S_MAX))
		return wrong(ctx, "after_seconds", "must be from 0 to 2592000");
	b->req.after_ms = (int64_t)(json_number_value(after) * 1000);
	return lg_modes_of(ctx, lg_get(body, "stream_mode"), &b->streamed.modes);
}

/* The thread, and what its and the assistant's configuration add. */
INS_AWAITS
static int
prepare(ins_ctx *ctx, struct lg *lg, struct begin *b, const json_t *body)
{
	const json_t *config = lg_get(body, "config"), *at;
	json_t *merged, *metadata = json_object();
	char *id;
	int r = 0;

	metadata = ins_json_end(ctx, metadata);
	lg_merge(metadata, b->assistant.metadata);
	lg_merge(metadata, json_object_get(config, "metadata"));
	lg_merge(metadata, lg_get(body, "metadata"));
	json_object_del(metadata, LG_EDIT); /* which would hide the run */
	if (b->thread_id == NULL && b->keep) {
		if ((id = ins_alloc(ctx, LG_UUID_LEN + 1)) == NULL)
			return ins_fail(ctx, INS_ENOMEM, "out of memory");
		ins_uuid7(id);
		b->thread_id = id;
		b->create_thread = 1;
	}
	merged = ins_json_end(ctx, json_object());
	if (b->thread_id == NULL) {
		lg_merge(merged, b->assistant.config);
		lg_merge(merged, config);
	} else {
		r = lg_thread_use(ctx, lg, b->thread_id, &b->assistant, config,
		    lg_get(body, "metadata"), b->create_thread, &merged);
		at = json_object_get(b->req.options, "checkpoint");
		if (r == 0 && at != NULL)
			r = lg_thread_has_run(ctx, lg, b->thread_id, lg_text(at, "run_id"));
	}
	if (r != 0)
		return r;
	json_object_set_new(metadata, "graph_id", json_string(b->assistant.workflow));
	json_object_set_new(metadata, "assistant_id", json_string(b->assistant.id));
	json_object_set_new((json_t *)b->req.options, "context", context_of(b, body, merged));
	b->req.size = sizeof b->req;
	b->req.watch_flags = INS_WATCH_STATE;
	b->req.workflow = b->assistant.workflow;
	b->req.thread_id = b->thread_id;
	b->req.assistant_id = b->assistant.id;
	b->req.metadata = metadata;
	return 0;
}

/* From a body to a run that is recorded. watched: with b->watch. */
INS_AWAITS
static int
begin(ins_ctx *ctx, struct lg *lg, struct begin *b, const json_t *body, int watched)
{
	const ins_runs *runs;
	int r = check(ctx, b, body);

	if (r == 0)
		r = lg_assistant_find(ctx, lg, lg_text(body, "assistant_id"), &b->assistant);
	if (r == 0)
		r = prepare(ctx, lg, b, body);
	if (r != 0)
		return r;
	runs = ins_service(ctx, lg->host, NEED_RUNS, 0, NULL);
	r = runs->start(ctx, runs->self, &b->req, &b->streamed.run_id, watched ? &b->watch : NULL);
	if (r < 0)
		return r;
	b->streamed.thread_id = b->thread_id;
	b->streamed.workflow = b->assistant.workflow;
	b->streamed.assistant_id = b->assistant.id;
	b->streamed.from.after = -1;
	return 0;
}

static const char *
path_of(ins_ctx *ctx, const struct begin *b)
{
	return b->thread_id == NULL
	    ? ins_printf(ctx, "/runs/%s", b->streamed.run_id)
	    : ins_printf(ctx, "/threads/%s/runs/%s", b->thread_id, b->streamed.run_id);
}

/* The body, and the thread of the path. */
static int
read_request(ins_ctx *ctx, struct begin *b, json_t **ret_body)
{
	if (*ins_param(ctx, "id") != '\0') {
		b->thread_id = lg_path_id(ctx, "id", "thread");
		if (b->thread_id == NULL)
			return -INS_ENOTFOUND;
	}
	return lg_body(ctx, run_members, ret_body);
}

/* The run as it was just recorded. A new reference. */
INS_AWAITS
static int
recorded(ins_ctx *ctx, struct lg *lg, const struct begin *b, json_t **ret)
{
	ins_rows *rows;
	int r = lg_run_find(ctx, lg, b->thread_id, b->streamed.run_id, &rows);

	if (r != 0)
		return r;
	*ret = lg_run_json(rows, 0);
	json_object_set_new(*ret, "multitask_strategy", json_string(b->strategy));
	return 0;
}

INS_AWAITS
static int
run_create(ins_ctx *ctx, void *self)
{
	struct begin b = { 0 };
	struct lg *lg = self;
	json_t *body, *run;
	int r = read_request(ctx, &b, &body);

	if (r == 0)
		r = begin(ctx, lg, &b, body, 0);
	if (r == 0)
		r = recorded(ctx, lg, &b, &run);
	if (r != 0)
		return r;
	ins_add(lg->runs, "background", 1);
	ins_set_header(ctx, "content-location", path_of(ctx, &b));
	return ins_reply_take(ctx, 200, run);
}

INS_AWAITS
static int
run_wait(ins_ctx *ctx, void *self)
{
	struct begin b = { 0 };
	struct lg *lg = self;
	json_t *body;
	int r = read_request(ctx, &b, &body);

	if (r == 0)
		r = begin(ctx, lg, &b, body, 1);
	if (r != 0)
		return r;
	ins_add(lg->runs, "wait", 1);
	ins_set_header(ctx, "content-location", path_of(ctx, &b));
	ins_set_header(ctx, "location", ins_printf(ctx, "%s/join", path_of(ctx, &b)));
	return lg_wait(ctx, lg, &b.streamed, b.watch);
}

INS_AWAITS
static int
run_stream(ins_ctx *ctx, void *self)
{
	struct begin b = { 0 };
	struct lg *lg = self;
	json_t *body;
	int r = read_request(ctx, &b, &body);

	if (r == 0)
		r = begin(ctx, lg, &b, body, 1);
	if (r != 0)
		return r;
	if (b.streamed.modes == 0)
		b.streamed.modes = LG_MODE_VALUES;
	ins_add(lg->runs, "stream", 1);
	ins_set_header(ctx, "content-location", path_of(ctx, &b));
	/* Where a client that lost the connection goes on. */
	ins_set_header(ctx, "location",
	    ins_printf(ctx, "%s/stream?stream_mode=%s", path_of(ctx, &b),
		lg_modes_text(ctx, b.streamed.modes)));
	return lg_stream(ctx, lg, &b.streamed, b.watch);
}

/* "streamMode" for "stream_mode": the SDK's createBatch sends its options as JavaScript names them.
 */
static json_t *
plain_names(ins_ctx *ctx, const json_t *one)
{
	json_t *all = ins_json_end(ctx, json_object()), *value;
	const char *name, *z;
	char plain[64];
	size_t n;

	json_object_foreach((json_t *)one, name, value)
	{
		for (z = name, n = 0; *z != '\0' && n < sizeof plain - 2; z++) {
			if (*z >= 'A' && *z <= 'Z')
				plain[n++] = '_';
			plain[n++] = *z >= 'A' && *z <= 'Z' ? (char)(*z - 'A' + 'a') : *z;
		}
		plain[n] = '\0';
		/* What is said both ways is said the plain way; what is too long is no name of
		 * ours. */
		if (*z != '\0')
			json_object_set(all, name, value);
		else if (strcmp(plain, name) == 0 || json_object_get(one, plain) == NULL)
			json_object_set(all, plain, value);
	}
	return all;
}

INS_AWAITS
static int
run_batch(ins_ctx *ctx, void *self)
{
	struct lg *lg = self;
	json_t *body, *all, *one, *run, *plain;
	size_t i;
	int r = ins_body_json(ctx, &body);

	if (r != 0)
		return r;
	if (!json_is_array(body) || json_array_size(body) == 0 ||
	    json_array_size(body) > LG_BATCH_MAX)
		return ins_fail(
		    ctx, INS_EINVAL, "the body must be a list of 1 to %u runs", LG_BATCH_MAX);
	all = ins_json_end(ctx, json_array());
	plain = ins_json_end(ctx, json_array());
	json_array_foreach(body, i, one)
	{
		const char *where = ins_printf(ctx, "[%zu].", i);
		struct begin b = { 0 };

		if (!json_is_object(one))
			return wrong(ctx, where, "must be an object");
		json_array_append(plain, one = plain_names(ctx, one));
		if ((r = lg_members(ctx, one, where, run_members)) != 0 ||
		    (r = check(ctx, &b, one)) != 0)
			return r;
	}
	/* All were checked before the first begins. */
	json_array_foreach(plain, i, one)
	{
		struct begin b = { 0 };

		if ((r = begin(ctx, lg, &b, one, 0)) != 0 || (r = recorded(ctx, lg, &b, &run)) != 0)
			return r;
		json_array_append_new(all, run);
		ins_add(lg->runs, "batch", 1);
	}
	return ins_reply_take(ctx, 200, json_incref(all));
}

int
lg_runs_init(struct lg *lg)
{
	static const struct lg_route routes[] = {
		{ "POST", "/runs", "runs:write", run_create },
		{ "POST", "/runs/wait", "runs:write", run_wait },
		{ "POST", "/runs/stream", "runs:write", run_stream },
		{ "POST", "/runs/batch", "runs:write", run_batch },
		{ "POST", "/threads/{id}/runs", "runs:write", run_create },
		{ "POST", "/threads/{id}/runs/wait", "runs:write", run_wait },
		{ "POST", "/threads/{id}/runs/stream", "runs:write", run_stream },
	};
	return lg_routes(lg, routes, sizeof routes / sizeof *routes);
}
