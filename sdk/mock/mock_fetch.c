/* mock_fetch.c: peers that answer what the test put there. Stands in for fetch*.c. */
#include "net/fetch.h"
#include "sdk/mock/mock_impl.h"

#define BODY_DEFAULT (8 << 20) /* the host's max_bytes when a request names none */

struct ins_fetch {
	struct ins_ctx *ctx;
	const struct mock_rule *rule;
	size_t at;
	int64_t max;
};

static struct mock_rule *
rule_add(ins_mock *m, const char *method, const char *url)
{
	struct mock_rule *r = mock_rule_add(&m->fetch_rules);

	r->method = arena_strdup(&m->arena, method);
	r->part = arena_strdup(&m->arena, url);
	return r;
}

void
ins_mock_fetch(ins_mock *m, const char *method, const char *url, int status, const char *headers,
    const char *body)
{
	ins_mock_fetch_cut(m, method, url, status, headers, body, 0);
}

void
ins_mock_fetch_cut(ins_mock *m, const char *method, const char *url, int status,
    const char *headers, const char *body, int code)
{
	struct mock_rule *r = rule_add(m, method, url);

	r->status = status;
	r->code = code < 0 ? -code : code;
	r->headers = arena_strdup(&m->arena, headers != NULL ? headers : "");
	r->body = arena_strdup(&m->arena, body != NULL ? body : "");
}

void
ins_mock_fetch_fail(ins_mock *m, const char *method, const char *url, int code)
{
	rule_add(m, method, url)->code = code < 0 ? -code : code;
}

void
ins_mock_fetch_piece(ins_mock *m, size_t bytes)
{
	m->fetch_piece = bytes;
}

const json_t *
ins_mock_fetches(ins_mock *m)
{
	return m->fetches;
}

static void
record(struct ins_mock *m, const char *method, const ins_fetch_request *req)
{
	json_t *headers = json_array();
	const char *const *h;

	for (h = req->headers; h != NULL && *h != NULL; h++)
		json_array_append_new(headers, json_string(*h));
	json_array_append_new(m->fetches,
	    json_pack("{s:s, s:s, s:o, s:o, s:b}", "method", method, "url", req->url, "headers",
		headers, "body",
		json_stringn_nocheck(req->body.p != NULL ? req->body.p : "", req->body.n),
		"private", (req->flags & INS_FETCH_PRIVATE) != 0));
}

/* ---- fetch.h ---- */

int
fetch_open(struct ins_ctx *ctx, const ins_fetch_request *req, struct ins_fetch **ret)
{
	struct ins_mock *m = mock_current;
	const char *method = req->method != NULL ? req->method : "GET";
	struct mock_rule *rule;
	struct ins_fetch *f;
	int r;

	*ret = NULL;
	if (req->url == NULL ||
	    (strncmp(req->url, "http://", 7) != 0 && strncmp(req->url, "https://", 8) != 0))
		return task_fail(ctx, INS_EINVAL, "only http and https are fetched");
	r = task_sleep(ctx, 0);
	if (r != 0)
		return r;
	record(m, method, req);
	for (rule = m->fetch_rules; rule != NULL; rule = rule->next)
		if (!rule->used && strcmp(rule->method, method) == 0 &&
		    strncmp(req->url, rule->part, strlen(rule->part)) == 0)
			break;
	if (rule == NULL)
		return task_fail(ctx, INS_EUNAVAILABLE, "the mock has no answer for: %s %.300s",
		    method, req->url);
	rule->used = 1;
	if (rule->status == 0)
		return task_fail(ctx, rule->code, "the test lets this exchange fail");
	f = arena_alloc(&ctx->arena, sizeof *f);
	if (f == NULL)
		return task_fail(ctx, INS_ENOMEM, "the task's memory is used up");
	f->ctx = ctx;
	f->rule = rule;
	f->max = req->max_bytes != 0 ? req->max_bytes : BODY_DEFAULT;
	*ret = f;
	return 0;
}

int
fetch_status(const struct ins_fetch *f)
{
	return f->rule->status;
}

ins_str
fetch_header(const struct ins_fetch *f, const char *lower_name)
{
	return mock_header_in(f->rule->headers, lower_name);
}

int
fetch_read(struct ins_ctx *ctx, struct ins_fetch *f, ins_str *ret)
{
	size_t n = strlen(f->rule->body) - f->at, piece = mock_current->fetch_piece;
	int r = task_sleep(ctx, 0);

	ret->p = NULL;
	ret->n = 0;
	if (r != 0)
		return r;
	if (n == 0)
		return f->rule->code == 0
		    ? 0
		    : task_fail(ctx, f->rule->code, "the test lets this answer break off");
	if (piece != 0 && n > piece)
		n = piece;
	if (f->at + n > (size_t)f->max)
		return task_fail(
		    ctx, INS_ETOOBIG, "the answer is larger than %lld bytes", (long long)f->max);
	ret->p = f->rule->body + f->at;
	ret->n = n;
	f->at += n;
	return 1;
}

void
fetch_close(struct ins_fetch *f)
{
}
