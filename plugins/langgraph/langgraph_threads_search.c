/* langgraph_threads_search.c: finds and counts threads by metadata, values, status and id. */
#include "langgraph.h"

int
lg_ids_ok(ins_ctx *ctx, const char *field, const json_t *ids)
{
	char id[LG_UUID_LEN + 1];
	json_t *one;
	size_t i;
	int ok = json_array_size(ids) <= LG_IDS_MAX;

	json_array_foreach((json_t *)ids, i, one) ok = ok && lg_uuid(json_string_value(one), id);
	if (ok)
		return 0;
	ins_field(ctx, field);
	return ins_fail(ctx, INS_EINVAL, "%s must be a list of up to %u uuids", field, LG_IDS_MAX);
}

/* An empty object asks for nothing, also of a thread that has no values yet. */
static ins_arg
json_or_null(ins_ctx *ctx, const json_t *j)
{
	return j == NULL || (json_is_object(j) && json_object_size(j) == 0) ? ins_null()
									    : ins_json(ctx, j);
}

static const char *const statuses[] = { "idle", "busy", "interrupted", "error", NULL };

INS_AWAITS
static int
threads_search(ins_ctx *ctx, void *self)
{
	static const struct lg_member members[] = { { "metadata", LG_OBJECT }, { "ids", LG_LIST },
		{ "values", LG_OBJECT }, { "status", LG_TEXT }, { "limit", LG_INT },
		{ "offset", LG_INT }, { "sort_by", LG_TEXT }, { "sort_order", LG_TEXT },
		{ "select", LG_LIST }, { "extract", LG_OBJECT }, { NULL, 0 } };
	static const char *const by[] = { [SORT_CREATED_AT] = "created_at",
		[SORT_UPDATED_AT] = "updated_at",
		[SORT_STATE_UPDATED_AT] = "state_updated_at",
		[SORT_THREAD_ID] = "thread_id",
		[SORT_STATUS] = "status",
		[SORT_COUNT] = NULL };
	static const char *const orders[] = { "asc", "desc", NULL };
	static const char *const fields[] = { "thread_id", "created_at", "updated_at",
		"state_updated_at", "metadata", "config", "context", "status", "values",
		"interrupts", "error", NULL };
	struct lg *lg = self;
	json_t *body, *all, *one;
	int64_t limit, offset;
	ins_rows *rows;
	size_t i, n;
	int r = lg_body(ctx, members, &body), sort, order, status;

	if (r != 0 || (r = lg_page(ctx, body, &limit, &offset)) != 0)
		return r;
	if (json_object_size(lg_get(body, "extract")) > 0) {
		ins_field(ctx, "extract");
		return ins_fail(ctx, INS_EINVAL, "extract is not done here: select \"values\"");
	}
	if ((sort = lg_choice(ctx, body, "sort_by", by, SORT_CREATED_AT)) < 0)
		return sort;
	if ((order = lg_choice(ctx, body, "sort_order", orders, 1)) < 0)
		return order;
	if ((status = lg_choice(ctx, body, "status", statuses, 4)) < 0)
		return status;
	if ((r = lg_ids_ok(ctx, "ids", lg_get(body, "ids"))) != 0 ||
	    (r = lg_fields_ok(ctx, lg_get(body, "select"), fields)) != 0)
		return r;
	r = ins_db(ctx, lg->threads[sort][order],
	    INS_ARGS(json_or_null(ctx, lg_get(body, "metadata")),
		json_or_null(ctx, lg_get(body, "values")), json_or_null(ctx, lg_get(body, "ids")),
		ins_text(statuses[status]), ins_int(ctx, limit + 1), ins_int(ctx, offset)),
	    &rows);
	if (r != 0)
		return r;
	n = ins_rows_count(rows);
	all = json_array();
	for (i = 0; i < n && i < (size_t)limit; i++) {
		one = lg_thread_json(rows, i);
		lg_select(one, lg_get(body, "select"));
		json_array_append_new(all, one);
	}
	lg_pagination(ctx, offset, json_array_size(all), n > (size_t)limit);
	return ins_reply_take(ctx, 200, all);
}

INS_AWAITS
static int
threads_count(ins_ctx *ctx, void *self)
{
	static const struct lg_member members[] = { { "metadata", LG_OBJECT },
		{ "values", LG_OBJECT }, { "status", LG_TEXT }, { NULL, 0 } };
	struct lg *lg = self;
	json_t *body;
	ins_rows *rows;
	int r = lg_body(ctx, members, &body), status;

	if (r != 0)
		return r;
	if ((status = lg_choice(ctx, body, "status", statuses, 4)) < 0)
		return status;
	r = ins_db(ctx, lg->sql[S_THREAD_COUNT],
	    INS_ARGS(json_or_null(ctx, lg_get(body, "metadata")),
		json_or_null(ctx, lg_get(body, "values")), ins_null(), ins_text(statuses[status])),
	    &rows);
	return r != 0 ? r : ins_reply_take(ctx, 200, lg_column_json(rows, 0, 0));
}

int
lg_threads_search_init(struct lg *lg)
{
	static const struct lg_route routes[] = {
		{ "POST", "/threads/search", "threads:read", threads_search },
		{ "POST", "/threads/count", "threads:read", threads_count },
	};
	return lg_routes(lg, routes, sizeof routes / sizeof *routes);
}
