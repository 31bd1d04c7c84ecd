/*
 * conf_opt.c: option tables. One table of a plugin (or of a section of the host's own keys) gives
 * parsing, defaults and the refusal of what is unknown. Defaults are written as in YAML and go
 * through the same functions as the operator's values. Sub-objects are read by the same walk, one
 * level down.
 */
#include "plugin/conf.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>

#define OPT_LIST_MAX 1024          /* entries of a list */
#define OPT_DEPTH_MAX 8            /* tables in tables */
#define OPT_SECRET_MAX (64u << 10) /* bytes of a secret's file */
#define OPT_CHOICES_MAX 32

struct opt_reader {
	const struct conf_doc *doc;
	const char *path;
	struct arena *arena;
	char *base;
	char *err;
	unsigned depth;
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

int
conf_parse_rate(const char *z, double *ret)
{
	static const char *const units[] = { "/s", "/m", "/h", "/d" };
	static const double seconds[] = { 1, 60, 3600, 86400 };
	char *end;
	size_t i;

	*ret = 0;
	if (strcmp(z, "0") == 0)
		return 0;
	if (!isdigit((unsigned char)*z))
		return -1;
	*ret = strtod(z, &end);
	for (i = 0; i < NELEM(units); i++)
		if (strcmp(end, units[i]) == 0) {
			*ret /= seconds[i];
			return isfinite(*ret) ? 0 : -1;
		}
	return -1;
}

/* The words of "a|b|c", copied; NULL-terminated. */
static size_t
choices_of(const struct opt_reader *r, const char *z, const char *words[OPT_CHOICES_MAX + 1])
{
	size_t n = 0, len;

	for (; n < OPT_CHOICES_MAX && z != NULL && *z != '\0'; z += len + (z[len] == '|')) {
		len = strcspn(z, "|");
		words[n++] = arena_strndup(r->arena, z, len);
	}
	words[n] = NULL;
	return n;
}

static int
set_choice(const struct opt_reader *r, const ins_option *o, const char *z, int32_t *ret)
{
	const char *words[OPT_CHOICES_MAX + 1], *near;
	size_t i, n = choices_of(r, o->choices, words);

	for (i = 0; i < n; i++)
		if (strcmp(words[i], z) == 0) {
			*ret = (int32_t)i;
			return 0;
		}
	near = conf_suggest(z, words);
	return opt_fail(r, o->name, "must be one of %s%s%s%s", o->choices,
	    near != NULL ? "; did you mean " : "", near != NULL ? near : "",
	    near != NULL ? "?" : "");
}

/* What a file holds, without the line end that editors add. */
static int
read_secret(const struct opt_reader *r, const ins_option *o, const char *file, const char **ret)
{
	FILE *f = fopen(file, "re");
	char *p;
	size_t n;

	if (f == NULL)
		return opt_fail(r, o->name, "%s: %s", file, strerror(errno));
	p = malloc(OPT_SECRET_MAX + 1);
	AN(p);
	n = fread(p, 1, OPT_SECRET_MAX + 1, f);
	fclose(f);
	if (n <= OPT_SECRET_MAX) {
		while (n > 0 && (p[n - 1] == '\n' || p[n - 1] == '\r'))
			n--;
		*ret = memchr(p, '\0', n) != NULL ? NULL : arena_strndup(r->arena, p, n);
	}
	explicit_bzero(p, OPT_SECRET_MAX + 1);
	free(p);
	if (n > OPT_SECRET_MAX)
		return opt_fail(r, o->name, "%s: more than %u bytes", file, OPT_SECRET_MAX);
	if (*ret == NULL || **ret == '\0')
		return opt_fail(r, o->name, "%s: no text in it", file);
	return 0;
}

/* Its value is in no message: what is wrong with it may be read by others than may read it. */
static int
set_secret(
    const struct opt_reader *r, const ins_option *o, const char *z, int from_env, const char **ret)
{
	if (strncmp(z, "file:/", 6) == 0)
		return read_secret(r, o, z + 5, ret);
	if (from_env || *z == '\0') {
		*ret = arena_strdup(r->arena, z);
		return 0;
	}
	return opt_fail(r, o->name,
	    "a secret does not stand in the configuration; write ${NAME} for one of the "
	    "environment, or file:/path");
}

static int
add_word(const struct opt_reader *r, const ins_option *o, ins_list *l, const char *p, size_t n)
{
	const char **words = (const char **)(uintptr_t)l->p;

	if (words == NULL) {
		words = arena_alloc(r->arena, OPT_LIST_MAX * sizeof *words);
		AN(words);
		l->p = words;
	}
	if (l->n == OPT_LIST_MAX)
		return opt_fail(r, o->name, "has more than %d entries", OPT_LIST_MAX);
	words[l->n++] = arena_strndup(r->arena, p, n);
	return 0;
}

/* The default of a list: words with commas between. */
static int
set_words(const struct opt_reader *r, const ins_option *o, const char *z, ins_list *l)
{
	size_t n;

	for (z += strspn(z, " "); *z != '\0'; z += strspn(z, ", ")) {
		n = strcspn(z, ",");
		if (add_word(r, o, l, z, n) != 0)
			return -1;
		z += n;
	}
	return 0;
}

/* A value that is written as text: a default, or something from the environment. 0, -1 when the
 * form is wrong, -2 when err says already what is. */
static int
set_text(const struct opt_reader *r, const ins_option *o, const char *z, int from_env)
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
	case INS_OPT_T_RATE: return conf_parse_rate(z, p);
	case INS_OPT_T_ENUM: return set_choice(r, o, z, p) != 0 ? -2 : 0;
	case INS_OPT_T_SECRET: return set_secret(r, o, z, from_env, p) != 0 ? -2 : 0;
	case INS_OPT_T_LIST: return set_words(r, o, z, p) != 0 ? -2 : 0;
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
	case INS_OPT_T_RATE: return "a rate, such as 10/s, 600/m, 5/h or 0";
	case INS_OPT_T_ENUM: return "one of its words";
	case INS_OPT_T_SECRET: return "${NAME} or file:/path";
	case INS_OPT_T_LIST: return "a list of texts";
	case INS_OPT_T_OBJECT: return "a map of keys and values";
	case INS_OPT_T_OBJECTS: return "a list of maps";
	default: return "a value";
	}
}

static int read_table(const struct opt_reader *, const json_t *obj, const ins_option *);

static size_t
table_size(const ins_option *table)
{
	for (; table->type != INS_OPT_T_END; table++)
		;
	return table->offset;
}

/* One struct, below the key: at "key" or "key[i]". obj NULL: its defaults. */
static int
read_object(
    const struct opt_reader *r, const ins_option *o, const char *at, char *base, const json_t *obj)
{
	struct opt_reader sub = *r;

	ASSERT(r->depth < OPT_DEPTH_MAX);
	sub.depth++;
	sub.path = arena_printf(r->arena, "%s%s%s", r->path, r->path[0] != '\0' ? "." : "", at);
	sub.base = base;
	AN(sub.path);
	if (obj != NULL && !json_is_object(obj))
		return conf_error(r->doc, sub.path, r->err, "must be a map of keys and values");
	return read_table(&sub, obj, o->table);
}

static int
set_list(const struct opt_reader *r, const ins_option *o, const json_t *v)
{
	ins_list *l = (void *)(r->base + o->offset);
	size_t i, size = 0, n = json_array_size(v);
	char at[CONF_PATH_MAX], *base = NULL;
	const json_t *e;

	if (!json_is_array(v))
		return -1;
	if (n > OPT_LIST_MAX)
		return opt_fail(r, o->name, "has more than %d entries", OPT_LIST_MAX), -2;
	if (o->type == INS_OPT_T_OBJECTS) {
		size = table_size(o->table);
		base = arena_alloc(r->arena, n * size + 1);
		AN(base);
		l->p = base;
		l->n = n;
	}
	json_array_foreach(v, i, e)
	{
		snprintf(at, sizeof at, "%s[%zu]", o->name, i);
		if (o->type == INS_OPT_T_OBJECTS) {
			if (read_object(r, o, at, base + i * size, e) != 0)
				return -2;
		} else if (!json_is_string(e)) {
			return opt_fail(r, at, "must be %s", type_words(INS_OPT_T_STR)), -2;
		} else if (add_word(r, o, l, json_string_value(e), json_string_length(e)) != 0) {
			return -2;
		}
	}
	return 0;
}

/* As set_text(). */
static int
set_json(const struct opt_reader *r, const ins_option *o, const json_t *v)
{
	void *p = r->base + o->offset;
	char at[CONF_PATH_MAX];

	opt_path(r, o->name, at);
	if (json_is_string(v) && json_object_get(r->doc->env, at) != NULL)
		return set_text(r, o, json_string_value(v), 1);
	switch (o->type) {
	case INS_OPT_T_STR:
	case INS_OPT_T_MS:
	case INS_OPT_T_RATE:
	case INS_OPT_T_ENUM:
	case INS_OPT_T_SECRET:
		if ((o->type == INS_OPT_T_MS || o->type == INS_OPT_T_RATE) && json_is_integer(v) &&
		    json_integer_value(v) == 0)
			return set_text(r, o, "0", 0);
		return json_is_string(v) ? set_text(r, o, json_string_value(v), 0) : -1;
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
		return json_is_string(v) ? set_text(r, o, json_string_value(v), 0) : -1;
	case INS_OPT_T_JSON: *(const json_t **)p = v; return 0;
	case INS_OPT_T_LIST:
	case INS_OPT_T_OBJECTS: return set_list(r, o, v);
	case INS_OPT_T_OBJECT: return read_object(r, o, o->name, p, v) != 0 ? -2 : 0;
	default: return -1;
	}
}

/* A number in the words of its type. */
static void
in_words(uint32_t type, double v, char buf[40])
{
	static const struct {
		double factor;
		const char *unit;
	} ms[] = { { 3600000, "h" }, { 60000, "m" }, { 1000, "s" }, { 1, "ms" } },
	  size[] = { { 1 << 30, "g" }, { 1 << 20, "m" }, { 1 << 10, "k" } };
	size_t i;

	for (i = 0; type == INS_OPT_T_MS && v != 0 && i < NELEM(ms); i++)
		if (fmod(v, ms[i].factor) == 0) {
			snprintf(buf, 40, "%.0f%s", v / ms[i].factor, ms[i].unit);
			return;
		}
	for (i = 0; type == INS_OPT_T_SIZE && v != 0 && i < NELEM(size); i++)
		if (fmod(v, size[i].factor) == 0) {
			snprintf(buf, 40, "%.0f%s", v / size[i].factor, size[i].unit);
			return;
		}
	snprintf(buf, 40, "%.15g%s", v, type == INS_OPT_T_RATE && v != 0 ? "/s" : "");
}

int
conf_range(const ins_option *o, char buf[96])
{
	char lo[40], hi[40];

	if (o->min == 0 && o->max == 0)
		return 0;
	in_words(o->type, o->min, lo);
	in_words(o->type, o->max, hi);
	snprintf(buf, 96, "%s .. %s%s", lo, hi,
	    o->type == INS_OPT_T_LIST || o->type == INS_OPT_T_OBJECTS ? " entries" : "");
	return 1;
}

static int
check_range(const struct opt_reader *r, const ins_option *o)
{
	const void *p = r->base + o->offset;
	char range[96];
	double v;

	if (!conf_range(o, range))
		return 0;
	switch (o->type) {
	case INS_OPT_T_INT:
	case INS_OPT_T_MS:
	case INS_OPT_T_SIZE: v = (double)*(const int64_t *)p; break;
	case INS_OPT_T_NUM:
	case INS_OPT_T_RATE: v = *(const double *)p; break;
	case INS_OPT_T_LIST:
	case INS_OPT_T_OBJECTS: v = (double)((const ins_list *)p)->n; break;
	default: return 0;
	}
	return v >= o->min && v <= o->max ? 0 : opt_fail(r, o->name, "must be %s", range);
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

static int
read_option(const struct opt_reader *r, const ins_option *o, const json_t *v)
{
	int ret;

	if (v != NULL && !json_is_null(v)) {
		ret = set_json(r, o, v);
		if (ret == -1)
			return opt_fail(r, o->name, "must be %s", type_words(o->type));
		return ret == 0 ? check_range(r, o) : -1;
	}
	switch (o->type) {
	case INS_OPT_T_JSON: return 0;
	case INS_OPT_T_OBJECT: return read_object(r, o, o->name, r->base + o->offset, NULL);
	case INS_OPT_T_OBJECTS: return check_range(r, o);
	default: break;
	}
	if (o->dflt == NULL)
		return opt_fail(r, o->name, "is missing: %s", o->doc);
	ret = set_text(r, o, o->dflt, 0);
	if (ret == -1)
		return opt_fail(
		    r, o->name, "the default \"%s\" is not %s", o->dflt, type_words(o->type));
	return ret == 0 ? check_range(r, o) : -1;
}

static int
read_table(const struct opt_reader *r, const json_t *obj, const ins_option *table)
{
	const ins_option *o;

	if (obj != NULL && refuse_unknown(r, obj, table) != 0)
		return -1;
	for (o = table; o->type != INS_OPT_T_END; o++)
		if (read_option(r, o, obj == NULL ? NULL : json_object_get(obj, o->name)) != 0)
			return -1;
	return 0;
}

int
conf_options(const struct conf_doc *doc, const char *path, const json_t *obj,
    const ins_option *table, struct arena *arena, void **ret_conf, char err[CONF_ERR_MAX])
{
	struct opt_reader r = { .doc = doc, .path = path, .arena = arena, .err = err };
	size_t size = table_size(table);

	r.base = arena_alloc(arena, size != 0 ? size : 1);
	AN(r.base);
	*ret_conf = r.base;
	if (obj != NULL && !json_is_object(obj))
		return conf_error(doc, path, err, "must be a map of keys and values");
	return read_table(&r, obj, table);
}
