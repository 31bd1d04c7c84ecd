/*
 * graphs.c: small graphs for tests of the LangGraph API. tests/clients/oracle/graphs.mjs has the
 *same in LangGraph's own terms, and their transcripts are compared.
 *
 *	echo      one step that says the last message again, streamed letter by letter
 *	agent     model and tools in a loop: a call of a tool, then an answer
 *	approve   stops with a question; goes on with the answer
 *	parallel  two steps at once, then one that joins them
 *	slow      a step that takes input.ms milliseconds
 *	fails     a step that fails
 *
 * A state is {"values": what the world sees, "open": names of steps that others wait for}.
 */
#include <insula/workflow.h>

struct graph {
	const char *name;
	const char *const *edges; /* "from", "to", ...; NULL. "" is the beginning and the end. */
	int joins;                /* some steps wait for their siblings */
	const char *interrupt;    /* the node that asks first, or NULL */
	ins_workflow vtable;
};

static const char *
text(const json_t *j, const char *key)
{
	const char *z = json_string_value(json_object_get(j, key));

	return z == NULL ? "" : z;
}

/* ---------------------------------------------------------------- values */

/* A message in LangChain's form: {"role": "user"} becomes {"type": "human"}, and it has an id. */
static json_t *
message(const json_t *from, size_t place)
{
	json_t *m = json_is_string(from) ? json_pack("{s:O, s:s}", "content", from, "type", "human")
					 : json_copy((json_t *)from);
	const char *role = text(m, "role");

	if (*role != '\0') {
		json_object_set_new(m, "type",
		    json_string(strcmp(role, "user") == 0    ? "human"
			    : strcmp(role, "assistant") == 0 ? "ai"
							     : role));
		json_object_del(m, "role");
	}
	if (*text(m, "id") == '\0')
		json_object_set_new(m, "id", json_sprintf("m%zu", place));
	if (json_object_get(m, "additional_kwargs") == NULL)
		json_object_set_new(m, "additional_kwargs", json_object());
	if (json_object_get(m, "response_metadata") == NULL)
		json_object_set_new(m, "response_metadata", json_object());
	return m;
}

/* values with update laid over it; messages are added, or replaced where the id is known. */
static json_t *
merged(const json_t *values, const json_t *update)
{
	json_t *all = json_is_object(values) ? json_copy((json_t *)values) : json_object();
	json_t *list = json_object_get(all, "messages"), *more, *m, *old;
	size_t i, k;

	if (json_is_object(update))
		json_object_update(all, (json_t *)update);
	list = json_is_array(list) ? json_copy(list) : json_array();
	more = json_object_get(update, "messages");
	json_array_foreach(more, i, m)
	{
		m = message(m, json_array_size(list));
		json_array_foreach(list, k, old) if (json_equal(json_object_get(old, "id"),
							 json_object_get(m, "id"))) break;
		if (k < json_array_size(list))
			json_array_set_new(list, k, m);
		else
			json_array_append_new(list, m);
	}
	json_object_set_new(all, "messages", list);
	return all;
}

/* ---------------------------------------------------------------- what comes next */

static json_t *
last_message(const json_t *values)
{
	json_t *list = json_object_get(values, "messages");

	return json_array_get(list, json_array_size(list) - 1);
}

/* Whether the edge is taken: agent's model goes to its tools only when it called one. */
static int
taken(const struct graph *g, const char *from, const char *to, const json_t *values)
{
	int calls = json_array_size(json_object_get(last_message(values), "tool_calls")) > 0;

	if (strcmp(g->name, "agent") != 0 || strcmp(from, "model") != 0)
		return 1;
	return calls == (strcmp(to, "tools") == 0);
}

static void
go(const struct graph *g, json_t *commands, json_t *open, const char *node, const json_t *values,
    const json_t *answer)
{
	if (g->interrupt != NULL && strcmp(node, g->interrupt) == 0 && answer == NULL) {
		json_array_append_new(commands,
		    json_pack("{s:s, s:{s:s}}", "interrupt", node, "value", "question", "ok?"));
		return;
	}
	if (g->joins)
		json_object_set_new(open, node, json_true());
	json_array_append_new(commands,
	    json_pack("{s:s, s:{s:O, s:O*}, s:i}", "step", node, "input", "values", values,
		"answer", answer, "max_attempts", 1));
}

/* Commands for the nodes after this one, once none of its siblings is open. */
static void
go_on(const struct graph *g, json_t *commands, json_t *open, const char *from, const json_t *values)
{
	const char *const *e;

	if (json_object_size(open) > 0)
		return;
	for (e = g->edges; *e != NULL; e += 2) {
		if (strcmp(e[0], from) != 0 || !taken(g, from, e[1], values))
			continue;
		if (*e[1] != '\0')
			go(g, commands, open, e[1], values, NULL);
		else
			json_array_append_new(commands,
			    json_pack("{s:s, s:O}", "end", "completed", "output", values));
	}
}

static int
advance(ins_ctx *ctx, void *self, const json_t *state, const json_t *event, json_t **ret_out)
{
	const struct graph *g = self;
	const char *type = text(event, "type"), *name = text(event, "name");
	json_t *commands = json_array(), *open = json_object();
	json_t *before = json_object_get(state, "values"), *values = NULL;

	(void)ctx;
	json_object_update(open, json_object_get(state, "open"));
	if (strcmp(type, "RunStarted") == 0) {
		before = json_object_get(event, "values");
		values = merged(before, json_object_get(event, "input"));
		go_on(g, commands, open, "", values);
	} else if (strcmp(type, "StepCompleted") == 0) {
		json_object_del(open, name);
		values = merged(before, json_object_get(event, "output"));
		go_on(g, commands, open, name, values);
	} else if (strcmp(type, "StepFailed") == 0) {
		json_array_append_new(commands,
		    json_pack(
			"{s:s, s:O}", "end", "failed", "error", json_object_get(event, "error")));
	} else if (strcmp(type, "Resumed") == 0) {
		values = json_copy(before);
		go(g, commands, open, text(event, "interrupt"), values,
		    json_object_get(event, "value"));
	} else if (strcmp(type, "Patched") == 0) {
		values = merged(before, json_object_get(event, "values"));
		json_object_clear(open);
		if (*text(event, "goto") != '\0')
			go(g, commands, open, text(event, "goto"), values, NULL);
		else if (*text(event, "as_node") != '\0')
			go_on(g, commands, open, text(event, "as_node"), values);
	}
	if (values == NULL)
		values = json_is_object(before) ? json_copy(before) : json_object();
	*ret_out = json_pack(
	    "{s:{s:o, s:o}, s:o}", "state", "values", values, "open", open, "commands", commands);
	return *ret_out == NULL ? -INS_ENOMEM : 0;
}

static int
values_of(ins_ctx *ctx, void *self, const json_t *state, json_t **ret)
{
	json_t *values = json_object_get(state, "values");

	(void)ctx;
	(void)self;
	*ret = values == NULL ? json_null() : json_incref(values);
	return 0;
}

/* ---------------------------------------------------------------- steps */

static json_t *
ai(const char *id, const char *content)
{
	return json_pack("{s:s, s:{}, s:{}, s:[], s:[], s:s, s:s}", "content", content,
	    "additional_kwargs", "response_metadata", "tool_calls", "invalid_tool_calls", "id", id,
	    "type", "ai");
}

static int
say(ins_ctx *ctx, const ins_sink *sink, const char *content)
{
	json_t *delta;
	size_t n;
	int r = 0;

	for (; *content != '\0' && r == 0; content += n) {
		/* a letter is what UTF-8 says it is */
		for (n = 1; ((unsigned char)content[n] & 0xc0) == 0x80; n++)
			;
		delta = json_pack("{s:s%}", "content", content, n);
		r = sink->delta(ctx, sink->arg, delta);
		json_decref(delta);
	}
	return r;
}

static int
echo(ins_ctx *ctx, const char *key, const json_t *values, const ins_sink *sink, json_t **ret)
{
	char *z = ins_printf(ctx, "You said: %s", text(last_message(values), "content"));
	int r = z == NULL ? -INS_ENOMEM : say(ctx, sink, z);

	if (r == 0)
		*ret = json_pack("{s:[o]}", "messages", ai(key, z));
	return r;
}

static int
model(const char *key, const json_t *values, json_t **ret)
{
	json_t *m;

	if (strcmp(text(last_message(values), "type"), "tool") == 0) {
		m = ai(key, "The sum is 3.");
	} else {
		m = ai(key, "");
		json_array_append_new(json_object_get(m, "tool_calls"),
		    json_pack("{s:s, s:{s:i, s:i}, s:s, s:s}", "name", "add", "args", "a", 1, "b",
			2, "id", "call-1", "type", "tool_call"));
	}
	*ret = json_pack("{s:[o]}", "messages", m);
	return 0;
}

static int
tools(ins_ctx *ctx, const char *key, const ins_sink *sink, json_t **ret)
{
	json_t *delta = json_pack("{s:{s:s}}", "custom", "progress", "adding");
	int r = sink->delta(ctx, sink->arg, delta);

	json_decref(delta);
	if (r == 0)
		*ret = json_pack("{s:[{s:s, s:s, s:s, s:s, s:s, s:{}, s:{}}]}", "messages",
		    "content", "3", "name", "add", "tool_call_id", "call-1", "id", key, "type",
		    "tool", "additional_kwargs", "response_metadata");
	return r;
}

static int
slow(ins_ctx *ctx, const json_t *values, json_t **ret)
{
	json_t *ms = json_object_get(values, "ms");
	int r = ins_sleep(ctx, json_integer_value(ms));

	if (r == 0)
		*ret = json_pack("{s:O}", "slept", ms == NULL ? json_null() : ms);
	return r;
}

static int
step(ins_ctx *ctx, void *self, const char *name, const char *key, const json_t *in,
    const ins_sink *sink, json_t **ret_out)
{
	const json_t *values = json_object_get(in, "values");
	const struct graph *g = self;

	(void)g;
	*ret_out = NULL;
	if (strcmp(name, "echo") == 0)
		return echo(ctx, key, values, sink, ret_out);
	if (strcmp(name, "model") == 0)
		return model(key, values, ret_out);
	if (strcmp(name, "tools") == 0)
		return tools(ctx, key, sink, ret_out);
	if (strcmp(name, "ask") == 0)
		*ret_out = json_pack("{s:O}", "answer", json_object_get(in, "answer"));
	if (strcmp(name, "done") == 0)
		*ret_out = json_pack("{s:[o]}", "messages",
		    ai(key, ins_printf(ctx, "The answer was %s.", text(values, "answer"))));
	if (strcmp(name, "leftNode") == 0)
		*ret_out = json_pack("{s:i}", "left", 1);
	if (strcmp(name, "rightNode") == 0)
		*ret_out = json_pack("{s:i}", "right", 2);
	if (strcmp(name, "join") == 0)
		*ret_out = json_pack("{s:I}", "sum",
		    json_integer_value(json_object_get(values, "left")) +
			json_integer_value(json_object_get(values, "right")));
	if (strcmp(name, "wait") == 0)
		return slow(ctx, values, ret_out);
	if (strcmp(name, "boom") == 0)
		return ins_fail(ctx, INS_EINVAL, "it breaks, as it was told");
	return *ret_out == NULL ? ins_fail(ctx, INS_EINTERNAL, "there is no node %s", name) : 0;
}

/* ---------------------------------------------------------------- the plugin */

static int
describe(ins_ctx *ctx, void *self, json_t **ret)
{
	const struct graph *g = self;
	json_t *nodes = json_array(), *edges = json_array();
	const char *const *e, *const *other;

	(void)ctx;
	for (e = g->edges; *e != NULL; e += 2) {
		int choice = 0;

		for (other = g->edges; *other != NULL; other += 2)
			choice |= strcmp(g->name, "agent") == 0 && strcmp(e[0], "model") == 0;
		json_array_append_new(edges,
		    json_pack("{s:s, s:s, s:b}", "source", *e[0] == '\0' ? "__start__" : e[0],
			"target", *e[1] == '\0' ? "__end__" : e[1], "conditional", choice));
		for (other = g->edges; *other != NULL && other < e; other += 2)
			if (strcmp(other[0], e[0]) == 0)
				break;
		if (*e[0] != '\0' && other >= e)
			json_array_append_new(nodes, json_pack("{s:s}", "id", e[0]));
	}
	*ret = json_pack("{s:s, s:o, s:o, s:{s:s, s:{s:{s:s}}}}", "description",
	    "a graph for tests", "nodes", nodes, "edges", edges, "input_schema", "type", "object",
	    "properties", "messages", "type", "array");
	return *ret == NULL ? -INS_ENOMEM : 0;
}

static const char *const echo_edges[] = { "", "echo", "echo", "", NULL };
static const char *const agent_edges[] = { "", "model", "model", "tools", "model", "", "tools",
	"model", NULL };
static const char *const approve_edges[] = { "", "ask", "ask", "done", "done", "", NULL };
static const char *const parallel_edges[] = { "", "leftNode", "", "rightNode", "leftNode", "join",
	"rightNode", "join", "join", "", NULL };
static const char *const slow_edges[] = { "", "wait", "wait", "", NULL };
static const char *const fails_edges[] = { "", "boom", "boom", "", NULL };

static const struct graph graphs[] = {
	{ .name = "echo", .edges = echo_edges },
	{ .name = "agent", .edges = agent_edges },
	{ .name = "approve", .edges = approve_edges, .interrupt = "ask" },
	{ .name = "parallel", .edges = parallel_edges, .joins = 1 },
	{ .name = "slow", .edges = slow_edges },
	{ .name = "fails", .edges = fails_edges },
};

static int
init(ins_host *host, const void *conf, void **ret_self)
{
	struct graph *all = ins_dup(host, graphs, sizeof graphs);
	size_t i;
	int r = 0;

	(void)conf;
	*ret_self = all;
	for (i = 0; i < sizeof graphs / sizeof *graphs && r == 0; i++) {
		all[i].vtable = (ins_workflow){ .size = sizeof all[i].vtable,
			.self = &all[i],
			.name = all[i].name,
			.version = "1",
			.advance = advance,
			.step = step,
			.values = values_of,
			.describe = describe };
		r = ins_provide(host, INS_WORKFLOW_IFACE, all[i].name, &all[i].vtable);
	}
	return r;
}

INS_PLUGIN(.name = "graphs", .version = "1.0.0", .summary = "graphs for tests", .init = init);
