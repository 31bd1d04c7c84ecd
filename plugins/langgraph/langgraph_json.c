/* langgraph_json.c: reads bodies and queries, and what answers have in common. */
#include "langgraph.h"

#include <errno.h>
#include <stdlib.h>

/* What a member may be, for the text of an error. */
static const char *
kinds_text(unsigned kinds)
{
	kinds &= ~LG_NEEDED;
	switch (kinds) {
	case LG_TEXT: return "a text";
	case LG_INT: return "a whole number";
	case LG_NUMBER: return "a number";
	case LG_BOOL: return "true or false";
	case LG_OBJECT: return "an object";
	case LG_LIST: return "a list";
	case LG_TEXT | LG_LIST: return "a text or a list";
	case LG_OBJECT | LG_LIST: return "an object or a list";
	case LG_TEXT | LG_OBJECT | LG_LIST: return "a text, an object or a list";
	default: return "of another type";
	}
}

static unsigned
kind_of(const json_t *j)
{
	switch (json_typeof(j)) {
	case JSON_STRING: return LG_TEXT;
	case JSON_INTEGER: return LG_INT | LG_NUMBER;
	case JSON_REAL: return LG_NUMBER;
	case JSON_TRUE:
	case JSON_FALSE: return LG_BOOL;
	case JSON_OBJECT: return LG_OBJECT;
	case JSON_ARRAY: return LG_LIST;
	default: return LG_ANY;
	}
}

static int
bad(ins_ctx *ctx, const char *where, const char *name, const char *what)
{
	ins_field(ctx, ins_printf(ctx, "%s%s", where, name));
	return ins_fail(ctx, INS_EINVAL, "%s%s %s", where, name, what);
}

int
lg_members(ins_ctx *ctx, const json_t *object, const char *where, const struct lg_member *members)
{
	const struct lg_member *m;
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)object, name, value)
	{
		for (m = members; m->name != NULL && strcmp(m->name, name) != 0; m++)
			;
		if (m->name == NULL)
			return bad(ctx, where, name, "is not known here");
		if (json_is_null(value) || (m->kinds & LG_ANY) != 0 ||
		    (m->kinds & kind_of(value)) != 0)
			continue;
		return bad(ctx, where, name, ins_printf(ctx, "must be %s", kinds_text(m->kinds)));
	}
	for (m = members; m->name != NULL; m++)
		if ((m->kinds & LG_NEEDED) != 0 && lg_get(object, m->name) == NULL)
			return bad(ctx, where, m->name, "is required");
	return 0;
}

int
lg_body(ins_ctx *ctx, const struct lg_member *members, json_t **ret_body)
{
	int r;

	if (ins_body(ctx).n == 0) {
		*ret_body = ins_json_end(ctx, json_object());
		r = *ret_body == NULL ? -INS_ENOMEM : 0;
	} else {
		r = ins_body_json(ctx, ret_body);
	}
	if (r != 0)
		return r;
	if (!json_is_object(*ret_body))
		return ins_fail(ctx, INS_EINVAL, "the body must be a JSON object");
	return lg_members(ctx, *ret_body, "", members);
}

json_t *
lg_get(const json_t *object, const char *name)
{
	json_t *j = json_object_get(object, name);

	return json_is_null(j) ? NULL : j;
}

const char *
lg_text(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

int
lg_choice(ins_ctx *ctx, const json_t *object, const char *name, const char *const *names, int dflt)
{
	const json_t *j = lg_get(object, name);
	char all[160] = "";
	int i;

	if (j == NULL)
		return dflt;
	for (i = 0; names[i] != NULL; i++)
		if (json_is_string(j) && strcmp(json_string_value(j), names[i]) == 0)
			return i;
	for (i = 0; names[i] != NULL; i++)
		snprintf(all + strlen(all), sizeof all - strlen(all), "%s\"%s\"",
		    i == 0 ? "" : ", ", names[i]);
	return bad(ctx, "", name, ins_printf(ctx, "must be one of %s", all));
}

static int
in_range(ins_ctx *ctx, const char *name, int64_t v, int64_t least, int64_t most)
{
	if (v >= least && v <= most)
		return 0;
	return bad(ctx, "", name,
	    ins_printf(ctx, "must be from %lld to %lld", (long long)least, (long long)most));
}

int
lg_page(ins_ctx *ctx, const json_t *body, int64_t *ret_limit, int64_t *ret_offset)
{
	const json_t *limit = lg_get(body, "limit"), *offset = lg_get(body, "offset");
	int r;

	*ret_limit = limit == NULL ? LG_PAGE_DEFAULT : json_integer_value(limit);
	*ret_offset = json_integer_value(offset);
	r = in_range(ctx, "limit", *ret_limit, 1, LG_PAGE_MAX);
	return r != 0 ? r : in_range(ctx, "offset", *ret_offset, 0, LG_OFFSET_MAX);
}

static int
query_number(ins_ctx *ctx, const char *name, int64_t least, int64_t most, int64_t *ret)
{
	const char *z = ins_query(ctx, name);
	char *end;

	if (z == NULL || *z == '\0')
		return 0;
	errno = 0;
	*ret = strtoll(z, &end, 10);
	if (errno != 0 || *end != '\0')
		return bad(ctx, "", name, "must be a whole number");
	return in_range(ctx, name, *ret, least, most);
}

int
lg_query_page(ins_ctx *ctx, int64_t *ret_limit, int64_t *ret_offset)
{
	int r;

	*ret_limit = LG_PAGE_DEFAULT;
	*ret_offset = 0;
	r = query_number(ctx, "limit", 1, LG_PAGE_MAX, ret_limit);
	return r != 0 ? r : query_number(ctx, "offset", 0, LG_OFFSET_MAX, ret_offset);
}

int
lg_query_flag(ins_ctx *ctx, const char *name)
{
	const char *z = ins_query(ctx, name);

	return z != NULL &&
	    (strcmp(z, "1") == 0 || strcmp(z, "true") == 0 || strcmp(z, "yes") == 0);
}

const char *
lg_path_id(ins_ctx *ctx, const char *param, const char *kind)
{
	char *id = ins_alloc(ctx, LG_UUID_LEN + 1);

	if (id != NULL && lg_uuid(ins_param(ctx, param), id))
		return id;
	ins_fail(ctx, INS_ENOTFOUND, "there is no %s with this id", kind);
	return NULL;
}

json_t *
lg_column_json(const ins_rows *rows, size_t row, size_t col)
{
	ins_str s = ins_value_str(rows, row, col);
	json_t *j = s.p == NULL ? NULL : json_loadb(s.p, s.n, JSON_DECODE_ANY, NULL);

	return j == NULL ? json_null() : j;
}

json_t *
lg_column_text(const ins_rows *rows, size_t row, size_t col)
{
	ins_str s = ins_value_str(rows, row, col);

	return s.p == NULL ? json_null() : json_stringn(s.p, s.n);
}

void
lg_merge(json_t *dst, const json_t *src)
{
	if (json_is_object(src))
		json_object_update(dst, (json_t *)src);
}

int
lg_fields_ok(ins_ctx *ctx, const json_t *select, const char *const *fields)
{
	const json_t *one;
	const char *z;
	size_t i, k;

	json_array_foreach((json_t *)select, i, one)
	{
		z = json_string_value(one);
		for (k = 0; z != NULL && fields[k] != NULL && strcmp(fields[k], z) != 0; k++)
			;
		if (z != NULL && fields[k] != NULL)
			continue;
		return bad(ctx, "", "select",
		    ins_printf(ctx, "knows no field \"%.40s\"", z == NULL ? "" : z));
	}
	return 0;
}

json_t *
lg_query_select(ins_ctx *ctx)
{
	json_t *all = NULL;
	const char *z;
	uint32_t i;

	for (i = 0; i < 64 && (z = ins_query_at(ctx, "select", i)) != NULL; i++) {
		if (all == NULL)
			all = ins_json_end(ctx, json_array());
		json_array_append_new(all, json_string(z));
	}
	return all;
}

void
lg_select(json_t *object, const json_t *select)
{
	const char *name;
	json_t *value, *wanted;
	void *next;
	size_t i;
	int keep;

	if (!json_is_array(select))
		return;
	json_object_foreach_safe(object, next, name, value)
	{
		keep = 0;
		json_array_foreach((json_t *)select, i, wanted)
		    keep |= json_is_string(wanted) && strcmp(json_string_value(wanted), name) == 0;
		if (!keep)
			json_object_del(object, name);
	}
}

void
lg_pagination(ins_ctx *ctx, int64_t offset, size_t n, int more)
{
	long long end = (long long)offset + (long long)n;

	/* The total is what is known: one more than told, while there is more. */
	ins_set_header(ctx, "x-pagination-total", ins_printf(ctx, "%lld", end + (more != 0)));
	if (more)
		ins_set_header(ctx, "x-pagination-next", ins_printf(ctx, "%lld", end));
}

int
lg_reply_nothing(ins_ctx *ctx)
{
	return ins_reply(ctx, 204, NULL, "", 0);
}
