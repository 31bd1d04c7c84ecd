/*
 * langgraph_graph.c: what an assistant's workflow says of itself: its graph and its schemas. A
 * workflow is one level: it has no subgraphs.
 */
#include "langgraph.h"

/* The workflow's description, which ends with the task. */
INS_AWAITS
static int
describe(ins_ctx *ctx, struct lg *lg, struct lg_assistant *a, json_t **ret)
{
	const ins_runs *runs;
	int r = lg_assistant_find(ctx, lg, ins_param(ctx, "id"), a);

	if (r != 0)
		return r;
	runs = ins_service(ctx, lg->host, NEED_RUNS, 0, NULL);
	if ((r = runs->describe(ctx, runs->self, a->workflow, ret)) != 0)
		return r;
	return ins_json_end(ctx, *ret) == NULL ? -INS_ENOMEM : 0;
}

static json_t *
node_json(const char *id, const json_t *node)
{
	const char *type = lg_text(node, "type");
	json_t *data = lg_get(node, "data");

	if (data != NULL)
		json_incref(data);
	else if (node == NULL)
		data = json_pack(
		    "{s:s}", "$schema", "https://json-schema.org/draft/2020-12/schema");
	else
		data = json_pack("{s:[s, s], s:s}", "id", "insula", "step", "name", id);
	return json_pack("{s:s, s:s, s:o}", "id", id, "type",
	    node == NULL       ? "schema"
		: type == NULL ? "runnable"
			       : type,
	    "data", data);
}

/* Steps between __start__ and __end__, as LangGraph draws a graph. */
INS_AWAITS
static int
assistant_graph(ins_ctx *ctx, void *self)
{
	struct lg_assistant a;
	json_t *about, *nodes, *edges, *one;
	const char *id;
	size_t i;
	int r = describe(ctx, self, &a, &about);

	if (r != 0)
		return r;
	nodes = json_array();
	edges = json_array();
	json_array_append_new(nodes, node_json("__start__", NULL));
	json_array_foreach(json_object_get(about, "nodes"), i, one)
	{
		id = lg_text(one, "id");
		if (id != NULL && strcmp(id, "__start__") != 0 && strcmp(id, "__end__") != 0)
			json_array_append_new(nodes, node_json(id, one));
	}
	json_array_append_new(nodes, node_json("__end__", NULL));
	json_array_foreach(json_object_get(about, "edges"), i, one) json_array_append_new(edges,
	    json_pack("{s:O, s:O, s:b}", "source", json_object_get(one, "source"), "target",
		json_object_get(one, "target"), "conditional",
		json_is_true(json_object_get(one, "conditional"))));
	return ins_reply_json(ctx, 200, "{s:o, s:o}", "nodes", nodes, "edges", edges);
}

INS_AWAITS
static int
assistant_schemas(ins_ctx *ctx, void *self)
{
	static const char *const names[] = { "input_schema", "output_schema", "state_schema",
		"context_schema" };
	struct lg_assistant a;
	json_t *about, *reply, *schema;
	size_t i;
	int r = describe(ctx, self, &a, &about);

	if (r != 0)
		return r;
	reply = json_pack("{s:s}", "graph_id", a.workflow);
	for (i = 0; i < sizeof names / sizeof *names; i++) {
		schema = lg_get(about, names[i]);
		json_object_set_new(
		    reply, names[i], schema == NULL ? json_object() : json_incref(schema));
	}
	/* The older name of the same. */
	json_object_set(reply, "config_schema", json_object_get(reply, "context_schema"));
	return ins_reply_take(ctx, 200, reply);
}

INS_AWAITS
static int
assistant_subgraphs(ins_ctx *ctx, void *self)
{
	struct lg_assistant a;
	int r = lg_assistant_find(ctx, self, ins_param(ctx, "id"), &a);

	return r != 0 ? r : ins_reply_json(ctx, 200, "{}");
}

int
lg_graph_init(struct lg *lg)
{
	static const struct lg_route routes[] = {
		{ "GET", "/assistants/{id}/graph", "assistants:read", assistant_graph },
		{ "GET", "/assistants/{id}/schemas", "assistants:read", assistant_schemas },
		{ "GET", "/assistants/{id}/subgraphs", "assistants:read", assistant_subgraphs },
		{ "GET", "/assistants/{id}/subgraphs/{namespace}", "assistants:read",
		    assistant_subgraphs },
	};
	return lg_routes(lg, routes, sizeof routes / sizeof *routes);
}
