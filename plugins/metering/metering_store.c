/*
 * metering_store.c: events into their tables, with the sums, in one statement.
 *
 * The statement inserts the keys that are new, and for these alone the events and the sums; it says
 * which keys were not new. Keys are sent in one order (source, id), sums are changed in one order,
 * and no sum before the last key: two transactions never wait for each other. What is told of a key
 * that was there, duplicate or conflict, takes a second question: it is rare, and another
 * transaction's key may be seen by a later statement only.
 *
 * A column with the same value in all rows is sent as an array of one, since to read arrays is a
 * third of PostgreSQL's work here: unnest pads it with NULL, which coalesce takes for the one.
 */
#include <stdlib.h>

#include "metering.h"
#include "plugins/runs/array.h"

#define AHEAD_US (24 * 3600 * INT64_C(1000000))
#define AHEAD_AGAIN_US (600 * INT64_C(1000000))

const char *const outcome_names[OUTCOMES] = { "accepted", "duplicate", "conflict", "invalid" };

#define COUNTS "prompt_tokens, completion_tokens, cached_tokens, tool_calls, duration_ms, quantity"

#define SAME(column, n, type) "coalesce(l." #column ", ($" #n "::" type "[])[1]) AS " #column

static const char sql_store[] =
    "WITH k AS MATERIALIZED ("
    " SELECT coalesce(source, ($2::text[])[1]) AS source, id, payload, n"
    " FROM unnest($2::text[], $3::text[], $4::text[])"
    "  WITH ORDINALITY AS k (source, id, payload, n)"
    "), i AS ("
    " INSERT INTO usage_keys (source, id, payload)"
    " SELECT source, id, decode(payload, 'hex') FROM k ORDER BY n"
    " ON CONFLICT DO NOTHING RETURNING source, id"
    "), fresh AS MATERIALIZED ("
    " SELECT k.n, source, id FROM k JOIN i USING (source, id)"
    "), l AS MATERIALIZED ("
    " SELECT f.source, f.id, " SAME(line, 6, "smallint") ", " SAME(ts, 7, "timestamptz") ", " SAME(
	kind, 8, "text") ", " SAME(subject, 9, "text") ", " SAME(model, 10,
	"text") ", " SAME(workflow, 11, "text") ", " SAME(run_id, 12,
	"text") ", " SAME(prompt_tokens, 13, "bigint") ", " SAME(completion_tokens, 14,
	"bigint") ", " SAME(cached_tokens, 15, "bigint") ", " SAME(tool_calls, 16,
	"bigint") ", " SAME(duration_ms, 17, "bigint") ", " SAME(quantity, 18,
	"bigint") ", cost_nanos, " SAME(prices, 20,
	"text") ", data"
		" FROM unnest($5::bigint[], $6::smallint[], $7::timestamptz[],"
		"  $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::bigint[],"
		"  $14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[], $18::bigint[],"
		"  $19::numeric[], $20::text[], $21::jsonb[])"
		"  AS l (n, line, ts, kind, subject, model, workflow, run_id, " COUNTS
		", cost_nanos, prices, data)"
		" JOIN fresh AS f USING (n)"
		"), e AS ("
		" INSERT INTO usage_events (ts, source, id, line, kind, subject, model, workflow, "
		"run_id, " COUNTS ", cost_nanos, prices, data)"
		" SELECT ts, source, id, line, kind, subject, model, workflow, run_id, " COUNTS
		", cost_nanos, prices, data FROM l"
		"), r AS ("
		" INSERT INTO usage_rollups AS r (day, model, workflow, kind, slot, events, " COUNTS
		", cost_nanos, unpriced)"
		" SELECT (ts AT TIME ZONE 'UTC')::date, model, workflow, kind, $1::smallint,"
		"  count(*) FILTER (WHERE line = 0), sum(prompt_tokens), sum(completion_tokens),"
		"  sum(cached_tokens), sum(tool_calls), sum(duration_ms), sum(quantity),"
		"  coalesce(sum(cost_nanos), 0), count(*) FILTER (WHERE cost_nanos IS NULL)"
		" FROM l GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"
		" ON CONFLICT (tenant_id, day, model, workflow, kind, slot) DO UPDATE SET"
		"  events = r.events + excluded.events,"
		"  prompt_tokens = r.prompt_tokens + excluded.prompt_tokens,"
		"  completion_tokens = r.completion_tokens + excluded.completion_tokens,"
		"  cached_tokens = r.cached_tokens + excluded.cached_tokens,"
		"  tool_calls = r.tool_calls + excluded.tool_calls,"
		"  duration_ms = r.duration_ms + excluded.duration_ms,"
		"  quantity = r.quantity + excluded.quantity,"
		"  cost_nanos = r.cost_nanos + excluded.cost_nanos,"
		"  unpriced = r.unpriced + excluded.unpriced"
		") SELECT k.n FROM k WHERE NOT EXISTS (SELECT FROM fresh AS f WHERE f.n = k.n)";

static const char sql_stored[] =
    "SELECT k.n, encode(u.payload, 'hex') FROM unnest($1::text[], $2::text[]) WITH ORDINALITY"
    " AS k (source, id, n) JOIN usage_keys AS u ON u.source = k.source AND u.id = k.id";

enum {
	K_SOURCE,
	K_ID,
	K_PAYLOAD,
	L_N,
	L_LINE,
	L_TS,
	L_KIND,
	L_SUBJECT,
	L_MODEL,
	L_WORKFLOW,
	L_RUN,
	L_PROMPT,
	L_COMPLETION,
	L_CACHED,
	L_TOOLS,
	L_DURATION,
	L_QUANTITY,
	L_COST,
	L_PRICES,
	L_DATA,
	COLUMNS
};

/* What all rows of a column had so far, as long as it is the same. */
struct same {
	unsigned n;
	int varies;
	const char *text;
	int64_t number;
};

struct columns {
	struct array column[COLUMNS];
	struct same same[COLUMNS];
	ins_arg args[1 + COLUMNS];
	char slot[12];
};

void
store_init(struct metering *m)
{
	m->store = ins_stmt_new(m->host, sql_store);
	m->stored = ins_stmt_new(m->host, sql_stored);
	m->ahead = ins_stmt_new(m->host, "SELECT usage_events_ahead()");
}

static void
columns_fini(struct columns *c)
{
	unsigned i;

	for (i = 0; i < COLUMNS; i++)
		array_free(&c->column[i]);
}

/* The text must last until finish(). */
static void
add_text(struct columns *c, unsigned i, const char *z)
{
	struct same *s = &c->same[i];
	unsigned k;

	if (s->n++ == 0) {
		s->text = z;
		array_text_z(&c->column[i], z);
	} else if (s->varies) {
		array_text_z(&c->column[i], z);
	} else if (strcmp(s->text, z) != 0) {
		s->varies = 1;
		for (k = 1; k < s->n - 1; k++)
			array_text_z(&c->column[i], s->text);
		array_text_z(&c->column[i], z);
	}
}

static void
put_number(struct array *a, unsigned i, int64_t v)
{
	if (i == L_TS)
		array_time(a, v);
	else
		array_int(a, v);
}

static void
add_number(struct columns *c, unsigned i, int64_t v)
{
	struct same *s = &c->same[i];
	unsigned k;

	if (s->n++ == 0) {
		s->number = v;
		put_number(&c->column[i], i, v);
	} else if (s->varies) {
		put_number(&c->column[i], i, v);
	} else if (s->number != v) {
		s->varies = 1;
		for (k = 1; k < s->n - 1; k++)
			put_number(&c->column[i], i, s->number);
		put_number(&c->column[i], i, v);
	}
}

/* NULL means something here: all of it is sent, unless all of it is NULL, which unnest pads with.
 */
static void
add_nullable(struct columns *c, unsigned i, const char *z)
{
	struct same *s = &c->same[i];

	if (z == NULL && !s->varies) {
		s->n++;
		return;
	}
	if (!s->varies) {
		s->varies = 1;
		for (; s->n > 0; s->n--)
			array_null(&c->column[i]);
	}
	array_text_z(&c->column[i], z);
}

/* n: the key's number, from 1. */
static void
add(struct columns *c, const struct usage_event *ev, unsigned n)
{
	char text[MONEY_TEXT_MAX];
	unsigned i;

	add_text(c, K_SOURCE, ev->source);
	array_text_z(&c->column[K_ID], ev->id);
	array_text_z(&c->column[K_PAYLOAD], ev->hash);
	for (i = 0; i < ev->n_lines; i++) {
		const struct usage_line *l = &ev->lines[i];

		array_int(&c->column[L_N], n);
		add_number(c, L_LINE, i);
		add_number(c, L_TS, ev->time_us);
		add_text(c, L_KIND, ev->kind);
		add_text(c, L_SUBJECT, ev->subject);
		add_text(c, L_MODEL, l->model);
		add_text(c, L_WORKFLOW, ev->workflow);
		add_text(c, L_RUN, ev->run_id);
		add_number(c, L_PROMPT, l->counts.prompt_tokens);
		add_number(c, L_COMPLETION, l->counts.completion_tokens);
		add_number(c, L_CACHED, l->counts.cached_tokens);
		add_number(c, L_TOOLS, l->counts.tool_calls);
		add_number(c, L_DURATION, l->counts.duration_ms);
		add_number(c, L_QUANTITY, l->counts.quantity);
		add_nullable(c, L_COST, l->priced ? money_print(l->cost, text) : NULL);
		add_text(c, L_PRICES, l->prices);
		add_nullable(c, L_DATA, ev->data_text);
	}
}

static int
finish(struct columns *c, struct metering *m)
{
	unsigned i;

	snprintf(c->slot, sizeof c->slot, "%u",
	    atomic_fetch_add_explicit(&m->turn, 1, memory_order_relaxed) % METERING_SLOTS);
	c->args[0] = ins_text(c->slot);
	for (i = 0; i < COLUMNS; i++) {
		c->args[1 + i] = array_arg(&c->column[i]);
		if (c->args[1 + i].p == NULL)
			return -INS_ENOMEM;
	}
	return 0;
}

int
store_call(ins_ctx *ctx, struct metering *m, struct usage_event *ev, ins_call *ret)
{
	struct columns *c = ins_alloc(ctx, sizeof *c);
	unsigned i;
	int r;

	if (c == NULL)
		return -INS_ENOMEM;
	add(c, ev, 1);
	r = finish(c, m);
	for (i = 1; r == 0 && i <= COLUMNS; i++)
		if ((c->args[i].p = ins_strndup(ctx, c->args[i].p, c->args[i].n)) == NULL)
			r = -INS_ENOMEM;
	columns_fini(c);
	ret->stmt = m->store;
	ret->args = c->args;
	ret->n_args = 1 + COLUMNS;
	return r;
}

void
store_count(struct metering *m, const struct usage_event *ev, enum outcome outcome)
{
	unsigned i;

	ins_add(m->events, outcome_names[outcome], 1);
	if (outcome != OUTCOME_ACCEPTED)
		return;
	for (i = 0; i < ev->n_lines; i++)
		if (!ev->lines[i].priced)
			ins_add(m->unpriced,
			    *ev->lines[i].model != '\0' ? ev->lines[i].model : "none", 1);
}

/* Once a day, from whatever stores: there is no other task of this plugin that has a tenant. */
static void
make_partitions(ins_ctx *ctx, struct metering *m)
{
	int64_t now = ins_mono_us(), last = atomic_load(&m->ahead_us);

	if ((last != 0 && now - last < AHEAD_US) ||
	    !atomic_compare_exchange_strong(&m->ahead_us, &last, now))
		return;
	if (ins_db(ctx, m->ahead, INS_NO_ARGS, NULL) == 0)
		return;
	/* Rows then go to the partition for the rest: slower to drop, otherwise no harm. */
	atomic_store(&m->ahead_us, now - AHEAD_US + AHEAD_AGAIN_US);
	ins_log(ctx, INS_LOG_WARN, "metering.partitions_failed",
	    json_pack("{s:s}", "text", ins_last_error(ctx)));
	ins_clear_error(ctx);
}

struct key {
	struct usage_event *ev;
	unsigned at;         /* in the caller's list */
	int old;             /* somebody else stored it */
	const char *payload; /* if so: its hash */
	unsigned first;      /* the place of the first with this key */
};

static int
by_key(const void *a, const void *b)
{
	const struct key *x = a, *y = b;
	int r = strcmp(x->ev->source, y->ev->source);

	if (r == 0)
		r = strcmp(x->ev->id, y->ev->id);
	return r != 0 ? r : (x->at > y->at) - (x->at < y->at);
}

/* Sorts, and finds for each the first with its key. */
static void
sort_keys(struct key *keys, struct usage_event *const *events, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++) {
		keys[i].ev = events[i];
		keys[i].at = i;
	}
	qsort(keys, n, sizeof *keys, by_key);
	for (i = 0; i < n; i++) {
		int same = i > 0 && strcmp(keys[i].ev->source, keys[i - 1].ev->source) == 0 &&
		    strcmp(keys[i].ev->id, keys[i - 1].ev->id) == 0;

		keys[i].first = same ? keys[i - 1].first : i;
	}
}

/* Rows are the numbers of keys that were not new, and in the second answer also their hashes. */
static void
take_rows(const ins_rows *rows, struct key **distinct, unsigned n, int first)
{
	size_t i;

	for (i = 0; i < ins_rows_count(rows); i++) {
		int64_t at = ins_value_int(rows, i, 0);

		if (at < 1 || at > n)
			continue;
		if (first)
			distinct[at - 1]->old = 1;
		else
			distinct[at - 1]->payload = ins_value(rows, i, 1);
	}
}

static unsigned
unknown(struct key **distinct, unsigned n)
{
	unsigned i, count = 0;

	for (i = 0; i < n; i++)
		count += distinct[i]->old && distinct[i]->payload == NULL;
	return count;
}

/* The second question. */
INS_AWAITS
static int
ask_again(ins_ctx *ctx, struct metering *m, struct key **distinct, unsigned n)
{
	struct array source = { 0 }, id = { 0 };
	ins_arg args[2];
	ins_rows *rows;
	unsigned i;
	int r;

	for (i = 0; i < n; i++) {
		array_text_z(&source, distinct[i]->ev->source);
		array_text_z(&id, distinct[i]->ev->id);
	}
	args[0] = array_arg(&source);
	args[1] = array_arg(&id);
	r = args[0].p == NULL || args[1].p == NULL ? -INS_ENOMEM
						   : ins_db(ctx, m->stored, args, 2, &rows);
	array_free(&source);
	array_free(&id);
	if (r == 0)
		take_rows(rows, distinct, n, 0);
	return r;
}

static void
judge(const struct key *keys, unsigned n, enum outcome *ret)
{
	unsigned i;

	for (i = 0; i < n; i++) {
		const struct key *first = &keys[keys[i].first];
		const char *kept = first->old ? first->payload : first->ev->hash;

		if (!first->old && keys[i].first == i)
			ret[keys[i].at] = OUTCOME_ACCEPTED;
		else if (strcmp(keys[i].ev->hash, kept) == 0)
			ret[keys[i].at] = OUTCOME_DUPLICATE;
		else
			ret[keys[i].at] = OUTCOME_CONFLICT;
	}
}

int
store_events(ins_ctx *ctx, struct metering *m, struct usage_event *const *events, unsigned n,
    const ins_call *more, unsigned n_more, enum outcome *ret)
{
	struct key *keys = ins_alloc(ctx, n * sizeof *keys);
	struct key **distinct = ins_alloc(ctx, n * sizeof *distinct);
	struct columns c = { 0 };
	ins_call *calls = ins_alloc(ctx, (1 + n_more) * sizeof *calls);
	ins_rows **rows = ins_alloc(ctx, (1 + n_more) * sizeof *rows);
	unsigned i, n_distinct = 0;
	int r;

	if (n == 0)
		return 0;
	if (keys == NULL || distinct == NULL || calls == NULL || rows == NULL)
		return ins_fail(ctx, INS_ENOMEM, "out of memory");
	make_partitions(ctx, m);
	sort_keys(keys, events, n);
	for (i = 0; i < n; i++)
		if (keys[i].first == i) {
			distinct[n_distinct++] = &keys[i];
			add(&c, keys[i].ev, n_distinct);
		}
	r = finish(&c, m);
	calls[0].stmt = m->store;
	calls[0].args = c.args;
	calls[0].n_args = 1 + COLUMNS;
	if (n_more > 0)
		memcpy(calls + 1, more, n_more * sizeof *calls);
	if (r == 0)
		r = ins_db_batch(ctx, calls, 1 + n_more, rows);
	columns_fini(&c);
	if (r == 0)
		take_rows(rows[0], distinct, n_distinct, 1);
	if (r == 0 && unknown(distinct, n_distinct) > 0)
		r = ask_again(ctx, m, distinct, n_distinct);
	if (r == 0 && unknown(distinct, n_distinct) > 0)
		r = ins_fail(ctx, INS_EINTERNAL, "a key of an event is there and is not");
	if (r != 0)
		return r;
	judge(keys, n, ret);
	for (i = 0; i < n; i++)
		store_count(m, events[i], ret[i]);
	return 0;
}
