/* model_openai_cite.c: see model_openai_cite.h. */
#include "plugins/model_openai/model_openai_cite.h"

#include <string.h>

#define MARKER_MAX 9999 /* larger numbers in brackets are text */

static json_t *
citation(const json_t *record, size_t marker)
{
	static const char *const keys[] = { "document_id", "chunk_id", "title", "char_start",
		"char_end", "score" };
	json_t *o = json_pack("{s:I}", "marker", (json_int_t)marker), *v;
	size_t i;

	for (i = 0; o != NULL && i < sizeof keys / sizeof keys[0]; i++) {
		v = json_object_get(record, keys[i]);
		if (v != NULL)
			json_object_set(o, keys[i], v);
	}
	return o;
}

static int
has_marker(const json_t *list, size_t marker)
{
	size_t i;

	for (i = 0; i < json_array_size(list); i++)
		if ((size_t)json_integer_value(
			json_object_get(json_array_get(list, i), "marker")) == marker)
			return 1;
	return 0;
}

/* The next number of a marker at *at, moving *at past it and past the comma or bracket behind it;
 * 0 when what stands there is none. *closed is set by the bracket. */
static size_t
number(const char **at, const char *end, int *closed)
{
	const char *p = *at;
	size_t v = 0;

	while (p < end && *p == ' ')
		p++;
	for (; p < end && *p >= '0' && *p <= '9' && v <= MARKER_MAX; p++)
		v = v * 10 + (size_t)(*p - '0');
	while (p < end && *p == ' ')
		p++;
	if (v == 0 || v > MARKER_MAX || p == end || (*p != ',' && *p != ']'))
		return 0;
	*closed = *p == ']';
	*at = p + 1;
	return v;
}

json_t *
cite(const char *text, size_t text_n, const json_t *passages, size_t n)
{
	const char *p = text, *end = text + text_n, *at;
	json_t *list = json_array();
	size_t marker;
	int closed;

	while (list != NULL && p < end && (p = memchr(p, '[', (size_t)(end - p))) != NULL) {
		p++;
		/* a marker counts when all of it is numbers: [1, 2] but not [1, two] */
		for (at = p, closed = 0; !closed && number(&at, end, &closed) != 0;)
			;
		if (!closed)
			continue;
		for (closed = 0; !closed;) {
			marker = number(&p, end, &closed);
			if (marker <= n && marker <= json_array_size(passages) &&
			    !has_marker(list, marker))
				json_array_append_new(
				    list, citation(json_array_get(passages, marker - 1), marker));
		}
	}
	return list;
}
