/* knowledge_documents.c: documents and jobs over HTTP. */
#include <errno.h>
#include <stdlib.h>

#include "knowledge.h"

const char *
path_id(ins_ctx *ctx, const char *param, const char *what)
{
	const char *id = ins_param(ctx, param);

	if (bytes_is_uuid(id))
		return id;
	ins_fail(ctx, INS_ENOTFOUND, "there is no such %s", what);
	return NULL;
}

int
documents_post(ins_ctx *ctx, void *self)
{
	struct intake in;
	int r = intake_body(ctx, &in);

	return r != 0 ? r : store_document(ctx, self, &in, NULL);
}

static int
is_true(const ins_rows *rows, size_t row, size_t col)
{
	const char *z = ins_value(rows, row, col);

	return z != NULL && z[0] == 't';
}

/* Runs a SELECT whose second column says that ingestion has stalled; then it is ended first, so
 * that nobody is told of work that nobody does. */
static int
select_fresh(ins_ctx *ctx, struct knowledge *k, enum knowledge_stmt s, const ins_arg *args,
    size_t n, ins_rows **rows)
{
	int r = ins_db(ctx, k->s[s], args, n, rows), stale = 0;
	size_t i;

	if (r != 0)
		return r;
	for (i = 0; i < ins_rows_count(*rows); i++)
		stale |= is_true(*rows, i, 1);
	if (!stale)
		return 0;
	r = ingest_sweep(ctx, k);
	return r != 0 ? r : ins_db(ctx, k->s[s], args, n, rows);
}

static int
get_one(ins_ctx *ctx, struct knowledge *k, enum knowledge_stmt s, const ins_arg *args, size_t n,
    const char *what)
{
	ins_rows *rows;
	ins_str z;
	int r = select_fresh(ctx, k, s, args, n, &rows);

	if (r != 0)
		return r;
	if (ins_rows_count(rows) == 0)
		return ins_fail(ctx, INS_ENOTFOUND, "there is no such %s", what);
	z = ins_value_str(rows, 0, 0);
	return ins_reply(ctx, 200, "application/json", z.p, z.n);
}

int
documents_get(ins_ctx *ctx, void *self)
{
	struct knowledge *k = self;
	const char *id = path_id(ctx, "id", "document");

	return id == NULL
	    ? -INS_ENOTFOUND
	    : get_one(ctx, k, S_DOCUMENT_GET,
		  INS_ARGS(ins_int(ctx, k->conf.stale_after), ins_text(id)), "document");
}

int
jobs_get(ins_ctx *ctx, void *self)
{
	struct knowledge *k = self;
	const char *job = path_id(ctx, "job", "job"), *document = ins_param(ctx, "id");

	if (job == NULL || (*document != '\0' && path_id(ctx, "id", "document") == NULL))
		return -INS_ENOTFOUND;
	return get_one(ctx, k, S_JOB_GET,
	    INS_ARGS(ins_int(ctx, k->conf.stale_after), ins_text(job),
		*document == '\0' ? ins_null() : ins_text(document)),
	    "job");
}

int
documents_text(ins_ctx *ctx, void *self)
{
	struct knowledge *k = self;
	const char *id = path_id(ctx, "id", "document");
	ins_rows *rows;
	ins_str z;
	int r;

	if (id == NULL)
		return -INS_ENOTFOUND;
	r = ins_db(ctx, k->s[S_DOCUMENT_TEXT], INS_ARGS(ins_text(id)), &rows);
	if (r != 0)
		return r;
	z = ins_rows_count(rows) == 0 ? (ins_str){ NULL, 0 } : ins_value_str(rows, 0, 0);
	if (z.p == NULL)
		return ins_fail(ctx, INS_ENOTFOUND,
		    "there is no such document, or its text is not extracted yet");
	return ins_reply(ctx, 200, "text/plain; charset=utf-8", z.p, z.n);
}

/* ?limit=20&after=ID&status=failed, newest first */
int
documents_list(ins_ctx *ctx, void *self)
{
	const char *limit = ins_query(ctx, "limit"), *after = ins_query(ctx, "after"),
		   *status = ins_query(ctx, "status");
	struct knowledge *k = self;
	long n = 20;
	char *end;
	ins_rows *rows;
	json_t *j, *data;
	size_t i, count;
	int r;

	if (limit != NULL) {
		errno = 0;
		n = strtol(limit, &end, 10);
		if (*limit == '\0' || *end != '\0' || errno != 0 || n < 1 || n > PAGE_MAX) {
			ins_field(ctx, "limit");
			return ins_fail(ctx, INS_EINVAL, "limit must be 1 to %d", PAGE_MAX);
		}
	}
	if (after != NULL && !bytes_is_uuid(after)) {
		ins_field(ctx, "after");
		return ins_fail(ctx, INS_EINVAL, "after must be a document's id");
	}
	r = select_fresh(ctx, k, S_DOCUMENT_LIST,
	    INS_ARGS(ins_int(ctx, k->conf.stale_after), ins_text(after), ins_text(status),
		ins_int(ctx, n + 1)),
	    &rows);
	if (r != 0)
		return r;
	count = ins_rows_count(rows);
	data = json_array();
	for (i = 0; i < count && i < (size_t)n; i++) {
		ins_str z = ins_value_str(rows, i, 0);

		json_array_append_new(data, json_loadb(z.p, z.n, 0, NULL));
	}
	j = json_pack("{s:s, s:o, s:b, s:s?, s:s?}", "object", "list", "data", data, "has_more",
	    count > (size_t)n, "first_id", count == 0 ? NULL : ins_value(rows, 0, 2), "last_id",
	    i == 0 ? NULL : ins_value(rows, i - 1, 2));
	return ins_reply_take(ctx, 200, j);
}

int
documents_delete(ins_ctx *ctx, void *self)
{
	struct knowledge *k = self;
	const char *id = path_id(ctx, "id", "document");
	const ins_arg arg = ins_text(id);
	const ins_call calls[] = {
		{ k->s[S_CHANGE], NULL, 0 },
		{ k->s[S_DOCUMENT_DELETE], &arg, 1 },
		{ k->s[S_CHUNKS_DELETE], &arg, 1 },
		{ k->s[S_PARTS_DELETE], &arg, 1 },
		{ k->s[S_JOBS_DELETE], &arg, 1 },
	};
	ins_rows *rows[sizeof calls / sizeof calls[0]];
	int r;

	if (id == NULL)
		return -INS_ENOTFOUND;
	r = ins_db_batch(ctx, calls, sizeof calls / sizeof calls[0], rows);
	if (r != 0)
		return r;
	if (ins_rows_affected(rows[1]) == 0)
		return ins_fail(ctx, INS_ENOTFOUND, "there is no such document");
	return ins_reply(ctx, 204, NULL, NULL, 0);
}
