/*
 * engine_state.c: states of any run of the tenant, from its log: for the API, for watchers, and for
 * runs that go on from another. A state is folded anew from the nearest snapshot; nothing is kept.
 */
#include <stdlib.h>

#include "engine.h"

#define PAGE_FIRST 32
#define PAGE_MAX 500
#define HISTORY_MAX 1000u

static const char sql_row[] =
    "SELECT r.run_id, r.tenant_id, r.workflow, r.version, r.status, r.next_seq, r.budget,"
    " r.base_run, r.base_seq, s.seq, s.state"
    " FROM agent_runs AS r LEFT JOIN LATERAL (SELECT seq, state FROM run_snapshots"
    "  WHERE run_id = r.run_id AND seq <= $2::integer ORDER BY seq DESC LIMIT 1) AS s ON true"
    " WHERE r.run_id = $1::uuid AND r.tenant_id = $3::uuid";
static const char sql_events[] =
    "SELECT seq, type, step_id, attempt, node, (extract(epoch FROM ts) * 1000000)::bigint, data"
    " FROM run_events WHERE run_id = $1::uuid AND seq >= $2::integer AND seq <= $3::integer"
    " ORDER BY seq LIMIT $4::bigint";

int64_t
runs_next_page(int64_t page, size_t bytes, int64_t most)
{
	if (bytes > RUNS_PAGE_BYTES)
		return page > 4 ? page / 4 : 1;
	if (bytes > RUNS_PAGE_BYTES / 4)
		return page;
	return page * 4 < most ? page * 4 : most;
}

/* Called after each event; 0 to go on. */
typedef int (*state_fn)(ins_ctx *, void *arg, struct fold *, const ins_workflow *);

void
engine_state_init(struct plugin *p)
{
	p->sql.state_row = ins_stmt_new(p->host, sql_row);
	p->sql.state_events = ins_stmt_new(p->host, sql_events);
}

static void
copy(char *dst, size_t size, const char *z)
{
	snprintf(dst, size, "%s", z == NULL ? "" : z);
}

static int
take_row(const ins_rows *rows, struct run_row *row, struct fold *f)
{
	const char *budget = ins_value(rows, 0, 6), *snapshot = ins_value(rows, 0, 10);
	struct fold_limits limits = { 0 };
	json_t *j = json_loads(budget, 0, NULL);
	int r = 0;

	copy(row->run_id, sizeof row->run_id, ins_value(rows, 0, 0));
	copy(row->tenant_id, sizeof row->tenant_id, ins_value(rows, 0, 1));
	copy(row->workflow, sizeof row->workflow, ins_value(rows, 0, 2));
	copy(row->version, sizeof row->version, ins_value(rows, 0, 3));
	copy(row->status, sizeof row->status, ins_value(rows, 0, 4));
	copy(row->base_run, sizeof row->base_run, ins_value(rows, 0, 7));
	row->next_seq = ins_value_int(rows, 0, 5);
	row->base_seq = ins_value_int(rows, 0, 8);
	fold_limits_parse(&limits, j);
	json_decref(j);
	fold_fini(f);
	fold_init(f, &limits);
	if (snapshot != NULL) {
		j = json_loads(snapshot, 0, NULL);
		r = fold_restore(f, j);
		json_decref(j);
	}
	return r;
}

static int
fold_page(ins_ctx *ctx, const ins_rows *rows, const ins_workflow *wf, struct fold *f, state_fn fn,
    void *arg)
{
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < ins_rows_count(rows); i++) {
		struct run_event *ev = run_event_parse(rows, i, 0);

		if (ev == NULL)
			return ins_fail(ctx, INS_ENOMEM, "out of memory");
		r = fold_apply(f, ctx, wf, ev);
		if (r != 0)
			ins_fail(ctx, INS_EINTERNAL, "the log of the run is damaged at event %lld",
			    (long long)ev->seq);
		else if (fn != NULL)
			r = fn(ctx, arg, f, wf);
		run_event_free(ev);
	}
	return r;
}

/* As state_load; fn, when not NULL, sees each state from the log's beginning on. */
static int
walk(ins_ctx *ctx, struct plugin *p, const char *tenant, const char *run_id, int64_t seq,
    struct run_row *row, struct fold *f, state_fn fn, void *arg)
{
	int64_t last = seq < 0 || seq > INT32_MAX ? INT32_MAX : seq, page = PAGE_FIRST, asked;
	const ins_workflow *wf;
	ins_arg args[4] = { ins_text(run_id), ins_int(ctx, fn == NULL ? last : -1),
		ins_text(tenant), ins_null() };
	ins_rows *rows;
	size_t i, n, bytes;
	int r;

	memset(row, 0, sizeof *row);
	r = ins_engine_batch(
	    ctx, &tenant, 1, &(const ins_call){ p->sql.state_row, args, 3 }, 1, &rows);
	if (r != 0)
		return r;
	if (ins_rows_count(rows) == 0)
		return ins_fail(ctx, INS_ENOTFOUND, "there is no run with this id");
	if ((r = take_row(rows, row, f)) != 0)
		return ins_fail(ctx, INS_EINTERNAL, "the run's snapshot is damaged");
	ins_rows_end(rows);
	do {
		args[1] = ins_int(ctx, f->next_seq);
		args[2] = ins_int(ctx, last);
		args[3] = ins_int(ctx, asked = page);
		r = ins_engine_batch(
		    ctx, &tenant, 1, &(const ins_call){ p->sql.state_events, args, 4 }, 1, &rows);
		if (r != 0)
			return r;
		n = ins_rows_count(rows);
		for (i = 0, bytes = 0; i < n; i++)
			bytes += strlen(ins_value(rows, i, 6));
		page = runs_next_page(page, bytes, PAGE_MAX);
		/* the service is asked for anew after each await: it may be replaced meanwhile */
		wf = run_workflow(ctx, p, row->workflow, row->version);
		r = wf == NULL ? ins_fail(ctx, INS_EMODEL,
				     "version %s of the workflow %s is not here any more",
				     row->version, row->workflow)
			       : fold_page(ctx, rows, wf, f, fn, arg);
		ins_rows_end(rows);
	} while (r == 0 && (int64_t)n == asked);
	return r;
}

int
state_load(ins_ctx *ctx, struct plugin *p, const char *tenant, const char *run_id, int64_t seq,
    struct run_row *ret_row, struct fold *ret)
{
	return walk(ctx, p, tenant, run_id, seq, ret_row, ret, NULL, NULL);
}

/* The state's own name, and that of the one it came from. */
static json_t *
named(json_t *state, const struct run_row *row, const struct fold *f)
{
	json_object_set_new(state, "run_id", json_string(row->run_id));
	json_object_set_new(state, "workflow", json_string(row->workflow));
	if (f->prev_seq >= 0)
		json_object_set_new(state, "parent",
		    json_pack("{s:s, s:I}", "run_id", row->run_id, "seq", (json_int_t)f->prev_seq));
	else
		json_object_set_new(
		    state, "parent", f->base == NULL ? json_null() : json_incref(f->base));
	return state;
}

int
runs_state(ins_ctx *ctx, void *self, const char *run_id, int64_t seq, json_t **ret_state)
{
	struct plugin *p = self;
	const char *id = uuid_of(ctx, run_id);
	struct fold f = { 0 };
	struct run_row row;
	int r;

	*ret_state = NULL;
	if (id == NULL)
		return ins_fail(ctx, INS_ENOTFOUND, "there is no run with this id");
	r = state_load(ctx, p, ins_tenant_id(ctx), id, seq, &row, &f);
	if (r == 0 && f.next_seq == 0)
		r = ins_fail(ctx, INS_ENOTFOUND, "the run did not begin yet");
	if (r == 0 && seq >= f.next_seq)
		r = ins_fail(ctx, INS_ENOTFOUND, "the run has no event %lld", (long long)seq);
	if (r == 0) {
		*ret_state = fold_state_json(
		    &f, ctx, run_workflow(ctx, p, row.workflow, row.version));
		if (*ret_state == NULL)
			r = ins_fail(ctx, INS_ENOMEM, "out of memory");
		else
			named(*ret_state, &row, &f);
	}
	fold_fini(&f);
	return r;
}

/* The last `limit` states of one run, oldest first. */
struct history {
	json_t *states;
	const struct run_row *row;
	size_t limit;
	int64_t seen;
};

static int
remember(ins_ctx *ctx, void *arg, struct fold *f, const ins_workflow *wf)
{
	struct history *h = arg;
	json_t *state;

	if (f->values_seq == h->seen && !f->ended)
		return 0;
	state = fold_state_json(f, ctx, wf);
	if (state == NULL)
		return ins_fail(ctx, INS_ENOMEM, "out of memory");
	named(state, h->row, f);
	if (f->values_seq == h->seen) /* the end changes what is next */
		json_array_set_new(h->states, json_array_size(h->states) - 1, state);
	else
		json_array_append_new(h->states, state);
	h->seen = f->values_seq;
	if (json_array_size(h->states) > h->limit)
		json_array_remove(h->states, 0);
	return 0;
}

int
runs_history(
    ins_ctx *ctx, void *self, const char *run_id, int64_t seq, uint32_t limit, json_t **ret_states)
{
	const char *id = uuid_of(ctx, run_id);
	json_t *all = json_array();
	int r = 0;

	*ret_states = NULL;
	if (limit > HISTORY_MAX)
		limit = HISTORY_MAX;
	if (id == NULL)
		r = ins_fail(ctx, INS_ENOTFOUND, "there is no run with this id");
	while (r == 0 && id != NULL && json_array_size(all) < limit) {
		struct fold f = { 0 };
		struct run_row row;
		struct history h = { json_array(), &row, limit - json_array_size(all), -1 };
		size_t n;

		if (seq == 0) /* only what it goes on from */
			r = state_load(ctx, self, ins_tenant_id(ctx), id, 0, &row, &f);
		else
			r = walk(ctx, self, ins_tenant_id(ctx), id, seq < 0 ? -1 : seq - 1, &row,
			    &f, remember, &h);
		for (n = json_array_size(h.states); r == 0 && n > 0; n--)
			json_array_append(all, json_array_get(h.states, n - 1));
		id = NULL;
		if (r == 0 && f.base != NULL) {
			/* the base itself belongs to the history: before the event after it */
			id = uuid_of(ctx, json_string_value(json_object_get(f.base, "run_id")));
			seq = json_integer_value(json_object_get(f.base, "seq")) + 1;
		}
		json_decref(h.states);
		fold_fini(&f);
	}
	if (r == -INS_ENOTFOUND && json_array_size(all) > 0) {
		ins_clear_error(ctx); /* the run that it goes on from was deleted */
		r = 0;
	}
	if (r != 0)
		json_decref(all);
	else
		*ret_states = all;
	return r;
}
