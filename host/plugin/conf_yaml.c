/*
 * conf_yaml.c: YAML text becomes a jansson tree, with the file and line of every key beside it.
 *
 * The parser is libyaml. What it would let through and we refuse: files over CONF_FILE_MAX, nesting
 * over CONF_DEPTH_MAX, anchors and aliases (a few lines of them expand to gigabytes), tags,
 * duplicate keys, keys that are not text, a second document. Plain scalars follow the core schema
 * of YAML 1.2: `no`, `on` and `yes` are text, so Norway keeps its country code.
 *
 * ${NAME} and ${NAME:-default} are replaced inside scalars, once: what comes out of the environment
 * is not searched again. $${ writes a literal ${. A value that came from the environment stays
 * text; whoever wants a number of it (conf_opt.c) may ask whether it did.
 */
#include "plugin/conf.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <yaml.h>

#include "base/json.h"
#include "base/str.h"

struct reader {
	yaml_parser_t parser;
	struct conf_doc *doc;
	const char *file;
	char path[CONF_PATH_MAX];
	unsigned depth, nodes;
	char *err;
};

static int reader_fail(struct reader *r, size_t line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int
reader_fail(struct reader *r, size_t line, const char *fmt, ...)
{
	char text[CONF_ERR_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	snprintf(r->err, CONF_ERR_MAX, "%.200s:%zu: %.200s%s%.500s", r->file, line + 1, r->path,
	    r->path[0] != '\0' ? ": " : "", text);
	return -1;
}

static int
reader_next(struct reader *r, yaml_event_t *ev)
{
	if (yaml_parser_parse(&r->parser, ev))
		return 0;
	return reader_fail(r, r->parser.problem_mark.line, "not valid YAML: %s%s%s",
	    r->parser.context != NULL ? r->parser.context : "",
	    r->parser.context != NULL ? ", " : "",
	    r->parser.problem != NULL ? r->parser.problem : "malformed");
}

/* The core schema of YAML 1.2, section 10.3.2. NULL: it is text. */
static json_t *
scalar_plain(const char *z)
{
	static const char *const nulls[] = { "", "~", "null", "Null", "NULL" };
	static const char *const trues[] = { "true", "True", "TRUE" };
	static const char *const falses[] = { "false", "False", "FALSE" };
	const char *digits = z + (*z == '-' || *z == '+');
	char *end;
	double d;
	size_t i;

	for (i = 0; i < NELEM(nulls); i++)
		if (strcmp(z, nulls[i]) == 0)
			return json_null();
	for (i = 0; i < NELEM(trues); i++) {
		if (strcmp(z, trues[i]) == 0)
			return json_true();
		if (strcmp(z, falses[i]) == 0)
			return json_false();
	}
	if (*digits != '\0' && digits[strspn(digits, "0123456789")] == '\0') {
		errno = 0;
		long long v = strtoll(z, NULL, 10);
		return errno == 0 ? json_integer(v) : NULL;
	}
	if (strncmp(z, "0x", 2) == 0 && z[2] != '\0' &&
	    z[2 + strspn(z + 2, "0123456789abcdefABCDEF")] == '\0') {
		errno = 0;
		long long v = strtoll(z + 2, NULL, 16);
		return errno == 0 ? json_integer(v) : NULL;
	}
	/* A float has a digit and nothing but what floats are made of, so `e` and `.` are text. */
	if (z[strspn(z, "0123456789+-.eE")] != '\0' || strpbrk(z, "0123456789") == NULL)
		return NULL;
	if (!isdigit((unsigned char)*digits) && *digits != '.')
		return NULL;
	d = strtod(z, &end);
	return *end == '\0' && isfinite(d) ? json_real(d) : NULL;
}

/* Replaces references; sets *ret_env if there was one. -1: err is filled. */
static int
scalar_expand(struct reader *r, size_t line, const char *p, size_t n, struct str *out, int *ret_env)
{
	const char *end = p + n, *close, *sep, *value;
	char name[128];
	size_t name_n;

	while (p < end) {
		if (p + 3 <= end && memcmp(p, "$${", 3) == 0) {
			str_add(out, "${", 2);
			p += 3;
			continue;
		}
		if (p + 2 > end || memcmp(p, "${", 2) != 0) {
			str_add(out, p++, 1);
			continue;
		}
		p += 2;
		close = memchr(p, '}', (size_t)(end - p));
		if (close == NULL)
			return reader_fail(r, line, "${ without }: write $${ for the text itself");
		name_n = strspn(
		    p, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");
		sep = p + name_n;
		if (name_n == 0 || name_n >= sizeof name || isdigit((unsigned char)*p) ||
		    !(sep == close || (close - sep >= 2 && memcmp(sep, ":-", 2) == 0)))
			return reader_fail(
			    r, line, "an environment reference is ${NAME} or ${NAME:-default}");
		memcpy(name, p, name_n);
		name[name_n] = '\0';
		value = getenv(name);
		if (value != NULL && (*value != '\0' || sep == close))
			str_addz(out, value);
		else if (sep != close)
			str_add(out, sep + 2, (size_t)(close - sep - 2));
		else
			return reader_fail(r, line,
			    "environment variable %s is not set (${%s:-default} gives a default)",
			    name, name);
		*ret_env = 1;
		p = close + 1;
	}
	return 0;
}

static json_t *
read_scalar(struct reader *r, const yaml_event_t *ev)
{
	const char *p = (const char *)ev->data.scalar.value;
	size_t n = ev->data.scalar.length, line = ev->start_mark.line;
	struct str out;
	json_t *j = NULL;
	int env = 0;

	str_init(&out, CONF_FILE_MAX);
	str_add(&out, "", 0);
	if (memchr(p, '\0', n) != NULL) {
		reader_fail(r, line, "a NUL byte is not allowed in a value");
	} else if (scalar_expand(r, line, p, n, &out, &env) == 0) {
		const char *z = out.p != NULL ? out.p : "";
		if (out.overflow)
			reader_fail(r, line, "the value is too long");
		else if (!json_utf8_valid(z, out.n))
			reader_fail(r, line, "the value is not valid UTF-8");
		else {
			if (!env && ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
				j = scalar_plain(z);
			if (j == NULL)
				j = json_stringn(z, out.n);
		}
	}
	str_fini(&out);
	if (j != NULL && env)
		json_object_set_new(r->doc->env, r->path, json_true());
	return j;
}

/* Appends ".key" or "[i]" to the path; the caller cuts it off again at the length returned. */
static int
path_push(struct reader *r, size_t line, const char *key, size_t i, size_t *ret_n)
{
	size_t n = strlen(r->path);
	int w;

	*ret_n = n;
	if (key != NULL)
		w = snprintf(r->path + n, sizeof r->path - n, "%s%s", n != 0 ? "." : "", key);
	else
		w = snprintf(r->path + n, sizeof r->path - n, "[%zu]", i);
	if ((size_t)w >= sizeof r->path - n) {
		r->path[n] = '\0';
		return reader_fail(r, line, "the key is too long");
	}
	return 0;
}

static void
mark(struct reader *r, size_t line)
{
	json_object_set_new(r->doc->marks, r->path, json_sprintf("%.200s:%zu", r->file, line + 1));
}

static json_t *read_value(struct reader *, yaml_event_t *);

static int
read_map_entry(struct reader *r, json_t *map, const yaml_event_t *key)
{
	const char *z = (const char *)key->data.scalar.value;
	size_t line = key->start_mark.line, cut;
	yaml_event_t ev;
	json_t *value;
	int ret;

	if (key->type != YAML_SCALAR_EVENT || key->data.scalar.anchor != NULL ||
	    key->data.scalar.tag != NULL || key->data.scalar.length == 0 ||
	    strlen(z) != key->data.scalar.length || !json_utf8_valid(z, strlen(z)))
		return reader_fail(r, line, "a key must be plain text");
	if (path_push(r, line, z, 0, &cut) != 0)
		return -1;
	ret = 0;
	if (json_object_get(map, z) != NULL)
		ret = reader_fail(r, line, "the key stands here a second time");
	mark(r, line);
	if (ret == 0)
		ret = reader_next(r, &ev);
	if (ret == 0) {
		value = read_value(r, &ev);
		yaml_event_delete(&ev);
		ret = value == NULL ? -1 : json_object_set_new(map, z, value);
	}
	r->path[cut] = '\0';
	return ret;
}

static int
read_list_entry(struct reader *r, json_t *list, yaml_event_t *ev)
{
	size_t line = ev->start_mark.line, cut;
	json_t *value;

	if (path_push(r, line, NULL, json_array_size(list), &cut) != 0)
		return -1;
	mark(r, line);
	value = read_value(r, ev);
	r->path[cut] = '\0';
	return value == NULL ? -1 : json_array_append_new(list, value);
}

static json_t *
read_collection(struct reader *r, int is_map)
{
	json_t *j = is_map ? json_object() : json_array();
	yaml_event_t ev;
	int ret, end;

	for (;;) {
		if (reader_next(r, &ev) != 0)
			break;
		end = ev.type == YAML_MAPPING_END_EVENT || ev.type == YAML_SEQUENCE_END_EVENT;
		ret = end ? 0 : is_map ? read_map_entry(r, j, &ev) : read_list_entry(r, j, &ev);
		yaml_event_delete(&ev);
		if (end)
			return j;
		if (ret != 0)
			break;
	}
	json_decref(j);
	return NULL;
}

/* The value that begins with ev. NULL: err is filled. */
static json_t *
read_value(struct reader *r, yaml_event_t *ev)
{
	size_t line = ev->start_mark.line;
	const yaml_char_t *anchor, *tag;
	json_t *j;

	if (++r->nodes > CONF_NODES_MAX) {
		reader_fail(r, line, "more than %u values in one file", CONF_NODES_MAX);
		return NULL;
	}
	switch (ev->type) {
	case YAML_SCALAR_EVENT:
		anchor = ev->data.scalar.anchor;
		tag = ev->data.scalar.tag;
		break;
	case YAML_MAPPING_START_EVENT:
		anchor = ev->data.mapping_start.anchor;
		tag = ev->data.mapping_start.tag;
		break;
	case YAML_SEQUENCE_START_EVENT:
		anchor = ev->data.sequence_start.anchor;
		tag = ev->data.sequence_start.tag;
		break;
	default:
		reader_fail(r, line, "aliases (*name) are not allowed: write the value out");
		return NULL;
	}
	if (anchor != NULL || tag != NULL) {
		reader_fail(r, line, "%s are not allowed: write the value out",
		    anchor != NULL ? "anchors (&name)" : "tags (!name)");
		return NULL;
	}
	if (ev->type == YAML_SCALAR_EVENT)
		return read_scalar(r, ev);
	if (++r->depth > CONF_DEPTH_MAX) {
		reader_fail(r, line, "nested deeper than %d levels", CONF_DEPTH_MAX);
		return NULL;
	}
	j = read_collection(r, ev->type == YAML_MAPPING_START_EVENT);
	r->depth--;
	return j;
}

static int
read_stream(struct reader *r)
{
	yaml_event_t ev;
	int documents = 0, ret = 0, over = 0;

	while (ret == 0 && !over) {
		if (reader_next(r, &ev) != 0)
			return -1;
		switch (ev.type) {
		case YAML_STREAM_START_EVENT:
		case YAML_DOCUMENT_END_EVENT: break;
		case YAML_STREAM_END_EVENT: over = 1; break;
		case YAML_DOCUMENT_START_EVENT:
			if (++documents > 1)
				ret = reader_fail(r, ev.start_mark.line,
				    "a second document (---) is not allowed");
			break;
		default:
			json_decref(r->doc->root);
			r->doc->root = read_value(r, &ev);
			if (r->doc->root == NULL)
				ret = -1;
			else if (json_is_null(r->doc->root))
				r->doc->root = json_object();
			else if (!json_is_object(r->doc->root))
				ret = reader_fail(
				    r, ev.start_mark.line, "must be a map of keys and values");
		}
		yaml_event_delete(&ev);
	}
	return ret;
}

int
conf_doc_parse(
    struct conf_doc *doc, const char *file, const char *text, size_t n, char err[CONF_ERR_MAX])
{
	struct reader r = { .doc = doc, .file = file, .err = err };
	int ret;

	doc->root = json_object();
	doc->marks = json_object();
	doc->env = json_object();
	if (n > CONF_FILE_MAX) {
		ret = reader_fail(&r, 0, "larger than %u bytes", CONF_FILE_MAX);
	} else {
		AN(yaml_parser_initialize(&r.parser));
		yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, n);
		yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
		ret = read_stream(&r);
		yaml_parser_delete(&r.parser);
	}
	if (ret != 0)
		conf_doc_fini(doc);
	return ret;
}

int
conf_doc_load(struct conf_doc *doc, const char *file, char err[CONF_ERR_MAX])
{
	FILE *f = fopen(file, "re");
	char *text;
	size_t n;
	int ret;

	memset(doc, 0, sizeof *doc);
	if (f == NULL) {
		snprintf(err, CONF_ERR_MAX, "%.300s: %s", file, strerror(errno));
		return -1;
	}
	text = base_alloc(CONF_FILE_MAX + 1);
	n = fread(text, 1, CONF_FILE_MAX + 1, f);
	if (ferror(f)) {
		snprintf(err, CONF_ERR_MAX, "%.300s: %s", file, strerror(errno));
		ret = -1;
	} else {
		ret = conf_doc_parse(doc, file, text, n, err);
	}
	free(text);
	fclose(f);
	return ret;
}

static void
merge(json_t *base, json_t *over)
{
	const char *key;
	json_t *value, *have;

	json_object_foreach(over, key, value)
	{
		have = json_object_get(base, key);
		if (json_is_object(have) && json_is_object(value))
			merge(have, value);
		else
			json_object_set(base, key, value);
	}
}

void
conf_doc_merge(struct conf_doc *base, struct conf_doc *over)
{
	merge(base->root, over->root);
	json_object_update(base->marks, over->marks);
	json_object_update(base->env, over->env);
	conf_doc_fini(over);
}

void
conf_doc_fini(struct conf_doc *doc)
{
	json_decref(doc->root);
	json_decref(doc->marks);
	json_decref(doc->env);
	memset(doc, 0, sizeof *doc);
}

int
conf_error(
    const struct conf_doc *doc, const char *path, char err[CONF_ERR_MAX], const char *fmt, ...)
{
	char at[CONF_PATH_MAX], text[CONF_ERR_MAX], *cut;
	const char *where = NULL;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	snprintf(at, sizeof at, "%s", path);
	for (;;) {
		where = json_string_value(json_object_get(doc->marks, at));
		if (where != NULL)
			break;
		cut = strrchr(at, '.');
		if (strrchr(at, '[') > cut)
			cut = strrchr(at, '[');
		if (cut == NULL)
			break;
		*cut = '\0';
	}
	snprintf(err, CONF_ERR_MAX, "%.220s: %.200s%s%.500s",
	    where != NULL ? where : "configuration", path, *path != '\0' ? ": " : "", text);
	return -1;
}
