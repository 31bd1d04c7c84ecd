/*
 * metering_sums.c: GET /v1/usage: sums by day, model, workflow and kind; POST /v1/usage/recompute:
 * whether they are those of the raw events.
 *
 * Numbers leave as decimal texts: they may pass 2^53, where JavaScript's end.
 */
#include <stdlib.h>

#include "instant.h"
#include "metering.h"

#define SUMS 9

static const char *const names[SUMS] = { "events", "prompt_tokens", "completion_tokens",
	"cached_tokens", "tool_calls", "duration_ms", "quantity", "cost_nanos", "unpriced" };

/* The columns of names[]. */
#define OF_ROLLUPS                                                                           \
	"sum(events) AS events, sum(prompt_tokens) AS prompt_tokens,"                        \
	" sum(completion_tokens) AS completion_tokens, sum(cached_tokens) AS cached_tokens," \
	" sum(tool_calls) AS tool_calls, sum(duration_ms) AS duration_ms,"                   \
	" sum(quantity) AS quantity, sum(cost_nanos) AS cost_nanos, sum(unpriced) AS unpriced"
#define OF_EVENTS                                                                            \
	"count(*) FILTER (WHERE line = 0)::numeric AS events,"                               \
	" sum(prompt_tokens) AS prompt_tokens, sum(completion_tokens) AS completion_tokens," \
	" sum(cached_tokens) AS cached_tokens, sum(tool_calls) AS tool_calls,"               \
	" sum(duration_ms) AS duration_ms, sum(quantity) AS quantity,"                       \
	" coalesce(sum(cost_nanos), 0) AS cost_nanos,"                                       \
	" count(*) FILTER (WHERE cost_nanos IS NULL)::numeric AS unpriced"
#define ALL(x)                                                                             \
	x ".events, " x ".prompt_tokens, " x ".completion_tokens, " x ".cached_tokens, " x \
	  ".tool_calls, " x ".duration_ms, " x ".quantity, " x ".cost_nanos, " x ".unpriced"
#define TOTALS(x)                                                                            \
	"coalesce(sum(" x ".events), 0), coalesce(sum(" x ".prompt_tokens), 0),"             \
	" coalesce(sum(" x ".completion_tokens), 0), coalesce(sum(" x ".cached_tokens), 0)," \
	" coalesce(sum(" x ".tool_calls), 0), coalesce(sum(" x ".duration_ms), 0),"          \
	" coalesce(sum(" x ".quantity), 0), coalesce(sum(" x ".cost_nanos), 0),"             \
	" coalesce(sum(" x ".unpriced), 0)"

/* $3 .. $6: which to group by; $7 .. $9: which to keep, NULL for all. */
static const char sql_sums[] =
    "SELECT CASE WHEN $3::boolean THEN day::text END, CASE WHEN $4::boolean THEN model END,"
    " CASE WHEN $5::boolean THEN workflow END, CASE WHEN $6::boolean THEN kind END, " OF_ROLLUPS
    " FROM usage_rollups WHERE day >= $1::date AND day < $2::date"
    " AND ($7::text IS NULL OR model = $7) AND ($8::text IS NULL OR workflow = $8)"
    " AND ($9::text IS NULL OR kind = $9)"
    " GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4 LIMIT $10::bigint";

/* One statement sees one state: writers may go on meanwhile. */
static const char sql_replay[] =
    "WITH raw AS ("
    " SELECT (ts AT TIME ZONE 'UTC')::date AS day, model, workflow, kind, " OF_EVENTS
    " FROM usage_events"
    " WHERE ts >= $1::timestamp AT TIME ZONE 'UTC' AND ts < $2::timestamp AT TIME ZONE 'UTC'"
    " GROUP BY 1, 2, 3, 4"
    "), kept AS ("
    " SELECT day, model, workflow, kind, " OF_ROLLUPS " FROM usage_rollups"
    " WHERE day >= $1::date AND day < $2::date GROUP BY 1, 2, 3, 4"
    "), both_sides AS ("
    " SELECT day, model, workflow, kind, to_jsonb(raw) AS raw, to_jsonb(kept) AS kept,"
    "  (" ALL("raw") ") IS DISTINCT FROM (" ALL(
	"kept") ") AS differs"
		" FROM raw FULL JOIN kept USING (day, model, workflow, kind)"
		") SELECT (SELECT count(*) FROM both_sides), (SELECT count(*) FROM both_sides "
		"WHERE differs),"
		" (SELECT jsonb_agg(jsonb_build_object('day', day, 'model', model, 'workflow', "
		"workflow,"
		"   'kind', kind)) FROM (SELECT * FROM both_sides WHERE differs LIMIT 20) AS d),"
		" r.*, k.* FROM (SELECT " TOTALS("raw") " FROM raw) AS r, (SELECT " TOTALS(
		    "kept") " FROM kept) AS k";

/* A day, or a time whose day counts. */
static int
parse_day(ins_ctx *ctx, const char *name, int64_t dflt_us, int64_t *ret_us)
{
	const char *z = ins_query(ctx, name);

	*ret_us = dflt_us;
	if (z == NULL)
		return 0;
	if (instant_parse_day(z, ret_us) == 0)
		return 0;
	ins_field(ctx, name);
	return ins_fail(
	    ctx, INS_EINVAL, "'%s' must be a day between 2000 and 2100: 2026-11-01", name);
}

/* from: the first of this month; to: tomorrow, and not in it. */
static int
range(ins_ctx *ctx, int64_t max_days, char from[11], char to[11])
{
	int64_t now = ins_now_us(), a, b;
	char today[11];

	instant_print_day(now, today);
	memcpy(today + 8, "01", 2);
	if (instant_parse_day(today, &a) != 0)
		a = now;
	if (parse_day(ctx, "from", a, &a) != 0 ||
	    parse_day(ctx, "to", now - now % INSTANT_DAY_US + INSTANT_DAY_US, &b) != 0)
		return -INS_EINVAL;
	if (b <= a || b - a > max_days * INSTANT_DAY_US) {
		ins_field(ctx, "to");
		return ins_fail(ctx, INS_EINVAL, "'to' must be 1 .. %lld days after 'from'",
		    (long long)max_days);
	}
	instant_print_day(a, from);
	instant_print_day(b, to);
	return 0;
}

enum { BY_DAY, BY_MODEL, BY_WORKFLOW, BY_KIND, BYS };
static const char *const by_names[BYS] = { "day", "model", "workflow", "kind" };

static int
group_by(ins_ctx *ctx, int by[BYS])
{
	const char *z = ins_query(ctx, "group_by");
	size_t i, n;

	for (i = 0; i < BYS; i++)
		by[i] = z == NULL && i == BY_DAY;
	for (; z != NULL && *z != '\0'; z += n + (z[n] == ',')) {
		n = strcspn(z, ",");
		for (i = 0; i < BYS; i++)
			if (strlen(by_names[i]) == n && strncmp(by_names[i], z, n) == 0)
				break;
		if (i == BYS) {
			ins_field(ctx, "group_by");
			return ins_fail(ctx, INS_EINVAL,
			    "'group_by' is a list of day, model, workflow and kind, with commas");
		}
		by[i] = 1;
	}
	return 0;
}

static json_t *
sums_of(const ins_rows *rows, size_t row, size_t col)
{
	json_t *j = json_object();
	size_t i;

	for (i = 0; i < SUMS; i++)
		json_object_set_new(j, names[i], json_string(ins_value(rows, row, col + i)));
	return j;
}

static json_t *
row_of(const ins_rows *rows, size_t row, const int by[BYS])
{
	json_t *j = json_object(), *sums;
	size_t i;

	for (i = 0; i < BYS; i++)
		if (by[i])
			json_object_set_new(j, by_names[i], json_string(ins_value(rows, row, i)));
	sums = sums_of(rows, row, BYS);
	json_object_update(j, sums);
	json_decref(sums);
	return j;
}

INS_AWAITS
static int
usage_get(ins_ctx *ctx, void *self)
{
	struct metering *m = self;
	char from[11], to[11], limit[16];
	ins_arg args[10];
	json_t *data, *grouped;
	ins_rows *rows;
	int by[BYS], r;
	size_t i;

	if ((r = range(ctx, METERING_DAYS_MAX, from, to)) != 0 || (r = group_by(ctx, by)) != 0)
		return r;
	snprintf(limit, sizeof limit, "%d", METERING_ROWS_MAX + 1);
	args[0] = ins_text(from);
	args[1] = ins_text(to);
	for (i = 0; i < BYS; i++)
		args[2 + i] = ins_text(by[i] ? "true" : "false");
	for (i = BY_MODEL; i < BYS; i++)
		args[5 + i] = ins_text(ins_query(ctx, by_names[i]));
	args[9] = ins_text(limit);
	r = ins_db(ctx, m->sums, args, 10, &rows);
	if (r != 0)
		return r;
	if (ins_rows_count(rows) > METERING_ROWS_MAX)
		return ins_fail(ctx, INS_EINVAL,
		    "The answer has more than %d rows: ask for fewer days, or group by less.",
		    METERING_ROWS_MAX);
	data = json_array();
	for (i = 0; i < ins_rows_count(rows); i++)
		json_array_append_new(data, row_of(rows, i, by));
	grouped = json_array();
	for (i = 0; i < BYS; i++)
		if (by[i])
			json_array_append_new(grouped, json_string(by_names[i]));
	return ins_reply_json(ctx, 200, "{s:s, s:s, s:s, s:s, s:o, s:o}", "object", "usage", "from",
	    from, "to", to, "currency", "USD", "group_by", grouped, "data", data);
}

static void
set_difference(struct metering *m, int64_t n)
{
	int64_t was = atomic_exchange(&m->differing, n);

	if (n != was)
		ins_add(m->difference, NULL, (double)(n - was));
}

INS_AWAITS
static int
recompute_post(ins_ctx *ctx, void *self)
{
	struct metering *m = self;
	const char *list;
	char from[11], to[11];
	ins_rows *rows;
	json_t *differing = NULL;
	int64_t n;
	int r;

	if ((r = range(ctx, METERING_REPLAY_DAYS_MAX, from, to)) != 0)
		return r;
	r = ins_db(ctx, m->replay, INS_ARGS(ins_text(from), ins_text(to)), &rows);
	if (r != 0)
		return r;
	n = ins_value_int(rows, 0, 1);
	set_difference(m, n);
	list = ins_value(rows, 0, 2);
	if (list != NULL)
		differing = json_loads(list, 0, NULL);
	if (n != 0)
		ins_log(ctx, INS_LOG_ERROR, "metering.sums_differ",
		    json_pack("{s:s, s:s, s:I, s:O*}", "from", from, "to", to, "sums",
			(json_int_t)n, "first", differing));
	return ins_reply_json(ctx, 200, "{s:s, s:s, s:s, s:b, s:I, s:I, s:o, s:o, s:o}", "object",
	    "usage.recompute", "from", from, "to", to, "equal", n == 0, "sums",
	    (json_int_t)ins_value_int(rows, 0, 0), "differing", (json_int_t)n, "replayed",
	    sums_of(rows, 0, 3), "kept", sums_of(rows, 0, 3 + SUMS), "first",
	    differing != NULL ? differing : json_array());
}

int
sums_init(struct metering *m)
{
	int r;

	m->sums = ins_stmt_new(m->host, sql_sums);
	m->replay = ins_stmt_new(m->host, sql_replay);
	r = ins_route(m->host, "GET", "/v1/usage", "usage:read", usage_get);
	if (r == 0)
		r = ins_route(
		    m->host, "POST", "/v1/usage/recompute", "usage:audit", recompute_post);
	return r;
}
