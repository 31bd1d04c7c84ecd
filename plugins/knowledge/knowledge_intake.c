/*
 * knowledge_intake.c: what a client sent, as one shape: JSON or form data, checked field by field.
 * What is refused here has stored nothing.
 */
#include <stdlib.h>
#include <strings.h>

#include "knowledge.h"
#include "multipart.h"

static const struct {
	const char *name, *type, *ending;
} types[] = {
	{ "text/plain", "text/plain", ".txt" },
	{ "text/markdown", "text/markdown", ".md" },
	{ "text/x-markdown", "text/markdown", ".markdown" },
	{ "text/html", "text/html", ".html" },
	{ "application/xhtml+xml", "text/html", ".htm" },
};
#define N_TYPES (sizeof types / sizeof types[0])

static int
ends_with(const char *z, const char *end)
{
	size_t n = strlen(z), m = strlen(end);

	return n >= m && strcasecmp(z + n - m, end) == 0;
}

/* The charset parameter of a media type, "" when there is none. */
static const char *
charset_of(ins_ctx *ctx, const char *p)
{
	size_t n;

	for (p = strchr(p, ';'); p != NULL; p = strchr(p, ';')) {
		p += 1 + strspn(p + 1, " \t");
		if (strncasecmp(p, "charset=", 8) != 0)
			continue;
		p += 8;
		p += *p == '"';
		n = strcspn(p, "\"; \t");
		return ins_strndup(ctx, p, n > 40 ? 40 : n);
	}
	return "";
}

/* From what the client says, else from the file's name, else plain text. */
static int
set_type(ins_ctx *ctx, const char *said, struct intake *in)
{
	size_t n = strcspn(said, "; \t"), i;

	in->charset = "";
	in->media_type = NULL;
	if (n > 0 && strncasecmp(said, "application/octet-stream", n) != 0) {
		for (i = 0; i < N_TYPES; i++)
			if (strlen(types[i].name) == n && strncasecmp(said, types[i].name, n) == 0)
				in->media_type = types[i].type;
		if (in->media_type == NULL) {
			ins_field(ctx, "media_type");
			return ins_fail(ctx, INS_EMEDIA,
			    "documents of the media type %.*s cannot be read; text/plain, "
			    "text/markdown and text/html can",
			    n > 100 ? 100 : (int)n, said);
		}
		in->charset = charset_of(ctx, said);
		return in->charset == NULL ? -INS_ENOMEM : 0;
	}
	for (i = 0; i < N_TYPES && in->media_type == NULL; i++)
		if (ends_with(in->filename, types[i].ending))
			in->media_type = types[i].type;
	if (in->media_type == NULL && strchr(in->filename, '.') != NULL && n > 0) {
		ins_field(ctx, "media_type");
		return ins_fail(
		    ctx, INS_EMEDIA, "the media type of %.100s is not known; say it", in->filename);
	}
	if (in->media_type == NULL)
		in->media_type = "text/plain";
	return 0;
}

static int
bad_field(ins_ctx *ctx, const char *field, const char *what)
{
	ins_field(ctx, field);
	return ins_fail(ctx, INS_EINVAL, "%s %s", field, what);
}

/* Checks and keeps a short text field. */
static int
set_text(ins_ctx *ctx, const char *field, const char *p, size_t n, size_t max, const char **ret)
{
	if (n > max)
		return bad_field(ctx, field, ins_printf(ctx, "is longer than %zu bytes", max));
	if (bytes_bad_utf8(p, n) >= 0 || memchr(p, '\0', n) != NULL)
		return bad_field(ctx, field, "is not valid UTF-8 text");
	*ret = ins_strndup(ctx, p, n);
	return *ret == NULL ? -INS_ENOMEM : 0;
}

static int
set_url(ins_ctx *ctx, const char *p, size_t n, struct intake *in)
{
	int r = set_text(ctx, "source_url", p, n, URL_MAX, &in->source_url);

	/* it becomes a link in somebody's page: javascript: must not */
	if (r == 0 && n > 0 && strncasecmp(in->source_url, "http://", 7) != 0 &&
	    strncasecmp(in->source_url, "https://", 8) != 0)
		r = bad_field(ctx, "source_url", "must be an http or https address");
	return r;
}

static int
set_metadata(ins_ctx *ctx, const json_t *j, struct intake *in)
{
	ins_str z;

	if (!json_is_object(j))
		return bad_field(ctx, "metadata", "must be an object");
	z = ins_json_text(ctx, j);
	if (z.p == NULL)
		return -INS_ENOMEM;
	if (z.n > METADATA_MAX)
		return bad_field(
		    ctx, "metadata", ins_printf(ctx, "is longer than %u bytes", METADATA_MAX));
	in->metadata = z.p;
	return 0;
}

static void
set_defaults(struct intake *in)
{
	memset(in, 0, sizeof *in);
	in->title = in->filename = in->source_url = in->charset = "";
	in->metadata = "{}";
}

/* Only the last part of a path, whichever system it comes from. */
static int
set_filename(ins_ctx *ctx, const char *p, size_t n, struct intake *in)
{
	size_t i;

	for (i = n; i > 0 && p[i - 1] != '/' && p[i - 1] != '\\'; i--)
		continue;
	return set_text(ctx, "filename", p + i, n - i, TITLE_MAX, &in->filename);
}

int
intake_fields(ins_ctx *ctx, const json_t *j, int with_content, struct intake *in)
{
	const char *key, *type = "";
	json_t *v;
	int r = 0;

	set_defaults(in);
	if (!json_is_object(j))
		return ins_fail(ctx, INS_EINVAL, "the body must be a JSON object");
	json_object_foreach((json_t *)(uintptr_t)j, key, v)
	{
		const char *z = json_string_value(v);
		size_t n = z == NULL ? 0 : json_string_length(v);

		if (json_is_null(v))
			continue;
		if (strcmp(key, "metadata") == 0)
			r = set_metadata(ctx, v, in);
		else if (strcmp(key, "bytes") == 0 && !with_content)
			r = json_is_integer(v) && json_integer_value(v) >= 0
			    ? 0
			    : bad_field(ctx, key, "must be a number of bytes");
		else if (strcmp(key, "title") != 0 && strcmp(key, "filename") != 0 &&
		    strcmp(key, "media_type") != 0 && strcmp(key, "source_url") != 0 &&
		    (strcmp(key, "content") != 0 || !with_content))
			r = bad_field(ctx, ins_strndup(ctx, key, strnlen(key, 100)),
			    "is not a field of a document");
		else if (z == NULL)
			r = bad_field(ctx, key, "must be a string");
		else if (strcmp(key, "title") == 0)
			r = set_text(ctx, key, z, n, TITLE_MAX, &in->title);
		else if (strcmp(key, "filename") == 0)
			r = set_filename(ctx, z, n, in);
		else if (strcmp(key, "source_url") == 0)
			r = set_url(ctx, z, n, in);
		else if (strcmp(key, "media_type") == 0)
			type = z;
		else
			in->content = (ins_str){ z, n };
		if (r != 0)
			return r;
	}
	if (with_content && in->content.p == NULL)
		return bad_field(ctx, "content", "is missing");
	return set_type(ctx, type, in);
}

static int
from_json(ins_ctx *ctx, struct intake *in)
{
	json_t *j;
	int r = ins_body_json(ctx, &j);

	if (r == 0)
		r = intake_fields(ctx, j, 1, in);
	if (r == 0)
		in->charset = "utf-8"; /* JSON is, whatever the document says of itself */
	return r;
}

static int
form_metadata(ins_ctx *ctx, ins_str text, struct intake *in)
{
	json_t *j;
	int r = ins_json_parse(ctx, text, &j);

	if (r != 0) {
		ins_field(ctx, "metadata");
		return r;
	}
	if (ins_json_end(ctx, j) == NULL)
		return -INS_ENOMEM;
	return set_metadata(ctx, j, in);
}

static int
from_form(ins_ctx *ctx, ins_str boundary, struct intake *in)
{
	struct multipart_part *parts = ins_alloc(ctx, MULTIPART_PARTS_MAX * sizeof *parts);
	const char *type = NULL, *file_type = "";
	char err[160];
	size_t n, i;
	int r = 0;

	set_defaults(in);
	if (parts == NULL)
		return -INS_ENOMEM;
	if (multipart_parse(ins_body(ctx), boundary, parts, &n, err) != 0)
		return ins_fail(ctx, INS_EINVAL, "%s", err);
	for (i = 0; i < n && r == 0; i++) {
		const struct multipart_part *p = &parts[i];
		const char *field = ins_strndup(ctx, p->name.p, p->name.n > 100 ? 100 : p->name.n);

		if (field == NULL)
			return -INS_ENOMEM;
		if (strcmp(field, "file") == 0 || strcmp(field, "content") == 0) {
			if (in->content.p != NULL)
				return bad_field(ctx, "file", "may stand once");
			in->content = p->body;
			file_type = ins_strndup(ctx, p->type.p, p->type.n > 200 ? 200 : p->type.n);
			if (file_type == NULL)
				return -INS_ENOMEM;
			if (p->filename.p != NULL)
				r = set_filename(ctx, p->filename.p, p->filename.n, in);
		} else if (strcmp(field, "title") == 0) {
			r = set_text(ctx, field, p->body.p, p->body.n, TITLE_MAX, &in->title);
		} else if (strcmp(field, "source_url") == 0) {
			r = set_url(ctx, p->body.p, p->body.n, in);
		} else if (strcmp(field, "media_type") == 0) {
			r = set_text(ctx, field, p->body.p, p->body.n, 200, &type);
		} else if (strcmp(field, "metadata") == 0) {
			r = form_metadata(ctx, p->body, in);
		} else {
			r = bad_field(ctx,
			    bytes_bad_utf8(field, strlen(field)) < 0 ? field : "a field",
			    "is not known here");
		}
	}
	if (r == 0 && in->content.p == NULL)
		return bad_field(ctx, "file", "is missing");
	return r != 0 ? r : set_type(ctx, type != NULL ? type : file_type, in);
}

int
intake_body(ins_ctx *ctx, struct intake *in)
{
	ins_str type = ins_header(ctx, "content-type"), key = ins_header(ctx, "idempotency-key"),
		boundary;
	int r, utf8;
	ptrdiff_t bad;

	if (type.n >= 19 && strncasecmp(type.p, "multipart/form-data", 19) == 0) {
		if (multipart_boundary(type, &boundary) != 0)
			return ins_fail(
			    ctx, INS_EINVAL, "the Content-Type names no boundary that can be used");
		r = from_form(ctx, boundary, in);
	} else {
		r = from_json(ctx, in);
	}
	if (r == 0 && key.n > 0)
		r = set_text(ctx, "Idempotency-Key", key.p, key.n, KEY_MAX, &in->key);
	if (r != 0)
		return r;
	if (bytes_blank(in->content.p, in->content.n))
		return ins_fail(ctx, INS_EINVAL, "the document is empty");
	utf8 = strcmp(in->media_type, "text/html") == 0
	    ? 0
	    : in->charset[0] == '\0' || strcasecmp(in->charset, "utf-8") == 0;
	r = bytes_prepare(ctx, in->content, utf8, in->sha256, &in->data, &bad);
	if (r == 0 && bad >= 0)
		r = ins_fail(ctx, INS_EINVAL, "byte %td of the document is not valid UTF-8", bad);
	return r;
}
