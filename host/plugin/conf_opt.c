/*
 * conf_opt.c: option tables. One table of a plugin (or of a section of the host's own keys) gives
 * parsing, defaults and the refusal of what is unknown. Defaults are written as in YAML and go
 * through the same functions as the operator's values.
 */
#include "plugin/conf.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>

struct opt_reader {
	const struct conf_doc *doc;
	const char *path;
	struct arena *arena;
	char *base;
	char *err;
};

static int
opt_path(const struct opt_reader *r, const char *key, char buf[CONF_PATH_MAX])
{
	return snprintf(buf, CONF_PATH_MAX, "%s%s%s", r->path, r->path[0] != '\0' ? "." : "", key);
}

static int opt_fail(const struct opt_reader *r, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int
opt_fail(const struct opt_reader *r, const char *key, const char *fmt, ...)
{
	char at[CONF_PATH_MAX], text[CONF_ERR_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	opt_path(r, key, at);
	return conf_error(r->doc, at, r->err, "%s", text);
}

/* A number, then one of the units; the product must fit. */
static int
parse_unit(const char *z, const char *const *units, const int64_t *factors, int64_t *ret)
{
	char *end;
	long long v;
	size_t i;

	if (!isdigit((unsigned char)*z))
		return -1;
	errno = 0;
	v = strtoll(z, &end, 10);
	if (errno != 0)
		return -1;
	for (i = 0; units[i] != NULL; i++)
		if (strcmp(end, units[i]) == 0 && !__builtin_mul_overflow(v, factors[i], ret))
			return 0;
	return -1;
}

int
conf_parse_ms(const char *z, int64_t *ret)
{
	static const char *const units[] = { "ms", "s", "m", "h", NULL };
	static const int64_t factors[] = { 1, 1000, 60000, 3600000 };

	if (strcmp(z, "0") == 0) {
		*ret = 0;
		return 0;
	}
	return parse_unit(z, units, factors, ret);
}

int
conf_parse_size(const char *z, int64_t *ret)
{
	static const char *const units[] = { "", "k", "m", "g", NULL };
	static const int64_t factors[] = { 1, 1 << 10, 1 << 20, 1 << 30 };

	return parse_unit(z, units, factors, ret);
}

static int
parse_int(const char *z, int64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoll(z, &end, 10);
	return errno == 0 && end != z && *end == '\0' && !isspace((unsigned char)*z) ? 0 : -1;
}

static int
parse_num(const char *z, double *ret)
{
	char *end;

	*ret = strtod(z, &end);
	return end != z && *end == '\0' && isfinite(*ret) ? 0 : -1;
}

/* A value that is written as text: a default, or something from the environment. */
static int
set_text(const struct opt_reader *r, const ins_option *o, const char *z)
{
	void *p = r->base + o->offset;
	int32_t b;

	switch (o->type) {
	case INS_OPT_T_STR: *(const char **)p = arena_strdup(r->arena, z); return 0;
	case INS_OPT_T_INT: return parse_int(z, p);
	case INS_OPT_T_NUM: return parse_num(z, p);
	case INS_OPT_T_BOOL:
		b = strcmp(z, "true") == 0;
		*(int32_t *)p = b;
		return b || strcmp(z, "false") == 0 ? 0 : -1;
	case INS_OPT_T_MS: return conf_parse_ms(z, p);
	case INS_OPT_T_SIZE: return conf_parse_size(z, p);
	default: return -1;
	}
}

static const char *
type_words(uint32_t type)
{
	switch (type) {
	case INS_OPT_T_STR: return "text (quote it if it looks like a number or a word of YAML)";
	case INS_OPT_T_INT: return "a whole number";
	case INS_OPT_T_NUM: return "a number";
	case INS_OPT_T_BOOL: return "true or false";
	case INS_OPT_T_MS: return "a duration, such as 250ms, 5s, 2m or 1h";
	case INS_OPT_T_SIZE: return "a size, such as 64k, 4m or 1g";
	default: return "a value";
	}
}

static int
set_json(const struct opt_reader *r, const ins_option *o, const json_t *v)
{
	void *p = r->base + o->offset;
	char at[CONF_PATH_MAX];

	opt_path(r, o->name, at);
	if (json_is_string(v) && json_object_get(r->doc->env, at) != NULL)
		return set_text(r, o, json_string_value(v));
	switch (o->type) {
	case INS_OPT_T_STR:
	case INS_OPT_T_MS:
		if (o->type == INS_OPT_T_MS && json_is_integer(v) && json_integer_value(v) == 0)
			return set_text(r, o, "0");
		return json_is_string(v) ? set_text(r, o, json_string_value(v)) : -1;
	case INS_OPT_T_INT:
		*(int64_t *)p = json_integer_value(v);
		return json_is_integer(v) ? 0 : -1;
	case INS_OPT_T_NUM: *(double *)p = json_number_value(v); return json_is_number(v) ? 0 : -1;
	case INS_OPT_T_BOOL: *(int32_t *)p = json_is_true(v); return json_is_boolean(v) ? 0 : -1;
	case INS_OPT_T_SIZE:
		if (json_is_integer(v) && json_integer_value(v) >= 0) {
			*(int64_t *)p = json_integer_value(v);
			return 0;
		}
		return json_is_string(v) ? set_text(r, o, json_string_value(v)) : -1;
	case INS_OPT_T_JSON: *(const json_t **)p = v; return 0;
	default: return -1;
	}
}

/* Bounded edit distance: two rows are enough for names of up to 63 bytes. */
static unsigned
distance(const char *a, const char *b)
{
	unsigned row[64], diag, up, i, j;
	size_t na = strlen(a), nb = strlen(b);

	if (na > 63 || nb > 63)
		return 64;
	for (j = 0; j <= nb; j++)
		row[j] = j;
	for (i = 1; i <= na; i++) {
		diag = row[0];
		row[0] = i;
		for (j = 1; j <= nb; j++) {
			up = row[j];
			row[j] = diag + (a[i - 1] != b[j - 1]);
			if (up + 1 < row[j])
				row[j] = up + 1;
			if (row[j - 1] + 1 < row[j])
				row[j] = row[j - 1] + 1;
			diag = up;
		}
	}
	return row[nb];
}

const char *
conf_suggest(const char *z, const char *const *names)
{
	const char *best = NULL;
	unsigned d, least = strlen(z) < 4 ? 2 : 3;

	for (; *names != NULL; names++) {
		d = distance(z, *names);
		if (d < least) {
			least = d;
			best = *names;
		}
	}
	return best;
}

static int
refuse_unknown(const struct opt_reader *r, const json_t *obj, const ins_option *table)
{
	const char *names[128], *near;
	const ins_option *o;
	const char *key;
	json_t *value;
	size_t n = 0;

	for (o = table; o->type != INS_OPT_T_END && n < NELEM(names) - 1; o++)
		names[n++] = o->name;
	names[n] = NULL;
	json_object_foreach((json_t *)(uintptr_t)obj, key, value)
	{
		for (o = table; o->type != INS_OPT_T_END; o++)
			if (strcmp(o->name, key) == 0)
				break;
		if (o->type != INS_OPT_T_END)
			continue;
		near = conf_suggest(key, names);
		if (near != NULL)
			return opt_fail(r, key, "there is no such key; did you mean %s?", near);
		return opt_fail(r, key, "there is no such key here");
	}
	return 0;
}

int
conf_options(const struct conf_doc *doc, const char *path, const json_t *obj,
    const ins_option *table, struct arena *arena, void **ret_conf, char err[CONF_ERR_MAX])
{
	struct opt_reader r = { .doc = doc, .path = path, .arena = arena, .err = err };
	const ins_option *o;
	const json_t *v;

	for (o = table; o->type != INS_OPT_T_END; o++)
		;
	r.base = arena_alloc(arena, o->offset != 0 ? o->offset : 1);
	AN(r.base);
	*ret_conf = r.base;
	if (obj != NULL && !json_is_object(obj))
		return conf_error(doc, path, err, "must be a map of keys and values");
	if (obj != NULL && refuse_unknown(&r, obj, table) != 0)
		return -1;
	for (o = table; o->type != INS_OPT_T_END; o++) {
		v = obj == NULL ? NULL : json_object_get(obj, o->name);
		if (v != NULL && !json_is_null(v)) {
			if (set_json(&r, o, v) != 0)
				return opt_fail(&r, o->name, "must be %s", type_words(o->type));
		} else if (o->type == INS_OPT_T_JSON) {
			continue;
		} else if (o->dflt == NULL) {
			return opt_fail(&r, o->name, "is missing: %s", o->doc);
		} else if (set_text(&r, o, o->dflt) != 0) {
			return opt_fail(&r, o->name, "the default \"%s\" is not %s", o->dflt,
			    type_words(o->type));
		}
	}
	return 0;
}
