/*
 * knowledge_store.c: the one way a document comes into being: its row, its bytes, its job and the
 * event that starts the work commit together. The same content, or the same Idempotency-Key, finds
 * the document that is there.
 */
#include "knowledge.h"

#define CALLS_MAX 8u

static int
answer(ins_ctx *ctx, int status, const char *document, const char *job, const char *state,
    int duplicate)
{
	return ins_reply_json(ctx, status, "{s:s, s:s, s:s, s:b}", "document_id", document,
	    "job_id", job, "status", state, "duplicate", duplicate);
}

/* 1 and answered when the document is there already, 0 when it is not, negative on error. */
static int
find(ins_ctx *ctx, struct knowledge *k, const struct intake *in)
{
	ins_rows *rows;
	const char *state;
	int r;

	r = ins_db(ctx, k->s[S_FIND],
	    INS_ARGS(ins_text(in->sha256), ins_text(in->media_type), ins_text(in->key)), &rows);
	if (r != 0 || ins_rows_count(rows) == 0)
		return r;
	if (strcmp(ins_value(rows, 0, 3), "t") != 0)
		return ins_fail(
		    ctx, INS_ECONFLICT, "this Idempotency-Key came with another document before");
	state = ins_value(rows, 0, 2);
	r = answer(ctx, strcmp(state, "indexed") == 0 || strcmp(state, "failed") == 0 ? 200 : 202,
	    ins_value(rows, 0, 0), ins_value(rows, 0, 1), state, 1);
	return r < 0 ? r : 1;
}

/* -INS_ECONFLICT when somebody was faster. */
static int
add(ins_ctx *ctx, struct knowledge *k, const struct intake *in, const struct store_extra *extra)
{
	const char *content;
	ins_call calls[CALLS_MAX];
	ins_rows *rows[CALLS_MAX];
	char document[37], job[37];
	json_t *payload;
	size_t n = 0;
	int r;

	ins_uuid7(document);
	ins_uuid7(job);
	content = extra != NULL ? extra->content_id : document;
	if (extra != NULL) {
		memcpy(calls, extra->calls, extra->n * sizeof *calls);
		n = extra->n;
	}
	{
		const ins_arg add_args[] = { ins_text(document), ins_text(job), ins_text(in->title),
			ins_text(in->filename), ins_text(in->media_type), ins_text(in->charset),
			ins_text(in->source_url), ins_text(in->metadata), ins_text(content),
			ins_text(in->sha256),
			ins_int(ctx, extra != NULL ? extra->bytes : (int64_t)in->content.n),
			ins_text(in->key), ins_text(ins_user_id(ctx)) };
		const ins_arg job_args[] = { ins_text(job), ins_text(document) };
		const ins_arg part_args[] = { ins_text(content), ins_text("1"), in->data };

		calls[n++] = (ins_call){ k->s[S_DOCUMENT_ADD], add_args,
			sizeof add_args / sizeof *add_args };
		calls[n++] = (ins_call){ k->s[S_JOB_ADD], job_args, 2 };
		if (extra == NULL)
			calls[n++] = (ins_call){ k->s[S_PART_ADD], part_args, 3 };
		payload = ins_json_end(ctx,
		    json_pack(
			"{s:s, s:s, s:i}", "document_id", document, "job_id", job, "version", 1));
		if (payload == NULL)
			return -INS_ENOMEM;
		r = ins_event(ctx, "ingest.doc.requested", NULL, NULL, NULL, payload, &calls[n++]);
		if (r == 0)
			r = ins_db_batch(ctx, calls, n, rows);
	}
	return r != 0 ? r : answer(ctx, 202, document, job, "queued", 0);
}

int
store_document(
    ins_ctx *ctx, struct knowledge *k, const struct intake *in, const struct store_extra *extra)
{
	int r = find(ctx, k, in);

	if (r == 0) {
		r = add(ctx, k, in, extra);
		if (r == -INS_ECONFLICT) {
			ins_clear_error(ctx);
			r = find(ctx, k, in);
			if (r == 0)
				r = ins_fail(ctx, INS_ECONFLICT,
				    "the same document came twice at once; send it again");
		}
		return r < 0 ? r : 0;
	}
	if (r > 0 && extra != NULL) { /* the upload has served; its bytes are there already */
		r = ins_db(ctx, k->s[S_UPLOAD_DELETE], INS_ARGS(ins_text(extra->content_id)), NULL);
		if (r != 0)
			ins_log(ctx, INS_LOG_WARN, "upload.kept",
			    json_pack("{s:s}", "upload_id", extra->content_id));
		ins_clear_error(ctx); /* it expires */
	}
	return r < 0 ? r : 0;
}
