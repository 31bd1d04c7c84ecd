/*
 * knowledge_uploads.c: a document in parts, for what is larger than a request may be. Parts may
 * come in any order and again; complete() makes the document of parts 1..n, which stay where they
 * are. What is not completed expires, swept when the tenant next begins an upload.
 */
#include <errno.h>
#include <stdlib.h>

#include "knowledge.h"

int
uploads_post(ins_ctx *ctx, void *self)
{
	struct knowledge *k = self;
	struct intake in;
	ins_rows *rows[2];
	char id[37];
	json_t *j;
	int r = ins_body_json(ctx, &j);

	if (r == 0)
		r = intake_fields(ctx, j, 0, &in);
	if (r != 0)
		return r;
	if (json_integer_value(json_object_get(j, "bytes")) > k->conf.upload_max)
		return ins_fail(ctx, INS_ETOOBIG, "a document may have at most %lld bytes",
		    (long long)k->conf.upload_max);
	ins_uuid7(id);
	{
		const ins_arg args[] = { ins_text(id), ins_text(in.title), ins_text(in.filename),
			ins_text(in.media_type), ins_text(in.charset), ins_text(in.source_url),
			ins_text(in.metadata), ins_int(ctx, k->conf.upload_ttl) };
		const ins_call calls[] = { { k->s[S_UPLOAD_SWEEP], NULL, 0 },
			{ k->s[S_UPLOAD_ADD], args, 8 } };

		r = ins_db_batch(ctx, calls, 2, rows);
	}
	if (r != 0)
		return r;
	return ins_reply_json(ctx, 201, "{s:s, s:s, s:s, s:I}", "upload_id", id, "object", "upload",
	    "expires_at", ins_value(rows[1], 0, 0), "max_bytes", (json_int_t)k->conf.upload_max);
}

static int
no_upload(ins_ctx *ctx)
{
	return ins_fail(ctx, INS_ENOTFOUND, "there is no such upload, or it has expired");
}

int
uploads_put_part(ins_ctx *ctx, void *self)
{
	struct knowledge *k = self;
	const char *id = path_id(ctx, "id", "upload"), *number = ins_param(ctx, "n");
	ins_str body = ins_body(ctx);
	ins_rows *rows[3];
	ins_arg data;
	char sha256[65], *end;
	long n;
	int r;

	if (id == NULL)
		return -INS_ENOTFOUND;
	errno = 0;
	n = strtol(number, &end, 10);
	if (*number < '0' || *number > '9' || *end != '\0' || errno != 0 || n < 1 ||
	    n > PART_NUMBER_MAX) {
		ins_field(ctx, "n");
		return ins_fail(
		    ctx, INS_EINVAL, "parts are numbered from 1 to %d", PART_NUMBER_MAX);
	}
	if (body.n == 0)
		return ins_fail(ctx, INS_EINVAL, "the part is empty");
	r = bytes_prepare(ctx, body, 0, sha256, &data, NULL);
	if (r != 0)
		return r;
	{
		const ins_arg args[] = { ins_text(id), ins_int(ctx, n), data,
			ins_int(ctx, (int64_t)body.n), ins_int(ctx, k->conf.upload_max) };
		const ins_call calls[] = { { k->s[S_UPLOAD_LOCK], args, 1 },
			{ k->s[S_UPLOAD_PART], args, 5 }, { k->s[S_UPLOAD_TOUCH], args, 1 } };

		r = ins_db_batch(ctx, calls, 3, rows);
	}
	if (r != 0)
		return r;
	if (ins_rows_count(rows[0]) == 0)
		return no_upload(ctx);
	if (ins_rows_affected(rows[1]) == 0)
		return ins_fail(ctx, INS_ETOOBIG, "a document may have at most %lld bytes",
		    (long long)k->conf.upload_max);
	return ins_reply_json(ctx, 200, "{s:s, s:i, s:I, s:s}", "upload_id", id, "part", (int)n,
	    "bytes", (json_int_t)body.n, "sha256", sha256);
}

int
uploads_complete(ins_ctx *ctx, void *self)
{
	struct knowledge *k = self;
	const char *id = path_id(ctx, "id", "upload");
	ins_str key = ins_header(ctx, "idempotency-key");
	struct store_extra extra;
	struct intake in;
	ins_rows *rows;
	int r;

	if (id == NULL)
		return -INS_ENOTFOUND;
	if (key.n > KEY_MAX || bytes_bad_utf8(key.p, key.n) >= 0)
		return ins_fail(ctx, INS_EINVAL,
		    "Idempotency-Key is not valid text of at most %u bytes", KEY_MAX);
	r = ins_db(ctx, k->s[S_UPLOAD_STATE], INS_ARGS(ins_text(id)), &rows);
	if (r != 0)
		return r;
	if (ins_rows_count(rows) == 0)
		return no_upload(ctx);
	if (ins_value_int(rows, 0, 7) == 0)
		return ins_fail(ctx, INS_EINVAL, "the upload holds no parts");
	if (ins_value_int(rows, 0, 7) != ins_value_int(rows, 0, 8))
		return ins_fail(ctx, INS_EINVAL,
		    "the upload has %lld parts, but the last is number %lld",
		    (long long)ins_value_int(rows, 0, 7), (long long)ins_value_int(rows, 0, 8));
	memset(&in, 0, sizeof in);
	in.title = ins_value(rows, 0, 0);
	in.filename = ins_value(rows, 0, 1);
	in.media_type = ins_value(rows, 0, 2);
	in.charset = ins_value(rows, 0, 3);
	in.source_url = ins_value(rows, 0, 4);
	in.metadata = ins_value(rows, 0, 5);
	in.key = key.n == 0 ? NULL : ins_strndup(ctx, key.p, key.n);
	snprintf(in.sha256, sizeof in.sha256, "%s", ins_value(rows, 0, 10));
	{
		const ins_arg args[] = { ins_text(id), ins_text(ins_value(rows, 0, 6)) };
		const ins_call end = { k->s[S_UPLOAD_END], args, 2 };

		extra = (struct store_extra){ &end, 1, id, ins_value_int(rows, 0, 9) };
		r = store_document(ctx, k, &in, &extra);
		if (r ==
		    -INS_EINVAL) { /* the guard: a part came meanwhile, or another complete() */
			ins_clear_error(ctx);
			r = ins_fail(ctx, INS_ECONFLICT,
			    "the upload changed while it was completed; try again");
		}
		return r;
	}
}

int
uploads_delete(ins_ctx *ctx, void *self)
{
	struct knowledge *k = self;
	const char *id = path_id(ctx, "id", "upload");
	ins_rows *rows;
	int r;

	if (id == NULL)
		return -INS_ENOTFOUND;
	r = ins_db(ctx, k->s[S_UPLOAD_DELETE], INS_ARGS(ins_text(id)), &rows);
	if (r != 0)
		return r;
	if (ins_rows_count(rows) == 0)
		return no_upload(ctx);
	return ins_reply(ctx, 204, NULL, NULL, 0);
}
