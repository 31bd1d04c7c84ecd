/* openai_input.c: what a checked request becomes for those behind the gateway: the question of a
 * workflow, the input of a model. Pure. */
#include <stdlib.h>
#include <string.h>

#include "openai_request.h"

static json_t *
join_parts(const json_t *parts)
{
	size_t room = 1, used = 0, i;
	const json_t *part;
	json_t *joined;
	char *z;

	json_array_foreach(parts, i, part)
	{
		room += json_string_length(json_object_get(part, "text")) + 1;
	}
	z = malloc(room);
	if (z == NULL)
		return NULL;
	json_array_foreach(parts, i, part)
	{
		const json_t *text = json_object_get(part, "text");

		if (i > 0)
			z[used++] = '\n';
		memcpy(z + used, json_string_value(text), json_string_length(text));
		used += json_string_length(text);
	}
	joined = json_stringn_nocheck(z, used);
	free(z);
	return joined;
}

json_t *
chat_query(const struct chat_request *request)
{
	const json_t *messages = json_object_get(request->body, "messages");
	json_t *query = NULL;

	for (size_t i = json_array_size(messages); i-- > 0;) {
		const json_t *message = json_array_get(messages, i),
			     *content = json_object_get(message, "content");

		if (strcmp(json_string_value(json_object_get(message, "role")), "user") != 0)
			continue;
		query = json_is_array(content) ? join_parts(content) : json_copy((json_t *)content);
		break;
	}
	if (query != NULL && json_string_length(query) == 0) {
		json_decref(query);
		query = NULL;
	}
	return query;
}

/* Messages without our own additions; those that have none are shared, not copied. */
static json_t *
plain_messages(const json_t *messages)
{
	json_t *out = json_array(), *message, *copy;
	size_t i;

	json_array_foreach(messages, i, message)
	{
		if (json_object_get(message, "citations") == NULL) {
			json_array_append(out, message);
			continue;
		}
		copy = json_copy(message);
		json_object_del(copy, "citations");
		json_array_append_new(out, copy);
	}
	return out;
}

json_t *
chat_model_input(const struct chat_request *request, const char *model)
{
	json_t *in = json_object(), *value;
	const char *name;
	int r;

	r = json_object_set_new(in, "model", json_string(model));
	r |= json_object_set_new(
	    in, "messages", plain_messages(json_object_get(request->body, "messages")));
	json_object_foreach((json_t *)request->body, name, value)
	{
		if (!json_is_null(value) && chat_passes_on(name))
			r |= json_object_set(in, name, value);
	}
	if (r != 0) {
		json_decref(in);
		return NULL;
	}
	return in;
}
