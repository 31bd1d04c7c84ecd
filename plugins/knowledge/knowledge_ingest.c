/*
 * knowledge_ingest.c: the work on a document, begun by its event: queued -> parsing -> chunking ->
 * indexed, or failed with the stage, a code and a sentence.
 *
 * Deliveries repeat, and two may run at once: each step asks again whether the document still
 * waits, and the last group goes through for one of them alone (S_GUARD). What is the document's
 * fault fails it at once; what is ours (the database, a restart) goes back to the bus, which tries
 * again; what nobody finishes is failed by the sweep.
 */
#include <stdlib.h>

#include "insula/child.h"
#include "knowledge.h"
#include "passages.h"

#define CALLS_MAX (SLICES_MAX + 8u)

struct work {
	struct knowledge *k;
	const char *document, *job;
	int64_t version;
	/* the document's row */
	const char *content_id, *media_type, *charset, *title, *filename;
	int64_t bytes;
	char *content; /* malloc */
	size_t content_n;
	struct passages passages;
};

static int
fail_with(ins_ctx *ctx, struct work *w, const char *stage, const char *code, const char *message,
    int retryable)
{
	const struct ingest_error e = { stage, code, ins_strndup(ctx, message, strlen(message)),
		retryable };

	if (e.message == NULL)
		return -INS_ENOMEM;
	ins_clear_error(ctx);
	return ingest_fail(ctx, w->k, w->document, w->job, w->version, &e);
}

int
ingest_fail(ins_ctx *ctx, struct knowledge *k, const char *document, const char *job,
    int64_t version, const struct ingest_error *e)
{
	json_t *error = ins_json_end(ctx,
	    json_pack("{s:s, s:s, s:s, s:b}", "stage", e->stage, "code", e->code, "message",
		e->message, "retryable", e->retryable));
	json_t *payload = ins_json_end(ctx,
	    json_pack("{s:s, s:s, s:I, s:O}", "document_id", document, "job_id", job, "version",
		(json_int_t)version, "error", error));
	const ins_arg failed[] = { ins_text(document), ins_int(ctx, version), ins_text(NULL) };
	ins_arg failed_args[3], guard[2], job_args[2];
	ins_rows *rows[5];
	ins_call calls[5];
	char work_id[37];
	int r;

	if (error == NULL || payload == NULL)
		return -INS_ENOMEM;
	ins_uuid7(work_id);
	memcpy(failed_args, failed, sizeof failed);
	failed_args[2] = guard[1] = ins_text(work_id);
	guard[0] = ins_text(document);
	job_args[0] = ins_text(job);
	job_args[1] = ins_json(ctx, error);
	calls[0] = (ins_call){ k->s[S_FAILED], failed_args, 3 };
	calls[1] = (ins_call){ k->s[S_GUARD], guard, 2 };
	calls[2] = (ins_call){ k->s[S_JOB_FAILED], job_args, 2 };
	calls[3] = (ins_call){ k->s[S_PARTS_DELETE], guard, 1 };
	r = ins_event(ctx, "ingest.doc.failed", NULL, NULL, NULL, payload, &calls[4]);
	if (r == 0)
		r = ins_db_batch(ctx, calls, 5, rows);
	if (r == -INS_EINVAL) { /* the guard: it has ended already, or is gone */
		ins_clear_error(ctx);
		return 0;
	}
	if (r == 0) {
		ins_add(k->ended, "failed", 1);
		ins_log(ctx, INS_LOG_INFO, "document.failed",
		    json_pack("{s:s, s:s, s:s, s:s}", "document_id", document, "stage", e->stage,
			"code", e->code, "error", e->message));
	}
	return r;
}

int
ingest_sweep(ins_ctx *ctx, struct knowledge *k)
{
	ins_rows *rows;
	size_t i;
	int r = ins_db(ctx, k->s[S_STALE], INS_ARGS(ins_int(ctx, k->conf.stale_after)), &rows);

	for (i = 0; r == 0 && i < ins_rows_count(rows); i++) {
		const struct ingest_error e = { ins_value(rows, i, 3), "timed_out",
			"its ingestion did not move for too long; send the document again", 1 };

		r = ingest_fail(ctx, k, ins_value(rows, i, 0), ins_value(rows, i, 1),
		    ins_value_int(rows, i, 2), &e);
	}
	return r;
}

/* 1 = there is work, 0 = there is none any more. */
static int
begin(ins_ctx *ctx, struct work *w)
{
	const ins_arg args[] = { ins_text(w->document), ins_int(ctx, w->version) };
	const ins_arg stage[] = { ins_text(w->job), ins_text("0") };
	const ins_call calls[] = { { w->k->s[S_BEGIN], args, 2 },
		{ w->k->s[S_JOB_STAGE], stage, 2 } };
	ins_rows *rows[2];
	int r = ins_db_batch(ctx, calls, 2, rows);

	if (r != 0 || ins_rows_count(rows[0]) == 0)
		return r;
	w->content_id = ins_value(rows[0], 0, 0);
	w->media_type = ins_value(rows[0], 0, 1);
	w->charset = ins_value(rows[0], 0, 2);
	w->bytes = ins_value_int(rows[0], 0, 3);
	w->title = ins_value(rows[0], 0, 4);
	w->filename = ins_value(rows[0], 0, 5);
	return 1;
}

/* The document's bytes, a part at a time: each result is freed before the next comes. */
static int
load(ins_ctx *ctx, struct work *w)
{
	size_t cap = (size_t)w->bytes * 65 / 64 +
	    64; /* base64 has line ends, and room is for all of it */
	const char *last = "0";
	ins_rows *rows;
	ins_str z;
	ptrdiff_t n;
	int r;

	w->content = malloc(cap);
	if (w->content == NULL)
		return -INS_ENOMEM;
	for (;;) {
		r = ins_db(ctx, w->k->s[S_PART_GET],
		    INS_ARGS(ins_text(w->content_id), ins_text(last)), &rows);
		if (r != 0 || ins_rows_count(rows) == 0)
			return r;
		z = ins_value_str(rows, 0, 1);
		n = bytes_unbase64(z.p, z.n, w->content, w->content_n, cap);
		if (n < 0 || n > w->bytes)
			return ins_fail(
			    ctx, INS_EINTERNAL, "the stored document is not what was sent");
		w->content_n = (size_t)n;
		last = ins_strndup(ctx, ins_value(rows, 0, 0), strlen(ins_value(rows, 0, 0)));
		if (last == NULL)
			return -INS_ENOMEM;
		ins_rows_end(rows);
	}
}

/* 0 and passages; 1 when the document was failed; negative to be tried again. */
static int
parse(ins_ctx *ctx, struct work *w)
{
	const char *type = w->charset[0] == '\0'
	    ? w->media_type
	    : ins_printf(ctx, "%s; charset=%s", w->media_type, w->charset);
	int r;

	if (type == NULL)
		return -INS_ENOMEM;
	r = ins_child_run(ctx, "extract", type, (ins_str){ w->content, w->content_n },
	    w->k->conf.parse_timeout, &w->passages.json);
	free(w->content);
	w->content = NULL;
	if (r == -INS_EINVAL)
		r = fail_with(ctx, w, "parsing", "invalid_document", ins_last_error(ctx), 0);
	else if (r == -INS_ETIMEOUT && !ins_cancelled(ctx))
		r = fail_with(ctx, w, "parsing", "parser_timeout", ins_last_error(ctx), 0);
	else if (r == -INS_EINTERNAL)
		r = fail_with(ctx, w, "parsing", "parser_failed", ins_last_error(ctx), 1);
	else
		return r;
	return r == 0 ? 1 : r;
}

static int
split(ins_ctx *ctx, struct work *w)
{
	struct passages *p = &w->passages;
	const char *title;
	int r = 0;

	if (p->json.n > INLINE_BYTES)
		r = ins_blocking(ctx, passages_make, p);
	else
		passages_make(p);
	if (r != 0)
		return r;
	if (p->error[0] != '\0') {
		r = fail_with(ctx, w, "chunking", "invalid_document", p->error, 0);
		return r == 0 ? 1 : r;
	}
	title = w->title[0] != '\0'  ? w->title
	    : p->title != NULL       ? p->title
	    : w->filename[0] != '\0' ? w->filename
				     : "Untitled";
	w->title = title;
	{
		const ins_arg text[] = { ins_text(w->document), ins_int(ctx, w->version),
			ins_bytes(p->text), ins_int(ctx, p->characters), ins_text(title) };
		const ins_arg stage[] = { ins_text(w->job), ins_text("1") };
		const ins_call calls[] = { { w->k->s[S_TEXT_SET], text, 5 },
			{ w->k->s[S_JOB_STAGE], stage, 2 } };
		ins_rows *rows[2];

		r = ins_db_batch(ctx, calls, 2, rows);
		return r != 0 ? r : ins_rows_affected(rows[0]) == 0;
	}
}

static int
commit(ins_ctx *ctx, struct work *w)
{
	struct passages *p = &w->passages;
	ins_call *calls = ins_alloc(ctx, CALLS_MAX * sizeof *calls);
	ins_rows **rows = ins_alloc(ctx, CALLS_MAX * sizeof(ins_rows *));
	ins_arg(*chunk_args)[4] = ins_alloc(ctx, (SLICES_MAX + 1) * sizeof *chunk_args);
	ins_arg done[4], guard[2];
	const ins_arg stage[] = { ins_text(w->job), ins_text("3") };
	char work_id[37];
	json_t *payload;
	size_t n = 0, i;
	int r;

	ins_uuid7(work_id);
	payload = ins_json_end(ctx,
	    json_pack("{s:s, s:s, s:I, s:I, s:I}", "document_id", w->document, "job_id", w->job,
		"version", (json_int_t)w->version, "chunks", (json_int_t)p->n_chunks, "characters",
		(json_int_t)p->characters));
	if (calls == NULL || rows == NULL || chunk_args == NULL || payload == NULL)
		return -INS_ENOMEM;
	guard[0] = done[0] = ins_text(w->document);
	guard[1] = done[2] = ins_text(work_id);
	done[1] = ins_int(ctx, w->version);
	done[3] = ins_int(ctx, (int64_t)p->n_chunks);
	calls[n++] = (ins_call){ w->k->s[S_CHANGE], NULL, 0 };
	calls[n++] = (ins_call){ w->k->s[S_INDEXED], done, 4 };
	calls[n++] = (ins_call){ w->k->s[S_GUARD], guard, 2 };
	for (i = 0; i < p->n_slices; i++) {
		chunk_args[i][0] = done[0];
		chunk_args[i][1] = done[1];
		chunk_args[i][2] = ins_text(w->title);
		chunk_args[i][3] = (ins_arg){ p->slices[i], p->slice_n[i] };
		calls[n++] = (ins_call){ w->k->s[S_CHUNKS_ADD], chunk_args[i], 4 };
	}
	calls[n++] = (ins_call){ w->k->s[S_JOB_STAGE], stage, 2 };
	r = ins_event(ctx, "ingest.doc.processed", NULL, NULL, NULL, payload, &calls[n++]);
	if (r == 0)
		r = ins_db_batch(ctx, calls, n, rows);
	if (r == 0)
		ins_add(w->k->ended, "indexed", 1);
	if (r == -INS_ETOOBIG) {
		r = fail_with(ctx, w, "chunking", "too_large",
		    "the document holds too much text to be indexed as one", 0);
	} else if (r == -INS_EINVAL || r == -INS_ECONFLICT) {
		/* the guard: another delivery has ended it, or it was deleted. Anything else fails
		 * here too. */
		r = fail_with(
		    ctx, w, "chunking", "not_stored", "its passages could not be stored", 1);
	}
	return r;
}

static int
work(ins_ctx *ctx, struct work *w)
{
	int r = begin(ctx, w);

	if (r != 1)
		return r;
	r = load(ctx, w);
	if (r == 0)
		r = parse(ctx, w);
	if (r == 0)
		r = split(ctx, w);
	return r == 0 ? commit(ctx, w) : r < 0 ? r : 0;
}

int
ingest_requested(ins_ctx *ctx, void *self, const json_t *envelope)
{
	const json_t *payload = json_object_get(envelope, "payload");
	struct work w = { .k = self };
	int r;

	w.document = json_string_value(json_object_get(payload, "document_id"));
	w.job = json_string_value(json_object_get(payload, "job_id"));
	w.version = json_integer_value(json_object_get(payload, "version"));
	if (w.document == NULL || w.job == NULL || !bytes_is_uuid(w.document) ||
	    !bytes_is_uuid(w.job)) {
		ins_log(ctx, INS_LOG_ERROR, "event.unreadable", NULL);
		return 0; /* no retry makes it readable */
	}
	r = work(ctx, &w);
	free(w.content);
	passages_fini(&w.passages);
	if (r == 0)
		r = ingest_sweep(ctx, w.k);
	return r;
}
