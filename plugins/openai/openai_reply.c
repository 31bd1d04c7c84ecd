/*
 * openai_reply.c: writes what OpenAI's clients read.
 *
 * Chunks are written as text around the one part that differs, the delta: a token a frame is the
 * hot path of a stream, and building an object of six members for each would cost more than the
 * token. The order of a stream is the caller's (openai_stream.c); this file only knows the shapes.
 * Pure.
 */
#include "openai_reply.h"

#include <insula/insula.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct error {
	const char *name, *type, *code, *text;
	int number, retryable;
} errors[] = {
#define INS_X(name, number, status, type, code, retry) \
	{ #name, type, code, "The request failed (" #name ").", number, retry },
	INS_ERRORS(INS_X)
#undef INS_X
};

static const struct error *
error_numbered(int number)
{
	static const struct error *internal;

	if (number < 0)
		number = -number;
	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
		if (errors[i].number == number)
			return &errors[i];
		if (errors[i].number == INS_EINTERNAL)
			internal = &errors[i];
	}
	return internal;
}

int
reply_code_named(const char *name)
{
	for (size_t i = 0; name != NULL && i < sizeof errors / sizeof *errors; i++)
		if (strcmp(errors[i].name, name) == 0 ||
		    (errors[i].code != NULL && strcmp(errors[i].code, name) == 0))
			return errors[i].number;
	return INS_EINTERNAL;
}

int
reply_is_retryable(int code)
{
	return error_numbered(code)->retryable;
}

/* ---------------------------------------------------------------- text */

static int
grow(struct text *t, size_t more)
{
	size_t room = t->room == 0 ? 512 : t->room;
	char *p;

	while (room - t->n < more)
		room *= 2;
	if (room == t->room)
		return 1;
	p = realloc(t->p, room);
	if (p == NULL) {
		t->failed = 1;
		return 0;
	}
	t->p = p;
	t->room = room;
	return 1;
}

void
text_add(struct text *t, const char *p, size_t n)
{
	if (t->failed || !grow(t, n))
		return;
	memcpy(t->p + t->n, p, n);
	t->n += n;
}

void
text_add_z(struct text *t, const char *z)
{
	text_add(t, z, strlen(z));
}

static int
add_piece(const char *p, size_t n, void *arg)
{
	struct text *t = arg;

	text_add(t, p, n);
	return t->failed ? -1 : 0;
}

void
text_add_json(struct text *t, const json_t *j)
{
	if (j == NULL)
		text_add_z(t, "null");
	else if (json_dump_callback(j, add_piece, t, JSON_COMPACT | JSON_ENCODE_ANY) != 0)
		t->failed = 1;
}

static void
text_add_string(struct text *t, const char *z)
{
	json_t *j = json_string(z); /* NULL for NULL: "null" */

	text_add_json(t, j);
	json_decref(j);
}

/* ---------------------------------------------------------------- chunks */

static void
begin_chunk(struct text *t, struct reply *reply)
{
	struct text *head = &reply->head;
	char created[32];

	if (head->n == 0) {
		snprintf(created, sizeof created, "%lld", (long long)reply->created);
		text_add_z(head, "data: {\"id\":\"");
		text_add_z(head, reply->id);
		text_add_z(head, "\",\"object\":\"chat.completion.chunk\",\"created\":");
		text_add_z(head, created);
		text_add_z(head, ",\"model\":");
		text_add_string(head, reply->model);
	}
	t->failed |= head->failed;
	text_add(t, head->p, head->n);
}

static void
end_chunk(struct text *t, const struct reply *reply, const json_t *usage)
{
	if (usage != NULL) {
		text_add_z(t, ",\"usage\":");
		text_add_json(t, usage);
	} else if (reply->with_usage) {
		/* Every chunk but the last says null, so that a client can tell "not yet". */
		text_add_z(t, ",\"usage\":null");
	}
	text_add_z(t, "}\n\n");
}

void
reply_chunk(struct text *t, struct reply *reply, const json_t *delta)
{
	begin_chunk(t, reply);
	text_add_z(t, ",\"choices\":[{\"index\":0,\"delta\":");
	text_add_json(t, delta);
	text_add_z(t, ",\"logprobs\":null,\"finish_reason\":null}]");
	end_chunk(t, reply, NULL);
}

void
reply_first_chunk(struct text *t, struct reply *reply)
{
	begin_chunk(t, reply);
	text_add_z(t,
	    ",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},"
	    "\"logprobs\":null,\"finish_reason\":null}]");
	end_chunk(t, reply, NULL);
}

void
reply_last_chunk(struct text *t, struct reply *reply, const char *finish_reason,
    const json_t *citations, const json_t *extra)
{
	const char *name;
	json_t *value;

	begin_chunk(t, reply);
	text_add_z(
	    t, ",\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":");
	text_add_string(t, finish_reason);
	text_add_z(t, "}]");
	if (citations != NULL) {
		text_add_z(t, ",\"citations\":");
		text_add_json(t, citations);
	}
	json_object_foreach((json_t *)extra, name, value)
	{
		text_add_z(t, ",");
		text_add_string(t, name);
		text_add_z(t, ":");
		text_add_json(t, value);
	}
	end_chunk(t, reply, NULL);
}

void
reply_usage_chunk(struct text *t, struct reply *reply, const json_t *usage)
{
	json_t *whole = reply_usage(usage);

	begin_chunk(t, reply);
	text_add_z(t, ",\"choices\":[]");
	end_chunk(t, reply, whole);
	json_decref(whole);
}

void
reply_done(struct text *t)
{
	text_add_z(t, "data: [DONE]\n\n");
}

void
reply_error_frame(struct text *t, int code, const char *message)
{
	const struct error *e = error_numbered(code);
	/* A text that was cut to size may end inside a character, which is no JSON string. */
	json_t *text = message != NULL && *message ? json_string(message) : NULL;

	text_add_z(t, "data: {\"error\":{\"message\":");
	if (text != NULL)
		text_add_json(t, text);
	else
		text_add_string(t, e->text);
	text_add_z(t, ",\"type\":");
	text_add_string(t, e->type);
	text_add_z(t, ",\"param\":null,\"code\":");
	text_add_string(t, e->code);
	text_add_z(t, "}}\n\n");
	json_decref(text);
}

/* ---------------------------------------------------------------- whole answers */

json_t *
reply_usage(const json_t *usage)
{
	static const char *const required[] = { "prompt_tokens", "completion_tokens",
		"total_tokens" };
	json_t *out = json_is_object(usage) ? json_copy((json_t *)usage) : json_object();

	for (size_t i = 0; i < sizeof required / sizeof *required; i++)
		if (!json_is_integer(json_object_get(out, required[i])))
			json_object_set_new(out, required[i],
			    json_integer(i < 2
				    ? 0
				    : json_integer_value(json_object_get(out, required[0])) +
					json_integer_value(json_object_get(out, required[1]))));
	return out;
}

static json_t *
message_of(const json_t *result)
{
	const json_t *given = json_object_get(result, "message"),
		     *calls = json_object_get(given, "tool_calls"),
		     *citations = json_object_get(result, "citations"),
		     *content = json_object_get(given, "content");
	json_t *message = json_pack(
	    "{s:s, s:O?, s:n}", "role", "assistant", "content", content, "refusal");

	if (content == NULL)
		json_object_set_new(message, "content", json_null());
	if (json_array_size(calls) > 0)
		json_object_set(message, "tool_calls", (json_t *)calls);
	if (citations != NULL)
		json_object_set(message, "citations", (json_t *)citations);
	return message;
}

json_t *
reply_completion(const struct reply *reply, const json_t *result, const json_t *extra)
{
	const char *reason = json_string_value(json_object_get(result, "finish_reason"));
	json_t *j = json_pack("{s:s, s:s, s:I, s:s, s:[{s:i, s:o, s:n, s:s}], s:o}", "id",
	    reply->id, "object", "chat.completion", "created", (json_int_t)reply->created, "model",
	    reply->model, "choices", "index", 0, "message", message_of(result), "logprobs",
	    "finish_reason", reason == NULL ? "stop" : reason, "usage",
	    reply_usage(json_object_get(result, "usage")));

	if (extra != NULL)
		json_object_update_missing(j, (json_t *)extra);
	return j;
}

json_t *
reply_model(
    const char *id, int64_t created, const char *owned_by, const char *kind, const char *tier)
{
	json_t *j = json_pack("{s:s, s:s, s:I, s:s, s:s}", "id", id, "object", "model", "created",
	    (json_int_t)created, "owned_by", owned_by, "kind", kind);

	if (tier != NULL)
		json_object_set_new(j, "tier", json_string(tier));
	return j;
}
