/*
 * prices_yaml.c: the price list's YAML as a tree: libyaml parses, this says what may stand there.
 *
 * Refused: anchors and aliases (a few lines of them expand to gigabytes), tags, keys that are no
 * text or stand twice, a second document. A plain scalar of digits is a number, every other one a
 * text; a fraction is a text too, and so no price.
 */
#include "prices.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define DEPTH_MAX 8u

struct reader {
	yaml_parser_t parser;
	unsigned depth;
	char *err;
};

static int value(struct reader *, yaml_event_t *, json_t **ret);

static int
refuse(struct reader *r, const yaml_event_t *ev, const char *why)
{
	snprintf(r->err, PRICES_ERR_MAX, "line %zu: %s",
	    (ev != NULL ? ev->start_mark.line : r->parser.problem_mark.line) + 1, why);
	return -1;
}

/* The next event, which the caller deletes. */
static int
next(struct reader *r, yaml_event_t *ev)
{
	if (yaml_parser_parse(&r->parser, ev))
		return 0;
	return refuse(r, NULL, r->parser.problem != NULL ? r->parser.problem : "not valid YAML");
}

static int
scalar(struct reader *r, const yaml_event_t *ev, json_t **ret)
{
	const char *z = (const char *)ev->data.scalar.value;
	size_t n = ev->data.scalar.length;
	long long v;

	if (ev->data.scalar.anchor != NULL || ev->data.scalar.tag != NULL)
		return refuse(r, ev, "no anchors, no tags");
	if (ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && n > 0 &&
	    strspn(z, "0123456789") == n) {
		errno = 0;
		v = strtoll(z, NULL, 10);
		if (errno != 0)
			return refuse(r, ev, "the number is too large");
		*ret = json_integer(v);
	} else {
		*ret = json_stringn(z, n);
	}
	return *ret == NULL ? refuse(r, ev, "not UTF-8") : 0;
}

static int
list(struct reader *r, json_t **ret)
{
	yaml_event_t ev;
	json_t *item;
	int end, x = 0;

	*ret = json_array();
	for (end = 0; !end && x == 0;) {
		x = next(r, &ev);
		if (x != 0)
			break;
		end = ev.type == YAML_SEQUENCE_END_EVENT;
		if (!end && (x = value(r, &ev, &item)) == 0)
			json_array_append_new(*ret, item);
		yaml_event_delete(&ev);
	}
	return x;
}

static int
map(struct reader *r, json_t **ret)
{
	yaml_event_t key, ev;
	json_t *item;
	const char *name;
	int end, x = 0;

	*ret = json_object();
	for (end = 0; !end && x == 0;) {
		x = next(r, &key);
		if (x != 0)
			break;
		end = key.type == YAML_MAPPING_END_EVENT;
		if (!end) {
			name = key.type == YAML_SCALAR_EVENT ? (const char *)key.data.scalar.value
							     : NULL;
			if (name == NULL || strlen(name) != key.data.scalar.length ||
			    json_object_get(*ret, name) != NULL)
				x = refuse(r, &key, "a key must be a text, and stand there once");
			else if ((x = next(r, &ev)) == 0) {
				if ((x = value(r, &ev, &item)) == 0 &&
				    json_object_set_new(*ret, name, item) != 0)
					x = refuse(r, &key, "a key is not UTF-8");
				yaml_event_delete(&ev);
			}
		}
		yaml_event_delete(&key);
	}
	return x;
}

static int
value(struct reader *r, yaml_event_t *ev, json_t **ret)
{
	int x;

	*ret = NULL;
	if (ev->type == YAML_SCALAR_EVENT) {
		x = scalar(r, ev, ret);
	} else if (ev->type == YAML_MAPPING_START_EVENT || ev->type == YAML_SEQUENCE_START_EVENT) {
		if (++r->depth > DEPTH_MAX)
			return refuse(r, ev, "nested too deep");
		if (ev->type == YAML_MAPPING_START_EVENT ? ev->data.mapping_start.anchor != NULL ||
			    ev->data.mapping_start.tag != NULL
							 : ev->data.sequence_start.anchor != NULL ||
			    ev->data.sequence_start.tag != NULL)
			return refuse(r, ev, "no anchors, no tags");
		x = ev->type == YAML_MAPPING_START_EVENT ? map(r, ret) : list(r, ret);
		r->depth--;
	} else {
		x = refuse(r, ev, "a value is missing, or an alias");
	}
	if (x != 0) {
		json_decref(*ret);
		*ret = NULL;
	}
	return x;
}

/* Skips events up to the first of the one value. */
static int
document(struct reader *r, json_t **ret)
{
	yaml_event_t ev;
	int x, done = 0;

	while (!done) {
		if (next(r, &ev) != 0)
			return -1;
		if (ev.type == YAML_STREAM_END_EVENT) {
			yaml_event_delete(&ev);
			return refuse(r, NULL, "the file is empty");
		}
		if (ev.type != YAML_STREAM_START_EVENT && ev.type != YAML_DOCUMENT_START_EVENT) {
			x = value(r, &ev, ret);
			yaml_event_delete(&ev);
			if (x != 0)
				return -1;
			done = 1;
			continue;
		}
		yaml_event_delete(&ev);
	}
	for (;;) {
		yaml_event_type_t type;

		if (next(r, &ev) != 0)
			return -1;
		type = ev.type;
		yaml_event_delete(&ev);
		if (type == YAML_STREAM_END_EVENT)
			return 0;
		if (type != YAML_DOCUMENT_END_EVENT)
			return refuse(r, NULL, "more than one document");
	}
}

json_t *
prices_yaml(const char *p, size_t n, char err[PRICES_ERR_MAX])
{
	struct reader r = { .err = err };
	json_t *ret = NULL;

	if (n > PRICES_BYTES_MAX) {
		snprintf(err, PRICES_ERR_MAX, "more than %u bytes", PRICES_BYTES_MAX);
		return NULL;
	}
	if (!yaml_parser_initialize(&r.parser)) {
		snprintf(err, PRICES_ERR_MAX, "out of memory");
		return NULL;
	}
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)p, n);
	if (document(&r, &ret) != 0) {
		json_decref(ret);
		ret = NULL;
	}
	yaml_parser_delete(&r.parser);
	return ret;
}
