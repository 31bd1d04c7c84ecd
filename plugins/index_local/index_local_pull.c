/*
 * index_local_pull.c: brings a tenant's set up to date with PostgreSQL, a page of chunks at a time;
 * each page is published, so that a large tenant's first load survives the end of the request that
 * began it. One task of the host reads for a tenant; others wait.
 *
 * Change numbers become visible in order (knowledge.sql), and each statement of a group sees what
 * the one before saw and maybe more. So the order is: the number first, then what ended, then what
 * began: a chunk read here is of a document whose end, if it has one, was read before or has a
 * later number.
 */
#include <stdlib.h>

#include "index_local.h"

struct row {
	uint8_t chunk[16], document[16];
	uint32_t version;
	int first;
	ins_str title, section, content;
};

struct build {
	const struct index_set *old;
	struct index_change *changes;
	size_t n_changes;
	struct row *rows;
	size_t n_rows;
	struct index_set *set; /* the result; NULL without memory */
};

static void
build(void *arg)
{
	struct build *w = arg;
	struct segment_builder *b = segment_builder_new();
	struct segment *seg;
	char title[2048];
	size_t i, n;

	if (b == NULL)
		return;
	for (i = 0; i < w->n_rows; i++) {
		const struct row *r = &w->rows[i];

		/* the headings above a passage say what it is about, as its title does */
		n = (size_t)snprintf(
		    title, sizeof title, "%.*s %.*s", INS_FMT(r->title), INS_FMT(r->section));
		segment_builder_add(b, r->chunk, r->document, r->version, r->first, title,
		    n < sizeof title ? n : sizeof title - 1, r->content.p, r->content.n);
	}
	seg = segment_builder_finish(b);
	if (seg != NULL)
		w->set = index_set_apply(w->old, w->changes, w->n_changes, seg);
}

static int
read_rows(const ins_rows *rows, struct build *w)
{
	size_t i, n = ins_rows_count(rows);

	w->rows = calloc(n + 1, sizeof *w->rows);
	if (w->rows == NULL)
		return -INS_ENOMEM;
	for (i = 0; i < n; i++) {
		struct row *r = &w->rows[i];

		if (uuid_parse(ins_value(rows, i, 0), r->chunk) != 0 ||
		    uuid_parse(ins_value(rows, i, 1), r->document) != 0)
			return -INS_EINTERNAL;
		r->version = (uint32_t)ins_value_int(rows, i, 2);
		r->first = ins_value_int(rows, i, 3) == 0;
		r->title = ins_value_str(rows, i, 5);
		r->section = ins_value_str(rows, i, 6);
		r->content = ins_value_str(rows, i, 7);
	}
	w->n_rows = n;
	return 0;
}

static int
read_changes(const ins_rows *rows, struct build *w)
{
	size_t i, n = ins_rows_count(rows);

	w->changes = calloc(n + 1, sizeof *w->changes);
	if (w->changes == NULL)
		return -INS_ENOMEM;
	for (i = 0; i < n; i++) {
		if (uuid_parse(ins_value(rows, i, 0), w->changes[i].document) != 0)
			return -INS_EINTERNAL;
		w->changes[i].version = (uint32_t)ins_value_int(rows, i, 1);
		w->changes[i].gone = ins_value(rows, i, 2)[0] == 't';
	}
	w->n_changes = n;
	return 0;
}

static int64_t
max64(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* How far the new set is. */
static void
set_cursors(struct index_set *s, const struct index_set *old, int64_t change,
    const ins_rows *changes, const ins_rows *page)
{
	size_t n_changes = ins_rows_count(changes), n = ins_rows_count(page);

	if (n_changes == CHANGES_ROWS)
		s->document_change = ins_value_int(changes, n_changes - 1, 3);
	else
		s->document_change = max64(
		    change, n_changes == 0 ? 0 : ins_value_int(changes, n_changes - 1, 3));
	if (n == PAGE_ROWS) {
		s->chunk_change = ins_value_int(page, n - 1, 4);
		s->chunk_ordinal = (int32_t)ins_value_int(page, n - 1, 3);
	} else {
		s->chunk_change = max64(change, n == 0 ? 0 : ins_value_int(page, n - 1, 4));
		s->chunk_ordinal = INT32_MAX;
	}
	s->complete = old->complete;
	if (n < PAGE_ROWS && n_changes < CHANGES_ROWS)
		s->complete = max64(change,
		    s->document_change < s->chunk_change ? s->document_change : s->chunk_change);
}

/* Reads one page after `old`; *ret is the new set. */
static int
pull_page(ins_ctx *ctx, struct index_local *x, const struct index_set *old, struct index_set **ret)
{
	/* a set that has read nothing has nothing that could end */
	int64_t after = old->chunk_change == 0 ? INT64_MAX : old->document_change;
	const ins_arg changes_args[] = { ins_int(ctx, after), ins_int(ctx, CHANGES_ROWS) };
	const ins_arg page_args[] = { ins_int(ctx, old->chunk_change),
		ins_int(ctx, old->chunk_ordinal), ins_int(ctx, PAGE_ROWS) };
	const ins_call calls[] = { { x->s[S_STATE], NULL, 0 }, { x->s[S_CHANGES], changes_args, 2 },
		{ x->s[S_PAGE], page_args, 3 } };
	struct build w = { .old = old };
	ins_rows *rows[3];
	int r;

	r = ins_db_batch(ctx, calls, 3, rows);
	if (r != 0)
		return r;
	r = read_changes(rows[1], &w);
	if (r == 0)
		r = read_rows(rows[2], &w);
	if (r == 0)
		r = ins_blocking(ctx, build, &w);
	if (w.set != NULL) { /* also when the task was cancelled meanwhile: the work is done */
		set_cursors(w.set, old,
		    ins_rows_count(rows[0]) == 0 ? 0 : ins_value_int(rows[0], 0, 0), rows[1],
		    rows[2]);
		ins_add(x->chunks_read, NULL, (double)w.n_rows);
	} else if (r == 0) {
		r = -INS_ENOMEM;
	}
	*ret = w.set;
	free(w.changes);
	free(w.rows);
	ins_rows_end(rows[1]);
	ins_rows_end(rows[2]);
	return r;
}

static int
pull_once(ins_ctx *ctx, struct index_local *x, const char *tenant, int64_t need, int *ret_done)
{
	struct index_set *old, *set = NULL;
	int r;

	r = tenants_begin(x->tenants, tenant);
	if (r == 0)
		return ins_sleep(ctx, WAIT_MS);
	old = r < 0 ? NULL : tenants_get(x->tenants, tenant);
	if (old == NULL) {
		if (r > 0)
			tenants_end(x->tenants, tenant, NULL);
		return -INS_ENOMEM;
	}
	r = 0;
	if (old->complete >= need)
		*ret_done = 1;
	else
		r = pull_page(ctx, x, old, &set);
	index_set_unref(old);
	tenants_end(x->tenants, tenant, set);
	ins_add(x->bytes, NULL, (double)tenants_grown(x->tenants));
	return r;
}

int
pull(ins_ctx *ctx, struct index_local *x, int64_t need)
{
	int r = 0, done = 0;

	while (r == 0 && !done)
		r = pull_once(ctx, x, ins_tenant_id(ctx), need, &done);
	return r;
}
