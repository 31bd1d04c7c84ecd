/*
 * check_langgraph.c: the LangGraph API through a whole host: what it refuses, what belongs to whom,
 * and how its answers look. tests/clients drives the same with LangGraph's own SDK.
 */
#include "tests/lib/house.h"

#include <check.h> /* after the SDK: it defines a macro fail */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NOBODY "01a20e14-1998-731f-b1c7-8314e9e6e726" /* a uuid that nothing has */

static struct client *c, *other;

static void
setup(void)
{
	c = house_client(0);
	other = house_client(1);
}

static void
teardown(void)
{
	client_free(c);
	client_free(other);
}

/* ---------------------------------------------------------------- asking */

static const struct reply *
ask(struct client *who, const char *method, const char *path, const char *json)
{
	return client_call(who, method, path, NULL, json, json == NULL ? 0 : strlen(json));
}

/* The answer of what must succeed; the client's until its next call. */
static json_t *
done(const char *method, const char *path, const char *json)
{
	const struct reply *r = ask(c, method, path, json);

	ck_assert_msg(r->status / 100 == 2, "%s %s: %d %s", method, path, r->status, r->body);
	return r->json;
}

static const char *
text(const json_t *j, const char *key)
{
	const char *z = json_string_value(json_object_get(j, key));

	return z == NULL ? "" : z;
}

/* A text member of the answer of what must succeed; malloc. */
static char *
made(const char *path, const char *json, const char *key)
{
	return strdup(text(done("POST", path, json), key));
}

static const char *
path_to(const char *fmt, ...)
{
	static char path[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(path, sizeof path, fmt, ap);
	va_end(ap);
	return path;
}

static void
refused(const char *method, const char *path, const char *json, int status, const char *param)
{
	const struct reply *r = ask(c, method, path, json);
	const json_t *error = json_object_get(r->json, "error");

	ck_assert_msg(r->status == status, "%s %s %s: %d %s", method, path,
	    json == NULL ? "" : json, r->status, r->body);
	ck_assert_msg(*text(error, "message") != '\0', "%s", r->body);
	if (param != NULL)
		ck_assert_msg(strcmp(text(error, "param"), param) == 0, "%s %s: param is %s in %s",
		    method, path, text(error, "param"), r->body);
}

/* ---------------------------------------------------------------- assistants */

START_TEST(workflows_are_assistants_by_themselves)
{
	json_t *all = done("POST", "/assistants/search", "{\"limit\": 100, \"sort_by\": \"name\"}"),
	       *one;

	ck_assert_uint_eq(json_array_size(all), 6);
	one = done("POST", "/assistants/search", "{\"graph_id\": \"echo\"}");
	ck_assert_uint_eq(json_array_size(one), 1);
	ck_assert_str_eq(
	    text(json_array_get(one, 0), "assistant_id"), "046b5dc7-2108-582c-9c6c-31d556d138f0");
	ck_assert_str_eq(text(done("GET", "/assistants/echo", NULL), "name"), "echo");
	ck_assert_str_eq(
	    text(done("GET", "/assistants/046b5dc7-2108-582c-9c6c-31d556d138f0", NULL), "name"),
	    "echo");
	refused("DELETE", "/assistants/echo", NULL, 409, NULL);
	refused("GET", "/assistants/none", NULL, 404, "assistant_id");
	refused("GET", "/assistants/" NOBODY, NULL, 404, "assistant_id");
}
END_TEST

START_TEST(an_assistant_keeps_every_version)
{
	char *id = made("/assistants",
	    "{\"graph_id\": \"echo\", \"name\": \"Parrot\", \"metadata\": {\"a\": 1}}",
	    "assistant_id");
	json_t *j;

	j = done("PATCH", path_to("/assistants/%s", id),
	    "{\"name\": \"Parrot 2\", \"metadata\": {\"b\": 2}}");
	ck_assert_int_eq(json_integer_value(json_object_get(j, "version")), 2);
	ck_assert_uint_eq(json_object_size(json_object_get(j, "metadata")), 2);
	j = done("POST", path_to("/assistants/%s/versions", id), "{}");
	ck_assert_uint_eq(json_array_size(j), 2);
	ck_assert_str_eq(text(json_array_get(j, 1), "name"), "Parrot");
	j = done("POST", path_to("/assistants/%s/latest", id), "{\"version\": 1}");
	ck_assert_str_eq(text(j, "name"), "Parrot");
	j = done("PATCH", path_to("/assistants/%s", id), "{\"name\": \"Parrot 3\"}");
	ck_assert_int_eq(json_integer_value(json_object_get(j, "version")), 3);
	refused("POST", path_to("/assistants/%s/latest", id), "{\"version\": 9}", 404, NULL);
	/* a workflow's own gets a row when it is changed, and its versions begin with what it was
	 */
	done("PATCH", "/assistants/slow", "{\"name\": \"Snail\"}");
	j = done("POST", "/assistants/slow/versions", "{}");
	ck_assert_uint_eq(json_array_size(j), 2);
	ck_assert_str_eq(text(json_array_get(j, 1), "name"), "slow");
	ck_assert_str_eq(text(done("GET", "/assistants/slow", NULL), "name"), "Snail");
	j = done("POST", "/assistants/search", "{\"name\": \"parrot\"}");
	ck_assert_uint_eq(json_array_size(j), 1);
	ck_assert_int_eq(
	    json_integer_value(done("POST", "/assistants/count", "{\"metadata\": {\"a\": 1}}")), 1);
	done("DELETE", path_to("/assistants/%s", id), NULL);
	refused("GET", path_to("/assistants/%s", id), NULL, 404, NULL);
	free(id);
}
END_TEST

START_TEST(bad_assistants_are_refused)
{
	refused("POST", "/assistants", "{}", 400, "graph_id");
	refused("POST", "/assistants", "[]", 400, NULL);
	refused("POST", "/assistants", "{", 400, NULL);
	refused("POST", "/assistants", "{\"graph_id\": \"none\"}", 404, "graph_id");
	refused("POST", "/assistants", "{\"graph_id\": \"echo\", \"nmae\": \"x\"}", 400, "nmae");
	refused("POST", "/assistants", "{\"graph_id\": \"echo\", \"assistant_id\": \"x\"}", 400,
	    "assistant_id");
	refused("POST", "/assistants", "{\"graph_id\": \"echo\", \"config\": 1}", 400, "config");
	refused("POST", "/assistants", "{\"graph_id\": \"echo\", \"if_exists\": \"x\"}", 400,
	    "if_exists");
	refused("POST", "/assistants",
	    "{\"graph_id\": \"echo\", \"assistant_id\": \"046b5dc7-2108-582c-9c6c-31d556d138f0\"}",
	    409, NULL);
	refused("POST", "/assistants/search", "{\"limit\": 0}", 400, "limit");
	refused("POST", "/assistants/search", "{\"limit\": 1001}", 400, "limit");
	refused("POST", "/assistants/search", "{\"offset\": -1}", 400, "offset");
	refused("POST", "/assistants/search", "{\"sort_by\": \"colour\"}", 400, "sort_by");
}
END_TEST

START_TEST(a_graph_is_drawn_with_its_beginning_and_end)
{
	json_t *j = done("GET", "/assistants/agent/graph", NULL), *nodes, *edges;

	nodes = json_object_get(j, "nodes");
	edges = json_object_get(j, "edges");
	ck_assert_uint_eq(json_array_size(nodes), 4);
	ck_assert_str_eq(text(json_array_get(nodes, 0), "id"), "__start__");
	ck_assert_str_eq(text(json_array_get(nodes, 3), "id"), "__end__");
	ck_assert_uint_eq(json_array_size(edges), 4);
	ck_assert(json_is_true(json_object_get(json_array_get(edges, 1), "conditional")));
	ck_assert_str_eq(text(done("GET", "/assistants/agent/schemas", NULL), "graph_id"), "agent");
	ck_assert_uint_eq(json_object_size(done("GET", "/assistants/agent/subgraphs", NULL)), 0);
	refused("GET", "/assistants/none/graph", NULL, 404, NULL);
}
END_TEST

/* ---------------------------------------------------------------- store */

static void
put(const char *json)
{
	ck_assert_int_eq(ask(c, "PUT", "/store/items", json)->status, 204);
}

START_TEST(the_store_keeps_values_under_namespaces)
{
	json_t *j;

	put("{\"namespace\": [\"s\", \"a\"], \"key\": \"k1\", \"value\": {\"n\": 1, \"t\": "
	    "\"red\"}}");
	put("{\"namespace\": [\"s\", \"a\"], \"key\": \"k2\", \"value\": {\"n\": 2, \"t\": \"blue "
	    "sky\"}}");
	put("{\"namespace\": [\"s\", \"b\"], \"key\": \"k1\", \"value\": {\"n\": 3}}");
	put("{\"namespace\": [\"sx\"], \"key\": \"k1\", \"value\": {\"n\": 4}}");
	j = done("GET", "/store/items?namespace=s.a&key=k1", NULL);
	ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(j, "value"), "n")), 1);
	put("{\"namespace\": [\"s\", \"a\"], \"key\": \"k1\", \"value\": {\"n\": 5, \"t\": "
	    "\"red\"}}");
	j = done("GET", "/store/items?namespace=s.a&key=k1", NULL);
	ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(j, "value"), "n")), 5);
	ck_assert(json_is_null(done("GET", "/store/items?namespace=s.a&key=none", NULL)));
#define FOUND(body, n)                                                                            \
	ck_assert_uint_eq(                                                                        \
	    json_array_size(json_object_get(done("POST", "/store/items/search", body), "items")), \
	    n)
	FOUND("{\"namespace_prefix\": [\"s\"]}", 3);
	FOUND("{\"namespace_prefix\": [\"s\", \"a\"]}", 2);
	FOUND("{\"namespace_prefix\": []}", 4);
	FOUND("{\"namespace_prefix\": [\"s\"], \"limit\": 2, \"offset\": 2}", 1);
	FOUND("{\"namespace_prefix\": [\"s\"], \"filter\": {\"n\": 3}}", 1);
	FOUND("{\"namespace_prefix\": [\"s\"], \"filter\": {\"n\": {\"$gt\": 2}}}", 2);
	FOUND("{\"namespace_prefix\": [\"s\"], \"filter\": {\"n\": {\"$gte\": 2, \"$lt\": 5}}}", 2);
	FOUND("{\"namespace_prefix\": [\"s\"], \"filter\": {\"t\": {\"$ne\": \"red\"}}}", 2);
	FOUND("{\"namespace_prefix\": [\"s\"], \"filter\": {\"t\": {\"$gt\": 1}}}", 0);
	FOUND("{\"namespace_prefix\": [\"s\"], \"query\": \"sky\"}", 1);
	j = json_object_get(
	    done("POST", "/store/namespaces", "{\"prefix\": [\"s\"]}"), "namespaces");
	ck_assert_uint_eq(json_array_size(j), 2);
	j = json_object_get(done("POST", "/store/namespaces", "{\"max_depth\": 1}"), "namespaces");
	ck_assert_uint_eq(json_array_size(j), 2);
	j = json_object_get(
	    done("POST", "/store/namespaces", "{\"suffix\": [\"*\", \"b\"]}"), "namespaces");
	ck_assert_uint_eq(json_array_size(j), 1);
	ck_assert_int_eq(
	    ask(c, "DELETE", "/store/items", "{\"namespace\": [\"s\", \"b\"], \"key\": \"k1\"}")
		->status,
	    204);
	FOUND("{\"namespace_prefix\": [\"s\"]}", 2);
}
END_TEST

START_TEST(bad_store_requests_say_what_is_wrong)
{
	static const char *const bad[][2] = {
		{ "{\"key\": \"k\", \"value\": {}}", "namespace" },
		{ "{\"namespace\": [], \"key\": \"k\", \"value\": {}}", "namespace" },
		{ "{\"namespace\": [\"\"], \"key\": \"k\", \"value\": {}}", "namespace" },
		{ "{\"namespace\": [\"a.b\"], \"key\": \"k\", \"value\": {}}", "namespace" },
		{ "{\"namespace\": \"a\", \"key\": \"k\", \"value\": {}}", "namespace" },
		{ "{\"namespace\": [\"a\"], \"key\": \"\", \"value\": {}}", "key" },
		{ "{\"namespace\": [\"a\"], \"key\": \"k\", \"value\": 1}", "value" },
		{ "{\"namespace\": [\"a\"], \"key\": \"k\", \"value\": {}, \"ttl\": 5}", "ttl" },
		{ "{\"namespace\": [\"a\"], \"key\": \"k\", \"value\": {}, \"index\": [\"x\"]}",
		    "index" },
	};
	size_t i;

	for (i = 0; i < sizeof bad / sizeof *bad; i++)
		refused("PUT", "/store/items", bad[i][0], 400, bad[i][1]);
	refused("GET", "/store/items?namespace=a..b&key=k", NULL, 400, "namespace");
	refused("GET", "/store/items?namespace=a", NULL, 400, "key");
	refused("POST", "/store/items/search",
	    "{\"namespace_prefix\": [], \"filter\": {\"n\": {\"$like\": 1}}}", 400,
	    "filter.n.$like");
	refused("POST", "/store/namespaces", "{\"max_depth\": 0}", 400, "max_depth");
}
END_TEST

/* ---------------------------------------------------------------- threads */

START_TEST(threads_are_made_changed_found_and_deleted)
{
	char *id = made("/threads", "{\"metadata\": {\"kind\": \"crud\"}}", "thread_id"), *copy;
	json_t *j;

	j = done("GET", path_to("/threads/%s", id), NULL);
	ck_assert_str_eq(text(j, "status"), "idle");
	ck_assert(json_is_null(json_object_get(j, "values")));
	j = done("PATCH", path_to("/threads/%s", id), "{\"metadata\": {\"more\": true}}");
	ck_assert_uint_eq(json_object_size(json_object_get(j, "metadata")), 2);
	refused("POST", "/threads", path_to("{\"thread_id\": \"%s\"}", id), 409, NULL);
	done("POST", "/threads",
	    path_to("{\"thread_id\": \"%s\", \"if_exists\": \"do_nothing\"}", id));
	copy = made(path_to("/threads/%s/copy", id), "{}", "thread_id");
	ck_assert_str_ne(copy, id);
	j = done("POST", "/threads/search",
	    "{\"metadata\": {\"kind\": \"crud\"}, \"limit\": 1, \"select\": [\"thread_id\"]}");
	ck_assert_uint_eq(json_array_size(j), 1);
	ck_assert_uint_eq(json_object_size(json_array_get(j, 0)), 1);
	ck_assert_int_eq(json_integer_value(done(
			     "POST", "/threads/count", "{\"metadata\": {\"kind\": \"crud\"}}")),
	    2);
	j = done("POST", "/threads/search",
	    path_to("{\"ids\": [\"%s\"], \"sort_by\": \"updated_at\", "
		    "\"sort_order\": \"asc\", \"status\": \"idle\"}",
		id));
	ck_assert_uint_eq(json_array_size(j), 1);
	j = done("GET", path_to("/threads/%s/state", id), NULL);
	ck_assert_uint_eq(json_array_size(json_object_get(j, "next")), 0);
	ck_assert(json_is_null(json_object_get(j, "checkpoint")));
	ck_assert_uint_eq(
	    json_array_size(done("POST", path_to("/threads/%s/history", id), "{}")), 0);
	ck_assert_uint_eq(json_array_size(done("GET", path_to("/threads/%s/runs", id), NULL)), 0);
	j = done(
	    "POST", "/threads/prune", path_to("{\"thread_ids\": [\"%s\", \"" NOBODY "\"]}", copy));
	ck_assert_int_eq(json_integer_value(json_object_get(j, "pruned_count")), 1);
	ck_assert_int_eq(ask(c, "DELETE", path_to("/threads/%s", id), NULL)->status, 204);
	refused("GET", path_to("/threads/%s", id), NULL, 404, NULL);
	refused("DELETE", path_to("/threads/%s", id), NULL, 404, NULL);
	free(id);
	free(copy);
}
END_TEST

START_TEST(bad_thread_requests_say_what_is_wrong)
{
	char *id = made("/threads", "{}", "thread_id");

	refused("POST", "/threads", "{\"thread_id\": \"x\"}", 400, "thread_id");
	refused("POST", "/threads", "{\"metadata\": []}", 400, "metadata");
	refused("POST", "/threads", "{\"ttl\": {\"ttl\": 5}}", 400, "ttl");
	refused("POST", "/threads", "{\"supersteps\": [{}]}", 400, "supersteps");
	refused("GET", "/threads/x", NULL, 404, NULL);
	refused("GET", "/threads/" NOBODY "/state", NULL, 404, NULL);
	refused("POST", "/threads/" NOBODY "/copy", NULL, 404, NULL);
	refused("GET", path_to("/threads/%s/state/x", id), NULL, 400, "checkpoint_id");
	refused("GET", path_to("/threads/%s/state/" NOBODY ":0", id), NULL, 404, "checkpoint_id");
	refused("POST", path_to("/threads/%s/state", id), "{\"values\": {}}", 400, NULL);
	refused("POST", path_to("/threads/%s/state", id), "{\"values\": 1}", 400, "values");
	refused("POST", path_to("/threads/%s/state/checkpoint", id),
	    "{\"checkpoint\": {\"checkpoint_id\": \"" NOBODY ":0\", \"checkpoint_ns\": \"sub\"}}",
	    400, "checkpoint.checkpoint_ns");
	refused("POST", path_to("/threads/%s/history", id), "{\"before\": \"x\"}", 400, "before");
	refused("POST", path_to("/threads/%s/history", id), "{\"limit\": 0}", 400, "limit");
	refused("POST", "/threads/search", "{\"status\": \"asleep\"}", 400, "status");
	refused("POST", "/threads/search", "{\"ids\": [\"x\"]}", 400, "ids");
	refused("GET", path_to("/threads/%s/runs?limit=x", id), NULL, 400, "limit");
	refused("GET", path_to("/threads/%s/runs?status=x", id), NULL, 400, "status");
	refused("GET", path_to("/threads/%s/runs/" NOBODY, id), NULL, 404, NULL);
	free(id);
}
END_TEST

/* ---------------------------------------------------------------- runs */

START_TEST(bad_runs_are_refused_before_they_begin)
{
	static const char *const bad[][2] = {
		{ "{}", "assistant_id" },
		{ "{\"assistant_id\": \"echo\", \"inptu\": {}}", "inptu" },
		{ "{\"assistant_id\": \"echo\", \"stream_mode\": \"x\"}", "stream_mode" },
		{ "{\"assistant_id\": \"echo\", \"stream_mode\": [1]}", "stream_mode" },
		{ "{\"assistant_id\": \"echo\", \"multitask_strategy\": \"x\"}",
		    "multitask_strategy" },
		{ "{\"assistant_id\": \"echo\", \"after_seconds\": -1}", "after_seconds" },
		{ "{\"assistant_id\": \"echo\", \"after_seconds\": 1e300}", "after_seconds" },
		{ "{\"assistant_id\": \"echo\", \"webhook\": \"http://x\"}", "webhook" },
		{ "{\"assistant_id\": \"echo\", \"feedback_keys\": [\"x\"]}", "feedback_keys" },
		{ "{\"assistant_id\": \"echo\", \"interrupt_before\": \"echo\"}",
		    "interrupt_before" },
		{ "{\"assistant_id\": \"echo\", \"interrupt_after\": [1]}", "interrupt_after" },
		{ "{\"assistant_id\": \"echo\", \"command\": {\"x\": 1}}", "command.x" },
		{ "{\"assistant_id\": \"echo\", \"command\": {\"goto\": {\"node\": \"x\"}}}",
		    "command.goto" },
		{ "{\"assistant_id\": \"echo\", \"command\": {\"goto\": [\"x\", \"y\"]}}",
		    "command.goto" },
		{ "{\"assistant_id\": \"echo\", \"command\": {\"update\": [[\"x\"]]}}",
		    "command.update" },
		{ "{\"assistant_id\": \"echo\", \"checkpoint_id\": \"x\"}", "checkpoint_id" },
		{ "{\"assistant_id\": \"echo\", \"checkpoint\": {\"x\": 1}}", "checkpoint.x" },
		{ "{\"assistant_id\": \"echo\", \"on_disconnect\": \"x\"}", "on_disconnect" },
		{ "{\"assistant_id\": \"echo\", \"on_completion\": \"x\"}", "on_completion" },
		{ "{\"assistant_id\": \"echo\", \"if_not_exists\": \"x\"}", "if_not_exists" },
	};
	char *id = made("/threads", "{}", "thread_id");
	size_t i;

	for (i = 0; i < sizeof bad / sizeof *bad; i++) {
		refused("POST", "/runs", bad[i][0], 400, bad[i][1]);
		refused("POST", path_to("/threads/%s/runs/stream", id), bad[i][0], 400, bad[i][1]);
	}
	refused("POST", "/runs/wait", "{\"assistant_id\": \"none\"}", 404, "assistant_id");
	refused("POST", "/threads/" NOBODY "/runs", "{\"assistant_id\": \"echo\"}", 404, NULL);
	refused("POST", "/threads/x/runs", "{\"assistant_id\": \"echo\"}", 404, NULL);
	refused("POST", "/runs/batch", "[]", 400, NULL);
	refused(
	    "POST", "/runs/batch", "[{\"assistant_id\": \"echo\"}, {}]", 400, "[1].assistant_id");
	refused("POST", "/runs/cancel", "{}", 400, NULL);
	refused("POST", path_to("/threads/%s/runs/" NOBODY "/cancel", id), NULL, 404, NULL);
	refused("POST", path_to("/threads/%s/runs/" NOBODY "/cancel?action=x", id), NULL, 400,
	    "action");
	ck_assert_uint_eq(json_array_size(done("GET", path_to("/threads/%s/runs", id), NULL)), 0);
	free(id);
}
END_TEST

#define QUESTION "{\"assistant_id\": \"approve\", \"input\": {\"messages\": []}}"

START_TEST(a_copy_lives_on_without_its_original)
{
	char *id = made("/threads", "{}", "thread_id"), *copy;
	json_t *j;

	done("POST", path_to("/threads/%s/runs/wait", id), QUESTION);
	copy = made(path_to("/threads/%s/copy", id), "{}", "thread_id");
	ck_assert_int_eq(ask(c, "DELETE", path_to("/threads/%s", id), NULL)->status, 204);
	j = done("GET", path_to("/threads/%s/state", copy), NULL);
	ck_assert_str_eq(json_string_value(json_array_get(json_object_get(j, "next"), 0)), "ask");
	ck_assert_str_eq(
	    text(done("GET", path_to("/threads/%s", copy), NULL), "status"), "interrupted");
	j = done("POST", path_to("/threads/%s/runs/wait", copy),
	    "{\"assistant_id\": \"approve\", \"command\": {\"resume\": \"yes\"}}");
	ck_assert_str_eq(text(j, "answer"), "yes");
	free(id);
	free(copy);
}
END_TEST

/* Asks for the run itself, whatever its thread, until it is not there. */
static void
is_gone(const char *run_id)
{
	struct timespec pause = { 0, 20 * 1000 * 1000 };
	int i;

	for (i = 0; i < 1000 && client_get(c, path_to("/v1/runs/%s", run_id))->status != 404; i++)
		nanosleep(&pause, NULL); /* the state of another process: there is no event */
	ck_assert_int_eq(client_get(c, path_to("/v1/runs/%s", run_id))->status, 404);
}

START_TEST(a_thread_that_is_deleted_takes_its_runs_along)
{
	char *id = made("/threads", "{}", "thread_id"), *over, *live;

	over = made(path_to("/threads/%s/runs", id), QUESTION, "run_id");
	done("GET", path_to("/threads/%s/runs/%s/join", id, over), NULL);
	live = made(path_to("/threads/%s/runs", id),
	    "{\"assistant_id\": \"slow\", \"input\": {\"ms\": 60000}}", "run_id");
	ck_assert_str_eq(text(done("GET", path_to("/threads/%s", id), NULL), "status"), "busy");
	ck_assert_int_eq(ask(c, "DELETE", path_to("/threads/%s", id), NULL)->status, 204);
	is_gone(over);
	is_gone(live);
	free(id);
	free(over);
	free(live);
}
END_TEST

START_TEST(a_run_may_begin_later_and_be_cancelled_before)
{
	char *id = made("/threads", "{}", "thread_id"), *run;
	json_t *j;

	run = made(path_to("/threads/%s/runs", id),
	    "{\"assistant_id\": \"echo\", \"after_seconds\": 3600, \"metadata\": {\"a\": 1}}",
	    "run_id");
	j = done("GET", path_to("/threads/%s/runs/%s", id, run), NULL);
	ck_assert_str_eq(text(j, "status"), "pending");
	ck_assert_int_eq(
	    json_integer_value(json_object_get(json_object_get(j, "metadata"), "a")), 1);
	ck_assert_uint_eq(
	    json_array_size(done("GET", path_to("/threads/%s/runs?status=pending", id), NULL)), 1);
	done("POST", path_to("/threads/%s/runs/%s/cancel?wait=1", id, run), NULL);
	j = done("GET", path_to("/threads/%s/runs/%s", id, run), NULL);
	ck_assert_str_eq(text(j, "status"), "interrupted");
	free(id);
	free(run);
}
END_TEST

START_TEST(the_context_is_what_assistant_thread_and_run_say)
{
	char *id = made("/threads", "{}", "thread_id"), *assistant, *run;
	char body[400];
	json_t *events, *context;

	assistant = made("/assistants",
	    "{\"graph_id\": \"echo\", \"config\": {\"configurable\": {\"a\": 1, \"b\": 1}}, "
	    "\"context\": {\"d\": 1}}",
	    "assistant_id");
	snprintf(body, sizeof body,
	    "{\"assistant_id\": \"%s\", \"input\": {\"messages\": [\"x\"]}, \"config\": "
	    "{\"configurable\": {\"b\": 2, \"c\": 2, \"thread_id\": \"x\"}}, \"context\": "
	    "{\"e\": 2}}",
	    assistant);
	run = made(path_to("/threads/%s/runs", id), body, "run_id");
	done("GET", path_to("/threads/%s/runs/%s/join", id, run), NULL);
	events = json_object_get(done("GET", path_to("/v1/runs/%s", run), NULL), "events");
	context = json_pack("{s:i, s:i, s:i, s:i, s:i}", "a", 1, "b", 2, "c", 2, "d", 1, "e", 2);
	ck_assert_msg(json_equal(json_object_get(json_array_get(events, 0), "context"), context),
	    "%s", json_dumps(json_array_get(events, 0), 0));
	json_decref(context);
	free(id);
	free(assistant);
	free(run);
}
END_TEST

/* ---------------------------------------------------------------- who may what */

START_TEST(what_is_another_tenants_does_not_exist)
{
	char *thread = made("/threads", "{}", "thread_id");
	char *assistant = made("/assistants", "{\"graph_id\": \"echo\"}", "assistant_id");
	struct client *mine = c;
	char body[200];

	put("{\"namespace\": [\"mine\"], \"key\": \"k\", \"value\": {}}");
	c = other;
	refused("GET", path_to("/threads/%s", thread), NULL, 404, NULL);
	refused("PATCH", path_to("/threads/%s", thread), "{}", 404, NULL);
	refused("DELETE", path_to("/threads/%s", thread), NULL, 404, NULL);
	refused("POST", path_to("/threads/%s/copy", thread), NULL, 404, NULL);
	refused("GET", path_to("/threads/%s/state", thread), NULL, 404, NULL);
	refused("POST", path_to("/threads/%s/history", thread), "{}", 404, NULL);
	refused("GET", path_to("/threads/%s/runs", thread), NULL, 404, NULL);
	refused("GET", path_to("/threads/%s/stream", thread), NULL, 404, NULL);
	refused("PATCH", path_to("/threads/%s/state", thread), "{\"metadata\": {}}", 404, NULL);
	refused(
	    "DELETE", path_to("/assistants/%s?delete_threads=true", assistant), NULL, 404, NULL);
	refused(
	    "POST", path_to("/threads/%s/runs", thread), "{\"assistant_id\": \"echo\"}", 404, NULL);
	refused("GET", path_to("/assistants/%s", assistant), NULL, 404, NULL);
	refused("PATCH", path_to("/assistants/%s", assistant), "{}", 404, NULL);
	refused("DELETE", path_to("/assistants/%s", assistant), NULL, 404, NULL);
	snprintf(body, sizeof body, "{\"assistant_id\": \"%s\"}", assistant);
	refused("POST", "/runs", body, 404, "assistant_id");
	ck_assert(json_is_null(done("GET", "/store/items?namespace=mine&key=k", NULL)));
	/* the same name in another tenant is another thing */
	put("{\"namespace\": [\"mine\"], \"key\": \"k\", \"value\": {\"theirs\": 1}}");
	c = mine;
	ck_assert_uint_eq(json_object_size(json_object_get(
			      done("GET", "/store/items?namespace=mine&key=k", NULL), "value")),
	    0);
	free(thread);
	free(assistant);
}
END_TEST

START_TEST(each_area_has_its_permissions)
{
	char *reader = house_key_with(0, "threads:read assistants:read store:read runs:read");

	ck_assert_int_eq(ask(c, "GET", "/ok", NULL)->status, 200);
	client_key(c, NULL);
	ck_assert_int_eq(ask(c, "GET", "/ok", NULL)->status, 200);
	ck_assert_int_eq(ask(c, "GET", "/info", NULL)->status, 200);
	refused("POST", "/threads", "{}", 401, NULL);
	client_key(c, reader);
	done("POST", "/threads/search", "{}");
	done("POST", "/assistants/search", "{}");
	done("POST", "/store/namespaces", "{}");
	refused("POST", "/threads", "{}", 403, NULL);
	refused("POST", "/assistants", "{}", 403, NULL);
	refused("PUT", "/store/items", "{}", 403, NULL);
	refused("POST", "/runs/wait", "{}", 403, NULL);
	refused("POST", "/runs/stream", "{}", 403, NULL);
	refused("PATCH", "/threads/" NOBODY "/state", "{\"metadata\": {}}", 403, NULL);
	free(reader);
	/* who may delete assistants may not delete threads by the way */
	reader = house_key_with(0, "assistants:write assistants:read");
	client_key(c, reader);
	refused("DELETE", "/assistants/" NOBODY "?delete_threads=true", NULL, 403, NULL);
	refused("DELETE", "/assistants/" NOBODY, NULL, 404, NULL);
	free(reader);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("langgraph");
	TCase *t = tcase_create("langgraph");
	SRunner *runner;
	int failed;

	house_start("  auth: {}\n  runs: {}\n  langgraph: {}\n  graphs: {}\n", NULL, SERVERS_PG);
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, workflows_are_assistants_by_themselves);
	tcase_add_test(t, an_assistant_keeps_every_version);
	tcase_add_test(t, bad_assistants_are_refused);
	tcase_add_test(t, a_graph_is_drawn_with_its_beginning_and_end);
	tcase_add_test(t, the_store_keeps_values_under_namespaces);
	tcase_add_test(t, bad_store_requests_say_what_is_wrong);
	tcase_add_test(t, threads_are_made_changed_found_and_deleted);
	tcase_add_test(t, bad_thread_requests_say_what_is_wrong);
	tcase_add_test(t, bad_runs_are_refused_before_they_begin);
	tcase_add_test(t, a_copy_lives_on_without_its_original);
	tcase_add_test(t, a_thread_that_is_deleted_takes_its_runs_along);
	tcase_add_test(t, a_run_may_begin_later_and_be_cancelled_before);
	tcase_add_test(t, the_context_is_what_assistant_thread_and_run_say);
	tcase_add_test(t, what_is_another_tenants_does_not_exist);
	tcase_add_test(t, each_area_has_its_permissions);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	house_stop();
	return failed != 0;
}
