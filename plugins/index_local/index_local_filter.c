/*
 * index_local_filter.c: metadata_condition of Dify's external knowledge API: which documents a
 * search may look at. PostgreSQL evaluates the conditions, the search skips what is not in the
 * list: the best of those that match come back, never what is left of the best.
 */
#include <stdlib.h>

#include "index_local.h"

static const char *const operators[] = { "contains", "not contains", "start with", "end with", "is",
	"is not", "empty", "not empty", "=", "\u2260", ">", "<", "\u2265", "\u2264", "before",
	"after" };

static int
compare_id(const void *a, const void *b)
{
	return memcmp(a, b, 16);
}

int
filter_accepts(void *arg, const struct seg_document *d)
{
	const struct filter *f = arg;

	return bsearch(d->id, f->ids, f->n, 16, compare_id) != NULL;
}

static int
bad(ins_ctx *ctx, const char *text)
{
	ins_field(ctx, "metadata_condition");
	return ins_fail(ctx, INS_EINVAL, "metadata_condition %s", text);
}

/* The conditions as the statement reads them. */
static int
read_conditions(ins_ctx *ctx, const json_t *list, json_t *out)
{
	size_t i, o;

	if (!json_is_array(list) || json_array_size(list) > FILTER_CONDITIONS)
		return bad(ctx, "must hold a list of at most 20 conditions");
	for (i = 0; i < json_array_size(list); i++) {
		const json_t *c = json_array_get(list, i), *name = json_object_get(c, "name");
		json_t *value = json_object_get(c, "value");
		const char *op = json_string_value(json_object_get(c, "comparison_operator"));

		if (json_is_array(name)) /* older Dify: a list of one */
			name = json_array_get(name, 0);
		if (!json_is_string(name))
			return bad(ctx, "has a condition without a name");
		for (o = 0; o < sizeof operators / sizeof operators[0]; o++)
			if (op != NULL && strcmp(op, operators[o]) == 0)
				break;
		if (o == sizeof operators / sizeof operators[0])
			return bad(ctx, "has an unknown comparison_operator");
		if (value != NULL && !json_is_string(value) && !json_is_number(value) &&
		    !json_is_null(value))
			return bad(ctx, "has a value that is neither text nor number");
		if (json_array_append_new(out,
			json_pack("{s:s, s:s, s:O?}", "name", json_string_value(name), "op", op,
			    "value", value)) != 0)
			return -INS_ENOMEM;
	}
	return 0;
}

int
filter_read(ins_ctx *ctx, struct index_local *x, const json_t *condition, struct filter *ret)
{
	const char *logic = json_string_value(json_object_get(condition, "logical_operator"));
	json_t *list = ins_json_end(ctx, json_array());
	ins_rows *rows;
	size_t i;
	int r;

	if (list == NULL)
		return -INS_ENOMEM;
	if (!json_is_object(condition) ||
	    (logic != NULL && strcmp(logic, "and") != 0 && strcmp(logic, "or") != 0))
		return bad(ctx, "must be an object whose logical_operator is and or or");
	r = read_conditions(ctx, json_object_get(condition, "conditions"), list);
	if (r != 0)
		return r;
	r = ins_db(ctx, x->s[S_FILTER],
	    INS_ARGS(ins_json(ctx, list), ins_text(logic == NULL ? "and" : logic),
		ins_int(ctx, FILTER_DOCUMENTS + 1)),
	    &rows);
	if (r != 0)
		return r;
	if (ins_rows_count(rows) > FILTER_DOCUMENTS)
		return bad(ctx, "admits more documents than can be filtered");
	ret->n = ins_rows_count(rows);
	ret->ids = malloc(ret->n * 16 + 1);
	if (ret->ids == NULL)
		return -INS_ENOMEM;
	if (ins_cleanup(ctx, free, ret->ids) != 0) {
		free(ret->ids);
		return -INS_ENOMEM;
	}
	for (i = 0; i < ret->n; i++)
		if (uuid_parse(ins_value(rows, i, 0), ret->ids[i]) != 0)
			return -INS_EINTERNAL;
	qsort(ret->ids, ret->n, 16, compare_id);
	ins_rows_end(rows);
	return 0;
}
