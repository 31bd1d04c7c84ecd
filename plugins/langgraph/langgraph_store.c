/*
 * langgraph_store.c: the store: values under a namespace and a key, for what agents remember beyond
 * a thread.
 *
 * `query` of a search is words (PostgreSQL's text search with its plain dictionary), not meaning:
 * there is no index of vectors here. What asks for one (`index`), or for values that go away by
 * themselves (`ttl`), is refused rather than silently not done.
 */
#include "langgraph.h"

static int
namespace_ok(ins_ctx *ctx, const char *field, const json_t *labels, size_t at_least, int wild)
{
	const char *why = lg_namespace_fault(labels, at_least, wild);

	if (why == NULL)
		return 0;
	ins_field(ctx, field);
	return ins_fail(ctx, INS_EINVAL, "%s %s", field, why);
}

static int
key_ok(ins_ctx *ctx, const char *key)
{
	if (key != NULL && *key != '\0' && strlen(key) <= LG_KEY_MAX)
		return 0;
	ins_field(ctx, "key");
	return ins_fail(ctx, INS_EINVAL, "key must be a text of 1 to %u bytes", LG_KEY_MAX);
}

/* ttl and index: null and false ask for nothing. */
static int
refuse_extras(ins_ctx *ctx, const json_t *body)
{
	static const char *const names[] = { "ttl", "index" };
	const json_t *j;
	size_t i;

	for (i = 0; i < sizeof names / sizeof *names; i++) {
		j = lg_get(body, names[i]);
		if (j == NULL || json_is_false(j))
			continue;
		ins_field(ctx, names[i]);
		return ins_fail(ctx, INS_EINVAL, "this store has no %s", names[i]);
	}
	return 0;
}

INS_AWAITS
static int
store_put(ins_ctx *ctx, void *self)
{
	static const struct lg_member members[] = { { "namespace", LG_LIST | LG_NEEDED },
		{ "key", LG_TEXT | LG_NEEDED }, { "value", LG_OBJECT | LG_NEEDED },
		{ "index", LG_ANY }, { "ttl", LG_ANY }, { NULL, 0 } };
	struct lg *lg = self;
	json_t *body;
	int r = lg_body(ctx, members, &body);

	if (r == 0)
		r = namespace_ok(ctx, "namespace", lg_get(body, "namespace"), 1, 0);
	if (r == 0)
		r = key_ok(ctx, lg_text(body, "key"));
	if (r == 0)
		r = refuse_extras(ctx, body);
	if (r == 0)
		r = ins_db(ctx, lg->sql[S_STORE_PUT],
		    INS_ARGS(ins_json(ctx, lg_get(body, "namespace")),
			ins_text(lg_text(body, "key")), ins_json(ctx, lg_get(body, "value"))),
		    NULL);
	return r != 0 ? r : lg_reply_nothing(ctx);
}

static json_t *
item_json(const ins_rows *rows, size_t i)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "namespace", lg_column_json(rows, i, 0),
	    "key", lg_column_text(rows, i, 1), "value", lg_column_json(rows, i, 2), "created_at",
	    lg_column_text(rows, i, 3), "updated_at", lg_column_text(rows, i, 4));
}

INS_AWAITS
static int
store_get(ins_ctx *ctx, void *self)
{
	struct lg *lg = self;
	const char *ns = ins_query(ctx, "namespace"), *key = ins_query(ctx, "key");
	json_t *labels = ns == NULL ? NULL : lg_namespace_parse(ns);
	ins_rows *rows;
	int r;

	if (labels == NULL) {
		ins_field(ctx, "namespace");
		return ins_fail(ctx, INS_EINVAL,
		    "namespace must be 1 to 16 labels of 1 to 128 bytes, joined by '.'");
	}
	if ((labels = ins_json_end(ctx, labels)) == NULL)
		return -INS_ENOMEM;
	if ((r = key_ok(ctx, key)) != 0)
		return r;
	r = ins_db(
	    ctx, lg->sql[S_STORE_GET], INS_ARGS(ins_json(ctx, labels), ins_text(key)), &rows);
	if (r != 0)
		return r;
	/* What is not there is null, and no error: so the clients expect it. */
	return ins_reply_take(
	    ctx, 200, ins_rows_count(rows) == 0 ? json_null() : item_json(rows, 0));
}

INS_AWAITS
static int
store_delete(ins_ctx *ctx, void *self)
{
	static const struct lg_member members[] = { { "namespace", LG_LIST | LG_NEEDED },
		{ "key", LG_TEXT | LG_NEEDED }, { NULL, 0 } };
	struct lg *lg = self;
	json_t *body;
	int r = lg_body(ctx, members, &body);

	if (r == 0)
		r = namespace_ok(ctx, "namespace", lg_get(body, "namespace"), 1, 0);
	if (r == 0)
		r = key_ok(ctx, lg_text(body, "key"));
	if (r == 0)
		r = ins_db(ctx, lg->sql[S_STORE_DELETE],
		    INS_ARGS(
			ins_json(ctx, lg_get(body, "namespace")), ins_text(lg_text(body, "key"))),
		    NULL);
	return r != 0 ? r : lg_reply_nothing(ctx);
}

/* {"field": value, "field": {"$gt": value, ...}} */
static int
filter_ok(ins_ctx *ctx, const json_t *filter)
{
	static const char *const ops[] = { "$eq", "$ne", "$gt", "$gte", "$lt", "$lte" };
	const char *field, *op;
	json_t *want, *value;
	size_t i;

	json_object_foreach((json_t *)filter, field, want)
	{
		json_object_foreach(want, op, value)
		{
			for (i = 0; i < sizeof ops / sizeof *ops && strcmp(ops[i], op) != 0; i++)
				;
			if (*op != '$' || i < sizeof ops / sizeof *ops)
				continue;
			ins_field(ctx, ins_printf(ctx, "filter.%s.%s", field, op));
			return ins_fail(ctx, INS_EINVAL,
			    "a filter knows $eq, $ne, $gt, $gte, $lt and $lte, not %.40s", op);
		}
	}
	return 0;
}

INS_AWAITS
static int
store_search(ins_ctx *ctx, void *self)
{
	static const struct lg_member members[] = { { "namespace_prefix", LG_LIST },
		{ "filter", LG_OBJECT }, { "limit", LG_INT }, { "offset", LG_INT },
		{ "query", LG_TEXT }, { "refresh_ttl", LG_BOOL }, { NULL, 0 } };
	struct lg *lg = self;
	json_t *body, *items, *prefix, *filter, *item;
	int64_t limit, offset;
	ins_rows *rows;
	size_t i;
	int r = lg_body(ctx, members, &body);

	if (r != 0)
		return r;
	if ((prefix = lg_get(body, "namespace_prefix")) == NULL)
		prefix = ins_json_end(ctx, json_array());
	if ((filter = lg_get(body, "filter")) == NULL)
		filter = ins_json_end(ctx, json_object());
	if ((r = namespace_ok(ctx, "namespace_prefix", prefix, 0, 0)) != 0 ||
	    (r = filter_ok(ctx, filter)) != 0 || (r = lg_page(ctx, body, &limit, &offset)) != 0)
		return r;
	r = ins_db(ctx, lg->sql[S_STORE_SEARCH],
	    INS_ARGS(ins_json(ctx, prefix), ins_json(ctx, filter), ins_text(lg_text(body, "query")),
		ins_int(ctx, limit), ins_int(ctx, offset)),
	    &rows);
	if (r != 0)
		return r;
	items = json_array();
	for (i = 0; i < ins_rows_count(rows); i++) {
		item = item_json(rows, i);
		if (ins_value(rows, i, 5) != NULL)
			json_object_set_new(item, "score", lg_column_json(rows, i, 5));
		json_array_append_new(items, item);
	}
	return ins_reply_json(ctx, 200, "{s:o}", "items", items);
}

INS_AWAITS
static int
store_namespaces(ins_ctx *ctx, void *self)
{
	static const struct lg_member members[] = { { "prefix", LG_LIST }, { "suffix", LG_LIST },
		{ "max_depth", LG_INT }, { "limit", LG_INT }, { "offset", LG_INT }, { NULL, 0 } };
	struct lg *lg = self;
	json_t *body, *prefix, *suffix, *depth, *all;
	int64_t limit, offset;
	ins_rows *rows;
	size_t i;
	int r = lg_body(ctx, members, &body);

	if (r != 0)
		return r;
	prefix = lg_get(body, "prefix");
	suffix = lg_get(body, "suffix");
	depth = lg_get(body, "max_depth");
	if ((prefix != NULL && (r = namespace_ok(ctx, "prefix", prefix, 0, 1)) != 0) ||
	    (suffix != NULL && (r = namespace_ok(ctx, "suffix", suffix, 0, 1)) != 0))
		return r;
	if (depth != NULL &&
	    (json_integer_value(depth) < 1 ||
		json_integer_value(depth) > (json_int_t)LG_NAMESPACE_LABELS_MAX)) {
		ins_field(ctx, "max_depth");
		return ins_fail(ctx, INS_EINVAL, "max_depth must be from 1 to 16");
	}
	if ((r = lg_page(ctx, body, &limit, &offset)) != 0)
		return r;
	if (lg_get(body, "limit") == NULL)
		limit = 100; /* LangGraph's default, here only */
	r = ins_db(ctx, lg->sql[S_STORE_NAMESPACES],
	    INS_ARGS(prefix == NULL ? ins_null() : ins_json(ctx, prefix),
		suffix == NULL ? ins_null() : ins_json(ctx, suffix),
		depth == NULL ? ins_null() : ins_int(ctx, json_integer_value(depth)),
		ins_int(ctx, limit), ins_int(ctx, offset)),
	    &rows);
	if (r != 0)
		return r;
	all = json_array();
	for (i = 0; i < ins_rows_count(rows); i++)
		json_array_append_new(all, lg_column_json(rows, i, 0));
	return ins_reply_json(ctx, 200, "{s:o}", "namespaces", all);
}

int
lg_store_init(struct lg *lg)
{
	static const struct lg_route routes[] = {
		{ "PUT", "/store/items", "store:write", store_put },
		{ "GET", "/store/items", "store:read", store_get },
		{ "DELETE", "/store/items", "store:write", store_delete },
		{ "POST", "/store/items/search", "store:read", store_search },
		{ "POST", "/store/namespaces", "store:read", store_namespaces },
	};
	return lg_routes(lg, routes, sizeof routes / sizeof *routes);
}
