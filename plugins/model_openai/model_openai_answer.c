/* model_openai_answer.c: see model_openai_answer.h. */
#include "plugins/model_openai/model_openai_answer.h"

#include <stdlib.h>
#include <string.h>

struct answer *
answer_new(size_t max)
{
	struct answer *a = calloc(1, sizeof *a);

	if (a != NULL) {
		buf_init(&a->content, max);
		a->max = max;
	}
	return a;
}

void
answer_free(struct answer *a)
{
	size_t i;

	if (a == NULL)
		return;
	for (i = 0; i < a->n_tools; i++) {
		free(a->tools[i].id);
		free(a->tools[i].name);
		buf_fini(&a->tools[i].arguments);
	}
	buf_fini(&a->content);
	free(a);
}

static enum answer_result
bad(struct answer *a, const char *why)
{
	a->why = why;
	return ANSWER_BAD;
}

static int
is_absent(const json_t *v)
{
	return v == NULL || json_is_null(v);
}

/* OpenAI's reasons as they are; anything else that ended an answer (some servers say "eos" or
 * "end_turn") is a stop. */
static const char *
known_reason(const char *z)
{
	static const char *const known[] = { "stop", "length", "tool_calls", "content_filter" };
	size_t i;

	for (i = 0; i < sizeof known / sizeof known[0]; i++)
		if (strcmp(z, known[i]) == 0)
			return known[i];
	return "stop";
}

static int
count(const json_t *v, int64_t *ret)
{
	if (!json_is_integer(v) || json_integer_value(v) < 0 ||
	    json_integer_value(v) > ANSWER_TOKENS_MAX)
		return -1;
	*ret = json_integer_value(v);
	return 0;
}

/* Takes the usage if every number of it can be one. Some servers send it with each chunk: the last
 * counts. */
static void
take_usage(struct answer *a, const json_t *u)
{
	int64_t prompt, completion, cached = 0, reasoning = 0;

	if (!json_is_object(u) || count(json_object_get(u, "prompt_tokens"), &prompt) != 0 ||
	    count(json_object_get(u, "completion_tokens"), &completion) != 0)
		return;
	if (count(json_object_get(json_object_get(u, "prompt_tokens_details"), "cached_tokens"),
		&cached) != 0 ||
	    cached > prompt)
		cached = 0;
	if (count(json_object_get(
		      json_object_get(u, "completion_tokens_details"), "reasoning_tokens"),
		&reasoning) != 0 ||
	    reasoning > completion)
		reasoning = 0;
	a->prompt_tokens = prompt;
	a->completion_tokens = completion;
	a->cached_tokens = cached;
	a->reasoning_tokens = reasoning;
	a->has_usage = 1;
}

/* Sets a short text once; later pieces may repeat it (some servers do) but not change it. */
static int
take_name(char **place, const json_t *v)
{
	if (is_absent(v) || (json_is_string(v) && json_string_length(v) == 0))
		return 0;
	if (!json_is_string(v) || json_string_length(v) > ANSWER_NAME_MAX)
		return -1;
	if (*place != NULL)
		return strcmp(*place, json_string_value(v)) == 0 ? 0 : -1;
	*place = strdup(json_string_value(v));
	return *place == NULL ? -1 : 0;
}

/* Which call a piece belongs to: by index; without one (several servers leave it away) a piece with
 * an id begins a call and one without goes on with the last. -1 when there can be no such. */
static int
tool_place(struct answer *a, const json_t *piece, size_t at)
{
	const json_t *index = json_object_get(piece, "index");
	size_t i;

	if (json_is_integer(index))
		i = json_integer_value(index) < 0 ? SIZE_MAX : (size_t)json_integer_value(index);
	else if (json_is_string(json_object_get(piece, "id")))
		i = a->n_tools;
	else
		i = a->n_tools == 0 ? at : a->n_tools - 1;
	if (i >= ANSWER_TOOL_CALLS_MAX || i > a->n_tools)
		return -1;
	if (i == a->n_tools)
		buf_init(&a->tools[a->n_tools++].arguments, a->max);
	return (int)i;
}

/* One piece of a tool call. *ret: the same piece with nothing in it but what we know. */
static enum answer_result
take_tool(struct answer *a, const json_t *piece, size_t at, json_t **ret)
{
	const json_t *function = json_object_get(piece, "function"), *args;
	struct answer_tool *tool;
	json_t *f;
	int i = json_is_object(piece) ? tool_place(a, piece, at) : -1;

	if (i < 0)
		return bad(a, "a tool call has no place");
	tool = &a->tools[i];
	args = json_object_get(function, "arguments");
	if (take_name(&tool->id, json_object_get(piece, "id")) != 0 ||
	    take_name(&tool->name, json_object_get(function, "name")) != 0)
		return bad(a, "a tool call's id or name is none");
	if (!is_absent(args) && !json_is_string(args))
		return bad(a, "a tool call's arguments are no text");
	if (!is_absent(args) &&
	    buf_add(&tool->arguments, json_string_value(args), json_string_length(args)) != 0)
		return ANSWER_LARGE;
	f = json_object();
	if (json_is_string(json_object_get(function, "name")))
		json_object_set(f, "name", json_object_get(function, "name"));
	if (json_is_string(args))
		json_object_set(f, "arguments", (json_t *)args);
	*ret = json_pack("{s:i, s:o}", "index", i, "function", f);
	if (*ret == NULL)
		return ANSWER_LARGE;
	if (json_is_string(json_object_get(piece, "id")))
		json_object_update_new(*ret,
		    json_pack(
			"{s:O, s:s}", "id", json_object_get(piece, "id"), "type", "function"));
	return ANSWER_OK;
}

static enum answer_result
take_tools(struct answer *a, const json_t *calls, json_t *delta)
{
	enum answer_result r;
	json_t *list, *piece;
	size_t i;

	if (is_absent(calls) || (json_is_array(calls) && json_array_size(calls) == 0))
		return ANSWER_OK;
	if (!json_is_array(calls))
		return bad(a, "tool_calls is no list");
	list = json_array();
	if (list == NULL || json_object_set_new(delta, "tool_calls", list) != 0)
		return ANSWER_LARGE;
	for (i = 0; i < json_array_size(calls); i++) {
		r = take_tool(a, json_array_get(calls, i), i, &piece);
		if (r != ANSWER_OK)
			return r;
		if (json_array_append_new(list, piece) != 0)
			return ANSWER_LARGE;
	}
	return ANSWER_OK;
}

/* A delta or a message: both have content and tool_calls. delta gets what was new. */
static enum answer_result
take_message(struct answer *a, const json_t *m, json_t *delta)
{
	json_t *content = json_object_get(m, "content");

	if (is_absent(content))
		content = json_object_get(m, "refusal"); /* a refusal is the model's answer too */
	if (!is_absent(content) && !json_is_string(content))
		return bad(a, "content is no text");
	if (!is_absent(content) && json_string_length(content) > 0) {
		if (buf_add(&a->content, json_string_value(content), json_string_length(content)) !=
			0 ||
		    json_object_set(delta, "content", content) != 0)
			return ANSWER_LARGE;
	}
	return take_tools(a, json_object_get(m, "tool_calls"), delta);
}

/* What chunks and whole bodies share; part is "delta" or "message". */
static enum answer_result
take(struct answer *a, const json_t *o, const char *part, json_t *delta)
{
	const json_t *choices, *choice, *m, *reason;
	enum answer_result r;

	if (!json_is_object(o))
		return bad(a, "it is no object");
	if (!is_absent(json_object_get(o, "error")))
		return ANSWER_ERROR;
	take_usage(a, json_object_get(o, "usage"));
	choices = json_object_get(o, "choices");
	if (!json_is_array(choices))
		return bad(a, "it has no choices");
	if (json_array_size(choices) == 0)
		return ANSWER_OK; /* the chunk that carries the usage */
	choice = json_array_get(choices, 0);
	m = json_object_get(choice, part);
	reason = json_object_get(choice, "finish_reason");
	if (!json_is_object(m) && !(is_absent(m) && json_is_string(reason)))
		return bad(a, "a choice has no message");
	if (!is_absent(reason) && !json_is_string(reason))
		return bad(a, "finish_reason is no text");
	a->any = 1;
	r = m == NULL ? ANSWER_OK : take_message(a, m, delta);
	if (r == ANSWER_OK && json_is_string(reason))
		a->finish_reason = known_reason(json_string_value(reason));
	return r;
}

enum answer_result
answer_chunk(struct answer *a, const json_t *chunk, json_t **ret_delta)
{
	json_t *delta = json_object();
	enum answer_result r;

	*ret_delta = NULL;
	if (delta == NULL)
		return ANSWER_LARGE;
	r = take(a, chunk, "delta", delta);
	if (r == ANSWER_OK && json_object_size(delta) > 0)
		*ret_delta = delta;
	else
		json_decref(delta);
	return r;
}

enum answer_result
answer_whole(struct answer *a, const json_t *body)
{
	json_t *delta = json_object();
	enum answer_result r;

	if (delta == NULL)
		return ANSWER_LARGE;
	r = take(a, body, "message", delta);
	json_decref(delta);
	if (r == ANSWER_OK && !a->any)
		return bad(a, "it has no choice");
	if (r == ANSWER_OK && a->finish_reason == NULL)
		a->finish_reason = a->n_tools > 0 ? "tool_calls" : "stop";
	return r;
}

static json_t *
tool_list(const struct answer *a, int with_index)
{
	json_t *list = json_array(), *call;
	const struct answer_tool *t;
	size_t i;

	for (i = 0; list != NULL && i < a->n_tools; i++) {
		t = &a->tools[i];
		call = json_pack("{s:s, s:s, s:{s:s, s:s#}}", "id", t->id, "type", "function",
		    "function", "name", t->name, "arguments",
		    t->arguments.p == NULL ? "" : t->arguments.p, (int)t->arguments.n);
		if (call != NULL && with_index)
			json_object_set_new(call, "index", json_integer((json_int_t)i));
		if (call == NULL || json_array_append_new(list, call) != 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *
content_of(const struct answer *a)
{
	return json_stringn(a->content.p == NULL ? "" : a->content.p, a->content.n);
}

static int
tools_complete(struct answer *a)
{
	size_t i;

	for (i = 0; i < a->n_tools; i++)
		if (a->tools[i].id == NULL || a->tools[i].name == NULL) {
			a->why = "a tool call has no id or no name";
			return 0;
		}
	return 1;
}

json_t *
answer_as_delta(const struct answer *a)
{
	json_t *delta = json_object();

	if (delta != NULL && a->content.n > 0)
		json_object_set_new(delta, "content", content_of(a));
	if (delta != NULL && a->n_tools > 0)
		json_object_set_new(delta, "tool_calls", tool_list(a, 1));
	if (json_object_size(delta) > 0)
		return delta;
	json_decref(delta);
	return NULL;
}

static json_t *
usage_of(const struct answer *a, const struct model *m, size_t prompt_bytes)
{
	int64_t prompt = a->prompt_tokens, completion = a->completion_tokens;
	size_t i, bytes = a->content.n;
	json_t *u;

	if (!a->has_usage) {
		for (i = 0; i < a->n_tools; i++)
			bytes += a->tools[i].arguments.n;
		prompt = (int64_t)(prompt_bytes + 3) / 4;
		completion = (int64_t)(bytes + 3) / 4;
	}
	u = json_pack("{s:I, s:I, s:I}", "prompt_tokens", (json_int_t)prompt, "completion_tokens",
	    (json_int_t)completion, "total_tokens", (json_int_t)(prompt + completion));
	if (u == NULL)
		return NULL;
	if (!a->has_usage)
		json_object_set_new(u, "estimated", json_true());
	if (a->cached_tokens > 0)
		json_object_set_new(u, "prompt_tokens_details",
		    json_pack("{s:I}", "cached_tokens", (json_int_t)a->cached_tokens));
	if (a->reasoning_tokens > 0)
		json_object_set_new(u, "completion_tokens_details",
		    json_pack("{s:I}", "reasoning_tokens", (json_int_t)a->reasoning_tokens));
	if (m->price_prompt != CONF_PRICE_NONE)
		json_object_set_new(u, "cost_nanos",
		    json_integer(prompt * m->price_prompt + completion * m->price_completion));
	return u;
}

json_t *
answer_result(struct answer *a, const struct model *m, size_t prompt_bytes)
{
	json_t *message, *tools;

	if (!tools_complete(a))
		return NULL;
	message = json_pack("{s:s, s:o}", "role", "assistant", "content",
	    a->content.n == 0 && a->n_tools > 0 ? json_null() : content_of(a));
	tools = a->n_tools == 0 ? NULL : tool_list(a, 0);
	if (message != NULL && tools != NULL)
		json_object_set_new(message, "tool_calls", tools);
	else
		json_decref(tools);
	return json_pack("{s:s, s:o, s:s, s:o}", "model", m->id, "message", message,
	    "finish_reason",
	    a->finish_reason != NULL ? a->finish_reason
		: a->n_tools > 0     ? "tool_calls"
				     : "stop",
	    "usage", usage_of(a, m, prompt_bytes));
}
