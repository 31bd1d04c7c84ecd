/*
 * openai_request.c: the form of a chat completion request, field by field.
 *
 * One table says what each field must be; messages are walked by hand. Nothing is corrected and
 * nothing is dropped silently: a client that asks for something we do not do (two choices, an
 * image, log probabilities) hears so, with the place in `param`, instead of getting half of it.
 * Pure: knows neither hosts nor tasks.
 */
#include "openai_request.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum kind {
	NUMBER,
	INTEGER,
	BOOLEAN,
	TEXT,
	OBJECT,
	ARRAY,
	CHOICE,
	STOP,
	FALSE_ONLY,
	TEXT_MODALITY,
	NO
};

enum {
	REQUIRED = 1,  /* and never null */
	TRANSPORT = 2, /* ends here: a model never sees it */
};

/* The fields of OpenAI's description. For TEXT and ARRAY, max is a length. */
static const struct field {
	const char *name;
	enum kind kind;
	double min, max;
	unsigned flags;
} fields[] = {
	{ "model", TEXT, 1, CHAT_MODEL_MAX, REQUIRED | TRANSPORT },
	{ "messages", ARRAY, 1, CHAT_MESSAGES_MAX, REQUIRED | TRANSPORT },
	{ "stream", BOOLEAN, 0, 0, TRANSPORT },
	{ "stream_options", OBJECT, 0, 0, TRANSPORT },
	{ "max_tokens", INTEGER, 1, 1e7, 0 },
	{ "max_completion_tokens", INTEGER, 1, 1e7, 0 },
	{ "temperature", NUMBER, 0, 2, 0 },
	{ "top_p", NUMBER, 0, 1, 0 },
	{ "n", INTEGER, 1, 1, TRANSPORT },
	{ "stop", STOP, 0, 0, 0 },
	{ "presence_penalty", NUMBER, -2, 2, 0 },
	{ "frequency_penalty", NUMBER, -2, 2, 0 },
	{ "logit_bias", OBJECT, 0, 0, 0 },
	{ "seed", INTEGER, -9e15, 9e15, 0 },
	{ "response_format", OBJECT, 0, 0, 0 },
	{ "tools", ARRAY, 0, CHAT_TOOLS_MAX, 0 },
	{ "tool_choice", CHOICE, 0, 0, 0 },
	{ "parallel_tool_calls", BOOLEAN, 0, 0, 0 },
	{ "reasoning_effort", TEXT, 1, 32, 0 },
	{ "verbosity", TEXT, 1, 32, 0 },
	{ "user", TEXT, 0, 512, TRANSPORT },
	{ "safety_identifier", TEXT, 0, 512, TRANSPORT },
	{ "prompt_cache_key", TEXT, 0, 512, TRANSPORT },
	{ "prompt_cache_retention", TEXT, 0, 32, TRANSPORT },
	{ "service_tier", TEXT, 0, 32, TRANSPORT },
	{ "metadata", OBJECT, 0, 0, TRANSPORT },
	{ "store", FALSE_ONLY, 0, 0, TRANSPORT },
	{ "logprobs", FALSE_ONLY, 0, 0, TRANSPORT },
	{ "modalities", TEXT_MODALITY, 0, 0, TRANSPORT },
	{ "top_logprobs", NO, 0, 0, 0 },
	{ "functions", NO, 0, 0, 0 },
	{ "function_call", NO, 0, 0, 0 },
	{ "audio", NO, 0, 0, 0 },
	{ "prediction", NO, 0, 0, 0 },
	{ "web_search_options", NO, 0, 0, 0 },
};

static int __attribute__((format(printf, 3, 4)))
bad(struct chat_error *err, const char *param, const char *fmt, ...)
{
	va_list ap;

	snprintf(err->param, sizeof err->param, "%s", param);
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof err->text, fmt, ap);
	va_end(ap);
	return -1;
}

static int
invalid(struct chat_error *err, const char *param, const char *must)
{
	return bad(err, param, "Invalid value for '%s': it must be %s.", param, must);
}

static int
unknown(struct chat_error *err, const char *param)
{
	return bad(err, param, "Unknown parameter: '%s'.", param);
}

/* present and not null */
static const json_t *
get(const json_t *object, const char *name)
{
	const json_t *j = json_object_get(object, name);

	return json_is_null(j) ? NULL : j;
}

static int
text_of_length(const json_t *j, size_t min, size_t max)
{
	return json_is_string(j) && json_string_length(j) >= min && json_string_length(j) <= max;
}

/* ---------------------------------------------------------------- messages */

static int
check_members(const json_t *object, const char *known, const char *where, struct chat_error *err)
{
	const char *name;
	char path[96], padded[72];
	json_t *value;

	json_object_foreach((json_t *)object, name, value)
	{
		snprintf(padded, sizeof padded, " %.64s ", name);
		if (strlen(name) <= 64 && strchr(name, ' ') == NULL &&
		    strstr(known, padded) != NULL)
			continue;
		snprintf(path, sizeof path, "%s.%.48s", where, name);
		return unknown(err, path);
	}
	return 0;
}

static int
check_parts(
    const json_t *parts, const char *where, int assistant, size_t *chars, struct chat_error *err)
{
	const json_t *part;
	char path[96];
	size_t i;

	if (json_array_size(parts) == 0 || json_array_size(parts) > CHAT_PARTS_MAX)
		return bad(err, where, "Invalid value for '%s': from 1 to %u parts are taken.",
		    where, CHAT_PARTS_MAX);
	json_array_foreach(parts, i, part)
	{
		const char *type = json_string_value(json_object_get(part, "type"));
		int refusal = assistant && type != NULL && strcmp(type, "refusal") == 0;
		const char *member = refusal ? "refusal" : "text";
		const json_t *text = json_object_get(part, member);

		if (type == NULL || (!refusal && strcmp(type, "text") != 0)) {
			snprintf(path, sizeof path, "%.48s[%zu].type", where, i);
			return invalid(
			    err, path, "\"text\": other kinds of content are not supported");
		}
		snprintf(path, sizeof path, "%.48s[%zu].%s", where, i, member);
		if (!json_is_string(text))
			return invalid(err, path, "a string");
		*chars += json_string_length(text);
		snprintf(path, sizeof path, "%.48s[%zu]", where, i);
		if (check_members(part,
			refusal ? " type refusal " : " type text prompt_cache_breakpoint ", path,
			err) != 0)
			return -1;
	}
	return 0;
}

static int
check_tool_calls(const json_t *calls, const char *where, struct chat_error *err)
{
	const json_t *call;
	char path[96];
	size_t i;

	if (!json_is_array(calls) || json_array_size(calls) == 0 ||
	    json_array_size(calls) > CHAT_TOOL_CALLS_MAX)
		return invalid(err, where, "a list of 1 to 128 tool calls");
	json_array_foreach(calls, i, call)
	{
		const json_t *function = json_object_get(call, "function"),
			     *type = json_object_get(call, "type");

		snprintf(path, sizeof path, "%.48s[%zu].id", where, i);
		if (!text_of_length(json_object_get(call, "id"), 1, 256))
			return invalid(err, path, "a string");
		snprintf(path, sizeof path, "%.48s[%zu].type", where, i);
		if (!json_is_string(type) || strcmp(json_string_value(type), "function") != 0)
			return invalid(err, path, "\"function\"");
		snprintf(path, sizeof path, "%.48s[%zu].function", where, i);
		if (!json_is_string(json_object_get(function, "name")) ||
		    !json_is_string(json_object_get(function, "arguments")))
			return invalid(err, path, "an object with the strings name and arguments");
	}
	return 0;
}

static int
check_message(const json_t *message, size_t i, size_t *chars, struct chat_error *err)
{
	static const char roles[] = " system developer user assistant tool ";
	const json_t *content = get(message, "content"), *calls = get(message, "tool_calls");
	char where[32], path[96], padded[32];
	const char *role;
	int assistant;

	snprintf(where, sizeof where, "messages[%zu]", i);
	if (!json_is_object(message))
		return invalid(err, where, "an object");
	role = json_string_value(json_object_get(message, "role"));
	snprintf(path, sizeof path, "%s.role", where);
	snprintf(padded, sizeof padded, " %.24s ", role == NULL ? "-" : role);
	if (role == NULL || strchr(role, ' ') != NULL || strstr(roles, padded) == NULL)
		return invalid(err, path, "one of system, developer, user, assistant, tool");
	assistant = strcmp(role, "assistant") == 0;

	/* A reply's message may be sent back as it came, so what replies hold is known here. */
	if (check_members(message,
		assistant ? " role content name tool_calls refusal annotations audio function_call "
			    "citations "
		    : strcmp(role, "tool") == 0 ? " role content name tool_call_id "
						: " role content name ",
		where, err) != 0)
		return -1;
	snprintf(path, sizeof path, "%s.name", where);
	if (get(message, "name") != NULL && !text_of_length(get(message, "name"), 1, 64))
		return invalid(err, path, "a string of 1 to 64 bytes");
	snprintf(path, sizeof path, "%s.audio", where);
	if (get(message, "audio") != NULL || get(message, "function_call") != NULL)
		return bad(err, path, "Audio and function_call in messages are not supported.");
	snprintf(path, sizeof path, "%s.tool_call_id", where);
	if (strcmp(role, "tool") == 0 && !text_of_length(get(message, "tool_call_id"), 1, 256))
		return invalid(err, path, "a string: the id of the call that this answers");
	snprintf(path, sizeof path, "%s.tool_calls", where);
	if (calls != NULL && check_tool_calls(calls, path, err) != 0)
		return -1;

	snprintf(path, sizeof path, "%s.content", where);
	if (json_is_string(content)) {
		*chars += json_string_length(content);
		return 0;
	}
	if (json_is_array(content))
		return check_parts(content, path, assistant, chars, err);
	/* Only an assistant may have said nothing: it called tools, or refused. */
	if (content == NULL && assistant && (calls != NULL || get(message, "refusal") != NULL))
		return 0;
	return invalid(err, path, "a string or a list of text parts");
}

/* ---------------------------------------------------------------- fields */

static int
check_stop(const json_t *j)
{
	const json_t *one;
	size_t i;

	if (json_is_string(j))
		return 1;
	if (!json_is_array(j) || json_array_size(j) > CHAT_STOPS_MAX)
		return 0;
	json_array_foreach(j, i, one)
	{
		if (!json_is_string(one))
			return 0;
	}
	return 1;
}

static int
check_field(const struct field *f, const json_t *j, struct chat_error *err)
{
	char must[96];
	int ok = 0;

	must[0] = '\0';
	switch (f->kind) {
	case NUMBER:
		ok = json_is_number(j) && json_number_value(j) >= f->min &&
		    json_number_value(j) <= f->max;
		snprintf(must, sizeof must, "a number from %g to %g", f->min, f->max);
		break;
	case INTEGER:
		ok = json_is_integer(j) && (double)json_integer_value(j) >= f->min &&
		    (double)json_integer_value(j) <= f->max;
		if (f->min == f->max)
			snprintf(must, sizeof must, "%g", f->min);
		else
			snprintf(
			    must, sizeof must, "a whole number from %.0f to %.0f", f->min, f->max);
		break;
	case BOOLEAN:
		ok = json_is_boolean(j);
		snprintf(must, sizeof must, "true or false");
		break;
	case TEXT:
		ok = text_of_length(j, (size_t)f->min, (size_t)f->max);
		snprintf(must, sizeof must, "a string of %.0f to %.0f bytes", f->min, f->max);
		break;
	case OBJECT:
		ok = json_is_object(j);
		snprintf(must, sizeof must, "an object");
		break;
	case ARRAY:
		ok = json_is_array(j) && json_array_size(j) >= (size_t)f->min &&
		    json_array_size(j) <= (size_t)f->max;
		snprintf(must, sizeof must, "a list of %.0f to %.0f entries", f->min, f->max);
		break;
	case CHOICE:
		ok = json_is_string(j) || json_is_object(j);
		snprintf(must, sizeof must, "a string or an object");
		break;
	case STOP:
		ok = check_stop(j);
		snprintf(
		    must, sizeof must, "a string or a list of at most %u strings", CHAT_STOPS_MAX);
		break;
	case FALSE_ONLY:
		ok = json_is_false(j);
		snprintf(must, sizeof must, "false: the rest is not supported");
		break;
	case TEXT_MODALITY:
		ok = json_array_size(j) == 1 && json_is_string(json_array_get(j, 0)) &&
		    strcmp(json_string_value(json_array_get(j, 0)), "text") == 0;
		snprintf(must, sizeof must, "[\"text\"]: the others are not supported");
		break;
	case NO: return bad(err, f->name, "'%s' is not supported.", f->name);
	}
	return ok ? 0 : invalid(err, f->name, must);
}

static const struct field *
field_named(const char *name)
{
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		if (strcmp(fields[i].name, name) == 0)
			return &fields[i];
	return NULL;
}

static int
check_stream_options(const json_t *options, struct chat_request *ret, struct chat_error *err)
{
	const json_t *usage = get(options, "include_usage"),
		     *padding = get(options, "include_obfuscation");

	if (options == NULL)
		return 0;
	if (!ret->stream)
		return bad(err, "stream_options",
		    "'stream_options' is only allowed together with \"stream\": true.");
	if (check_members(options, " include_usage include_obfuscation ", "stream_options", err) !=
	    0)
		return -1;
	if (usage != NULL && !json_is_boolean(usage))
		return invalid(err, "stream_options.include_usage", "true or false");
	/* Padding against traffic analysis: we send none, so only its absence can be promised. */
	if (padding != NULL && !json_is_boolean(padding))
		return invalid(err, "stream_options.include_obfuscation", "true or false");
	ret->include_usage = json_is_true(usage);
	return 0;
}

int
chat_passes_on(const char *name)
{
	const struct field *f = field_named(name);

	return f != NULL && f->kind != NO && !(f->flags & TRANSPORT);
}

static int
check_tools(const json_t *tools, struct chat_error *err)
{
	const json_t *tool;
	char path[64];
	size_t i;

	json_array_foreach(tools, i, tool)
	{
		const char *type = json_string_value(json_object_get(tool, "type"));
		const json_t *function = json_object_get(tool, "function");

		snprintf(path, sizeof path, "tools[%zu].type", i);
		if (type == NULL || strcmp(type, "function") != 0)
			return invalid(err, path, "\"function\"");
		snprintf(path, sizeof path, "tools[%zu].function.name", i);
		if (!text_of_length(json_object_get(function, "name"), 1, 64))
			return invalid(err, path, "a string of 1 to 64 bytes");
	}
	return 0;
}

int
chat_validate(const json_t *body, struct chat_request *ret, struct chat_error *err)
{
	const json_t *messages, *message;
	const char *name;
	json_t *value;
	size_t i;

	memset(ret, 0, sizeof *ret);
	ret->body = body;
	if (!json_is_object(body))
		return bad(err, "", "The body must be a JSON object.");
	json_object_foreach((json_t *)body, name, value)
	{
		const struct field *f = field_named(name);
		char path[65];

		snprintf(path, sizeof path, "%.64s", name);
		if (f == NULL)
			return unknown(err, path);
		if (json_is_null(value) && !(f->flags & REQUIRED))
			continue;
		if (check_field(f, value, err) != 0)
			return -1;
	}
	if (get(body, "model") == NULL)
		return bad(err, "model", "You must provide a 'model'.");
	if (get(body, "messages") == NULL)
		return bad(err, "messages", "Missing required parameter: 'messages'.");
	ret->model = json_string_value(json_object_get(body, "model"));
	ret->stream = json_is_true(json_object_get(body, "stream"));
	ret->has_tools = json_array_size(json_object_get(body, "tools")) > 0;
	if (get(body, "max_tokens") != NULL && get(body, "max_completion_tokens") != NULL)
		return bad(err, "max_tokens",
		    "'max_tokens' and 'max_completion_tokens' say the same: send one of them.");
	if (check_stream_options(get(body, "stream_options"), ret, err) != 0 ||
	    check_tools(json_object_get(body, "tools"), err) != 0)
		return -1;
	messages = json_object_get(body, "messages");
	json_array_foreach(messages, i, message)
	{
		if (check_message(message, i, &ret->input_chars, err) != 0)
			return -1;
	}
	return 0;
}
