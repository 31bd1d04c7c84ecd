/*
 * langgraph_messages.c: messages in streams: pieces of a step's stream as chunks of one, and whole
 * ones in the values.
 *
 * A piece {"content": text} belongs to the message "id" of the piece, or to one named after the
 * step
 * ("<run id>:<step>", which is also the key that the step is called with: a step that puts it on
 * its message lets clients see that the pieces and the message are one).
 */
#include "langgraph_stream.h"

static json_t *
message(const char *id, const char *type, const char *content, size_t n)
{
	return json_pack("{s:s%, s:{}, s:{}, s:[], s:[], s:s, s:s}", "content", content, n,
	    "additional_kwargs", "response_metadata", "tool_calls", "invalid_tool_calls", "id", id,
	    "type", type);
}

/* What LangGraph tells with a chunk: which node it comes from. */
static json_t *
metadata_of(struct stream *st, const json_t *event)
{
	json_t *m = json_copy(st->metadata), *attempt = json_object_get(event, "attempt");
	const char *name = lg_text(event, "name");

	if (name != NULL)
		json_object_set_new(m, "langgraph_node", json_string(name));
	if (json_is_integer(attempt))
		json_object_set(m, "run_attempt", attempt);
	return m;
}

/* The id of the message that a piece belongs to. A further attempt of the step is another message.
 */
static json_t *
id_of(struct stream *st, const json_t *event, const json_t *delta)
{
	json_int_t step = json_integer_value(json_object_get(event, "step"));
	json_int_t attempt = json_integer_value(json_object_get(event, "attempt"));

	if (lg_text(delta, "id") != NULL)
		return json_incref(json_object_get(delta, "id"));
	if (attempt > 1)
		return json_sprintf(
		    "%s:%lld:%lld", st->s->run_id, (long long)step, (long long)attempt);
	return json_sprintf("%s:%lld", st->s->run_id, (long long)step);
}

/* The text so far, with this piece; NULL when it grew too long. Borrowed. */
static const json_t *
put_together(struct stream *st, const char *id, const json_t *piece, int *ret_first)
{
	const json_t *before = json_object_get(st->partial, id);
	size_t n = json_string_length(before), more = json_string_length(piece);
	json_t *all;
	char *z;

	*ret_first = before == NULL;
	if (n + more > LG_PARTIAL_MAX || (z = malloc(n + more + 1)) == NULL)
		return NULL;
	if (n > 0)
		memcpy(z, json_string_value(before), n);
	memcpy(z + n, json_string_value(piece), more);
	all = json_stringn(z, n + more);
	free(z);
	json_object_set_new(st->partial, id, all);
	return json_object_get(st->partial, id);
}

static void
partial(struct stream *st, const json_t *event, const char *id, const json_t *piece)
{
	json_t *m;
	const json_t *all;
	int first;

	if ((st->s->modes & LG_MODE_MESSAGES) == 0 ||
	    (json_object_size(st->partial) >= LG_MESSAGES_MAX &&
		json_object_get(st->partial, id) == NULL))
		return;
	all = put_together(st, id, piece, &first);
	if (all == NULL)
		return; /* the whole message will come with the values */
	if (first)
		frame_add(st, "messages/metadata",
		    json_pack("{s:{s:o}}", id, "metadata", metadata_of(st, event)));
	m = message(id, "ai", json_string_value(all), json_string_length(all));
	frame_add(st, "messages/partial", json_pack("[o]", m));
}

static void
chunk(struct stream *st, const json_t *event, const char *id, const json_t *piece)
{
	json_t *m;

	if ((st->s->modes & LG_MODE_TUPLES) == 0)
		return;
	m = message(id, "AIMessageChunk", json_string_value(piece), json_string_length(piece));
	json_object_set_new(m, "tool_call_chunks", json_array());
	frame_add(st, "messages", json_pack("[o, o]", m, metadata_of(st, event)));
	json_object_set_new(st->complete, id, json_true());
}

void
frames_of_delta(struct stream *st, const json_t *event)
{
	const json_t *delta = json_object_get(event, "delta");
	json_t *piece = lg_get(delta, "content"), *custom = json_object_get(delta, "custom"), *id;

	if (custom != NULL)
		frame_mode(st, LG_MODE_CUSTOM, "custom", json_incref(custom));
	if (!json_is_string(piece))
		return;
	id = id_of(st, event, delta);
	partial(st, event, json_string_value(id), piece);
	chunk(st, event, json_string_value(id), piece);
	frame_mode(st, LG_MODE_EVENTS, "events",
	    json_pack("{s:s, s:O*, s:s, s:[], s:o, s:{s:{s:O, s:O}}, s:[]}", "event",
		"on_chat_model_stream", "name", json_object_get(event, "name"), "run_id",
		st->s->run_id, "tags", "metadata", metadata_of(st, event), "data", "chunk",
		"content", piece, "id", id, "parent_ids"));
	json_decref(id);
}

/* The step begins again: what was put together of it is void. */
void
frames_of_cut(struct stream *st, const json_t *event)
{
	json_t *id = id_of(st, event, NULL);

	if (json_object_get(st->partial, json_string_value(id)) != NULL) {
		json_object_set_new(st->partial, json_string_value(id), json_string(""));
		frame_mode(st, LG_MODE_MESSAGES, "messages/partial",
		    json_pack("[o]", message(json_string_value(id), "ai", "", 0)));
	}
	json_decref(id);
}

/* 1 when it is a message with an id that was not told yet; remembers it then. */
static int
is_new(struct stream *st, const json_t *m, json_t *seen)
{
	const char *id = lg_text(m, "id");

	if (id == NULL || json_object_get(seen, id) != NULL ||
	    json_object_size(seen) >= LG_MESSAGES_MAX)
		return 0;
	(void)st;
	json_object_set_new(seen, id, json_true());
	return 1;
}

void
messages_of_values(struct stream *st, const json_t *values)
{
	json_t *list, *one;
	size_t i;

	if ((st->s->modes & LG_MODE_MESSAGES) == 0)
		return;
	list = json_array();
	json_array_foreach(json_object_get(values, "messages"), i,
	    one) if (is_new(st, one, st->whole)) json_array_append(list, one);
	if (json_array_size(list) > 0)
		frame_add(st, "messages/complete", json_incref(list));
	json_decref(list);
}

void
messages_of_update(struct stream *st, const json_t *event, const json_t *update)
{
	json_t *list = json_object_get(update, "messages"), *one;
	size_t i;

	if ((st->s->modes & LG_MODE_TUPLES) == 0)
		return;
	json_array_foreach(list, i, one) if (is_new(st, one, st->complete))
	    frame_add(st, "messages", json_pack("[O, o]", one, metadata_of(st, event)));
}
