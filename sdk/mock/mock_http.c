/*
 * mock_http.c: a client without a connection. Stands in for http_h2o*.c below http.h; requests take
 * the host's own way from request_entry() on.
 */
#include "base/arena.h"
#include "net/http.h"
#include "plugin/request.h"
#include "sdk/mock/mock_impl.h"

#define BODY_MAX ((size_t)64 << 20)

struct mock_req {
	struct http_req pub; /* first */
	ins_mock_answer answer;
	struct mock_req *next;
	const char *headers;
	json_t *out; /* headers of the answer */
	struct str body;
	json_t *parsed;
	int ended, head_only;
	struct timer beat;
	char beat_bytes[HTTP_HEARTBEAT_MAX];
	size_t beat_n;
	int64_t beat_ms;
};

static struct mock_req *
of(struct http_req *req)
{
	CHECK_OBJ(req, HTTP_REQ_MAGIC);
	return CONTAINER_OF(req, struct mock_req, pub);
}

static void
show(struct mock_req *r)
{
	r->answer.body = r->body.p != NULL ? r->body.p : "";
	r->answer.n = r->body.n;
}

/* ---- http.h ---- */

ins_str
mock_header_in(const char *headers, const char *lower_name)
{
	ins_str v = { NULL, 0 };
	size_t n = strlen(lower_name), line;

	for (; headers != NULL && *headers != '\0'; headers += line + (headers[line] == '\n')) {
		line = strcspn(headers, "\n");
		if (line <= n || headers[n] != ':' || strncasecmp(headers, lower_name, n) != 0)
			continue;
		v.p = headers + n + 1;
		v.n = line - n - 1;
		while (v.n > 0 && (*v.p == ' ' || *v.p == '\t')) {
			v.p++;
			v.n--;
		}
		while (v.n > 0 && (v.p[v.n - 1] == '\r' || v.p[v.n - 1] == ' '))
			v.n--;
		return v;
	}
	return v;
}

ins_str
http_header(struct http_req *req, const char *lower_name)
{
	struct mock_req *r = of(req);
	ins_str v = mock_header_in(r->headers, lower_name);

	if (v.p == NULL && req->body.n != 0 && strcmp(lower_name, "content-type") == 0)
		v = ins_s("application/json");
	return v;
}

/* No connection, no certificate. */
const struct tls_peer *
http_peer(const struct http_req *req)
{
	return NULL;
}

int
http_has_header(struct http_req *req, const char *lower_name)
{
	return json_object_get(of(req)->out, lower_name) != NULL;
}

int
http_set_header(struct http_req *req, const char *name, const char *value)
{
	static const char *const ours[] = { "connection", "content-length", "date", "keep-alive",
		"server", "transfer-encoding", "upgrade" };
	struct mock_req *r = of(req);
	char lower[128];
	size_t i, n = strlen(name);

	if (req->gone)
		return -INS_ECANCELED;
	if (req->replied || n >= sizeof lower || !http_header_valid(name, value))
		return -INS_EINVAL;
	for (i = 0; i <= n; i++)
		lower[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] | 0x20 : name[i]);
	for (i = 0; i < NELEM(ours); i++)
		if (strcmp(lower, ours[i]) == 0)
			return -INS_EINVAL;
	if (!http_has_header(req, lower) && json_object_size(r->out) >= HTTP_HEADERS_MAX)
		return -INS_EINVAL;
	return json_object_set_new(r->out, lower, json_string(value)) == 0 ? 0 : -INS_EINVAL;
}

static int
begin(struct mock_req *r, int status, const char *ctype)
{
	int rc = 0;

	if (r->pub.gone)
		return -INS_ECANCELED;
	if (r->pub.replied)
		return -INS_EINVAL;
	if (ctype != NULL)
		rc = http_set_header(&r->pub, "content-type", ctype);
	if (rc != 0)
		return rc;
	r->pub.replied = 1;
	r->pub.status = r->answer.status = status;
	r->answer.type = ctype != NULL ? arena_strdup(&mock_current->arena, ctype) : "";
	return 0;
}

int
http_reply(struct http_req *req, int status, const char *ctype, const char *p, size_t n)
{
	struct mock_req *r = of(req);
	int rc = begin(r, status, ctype);

	if (rc != 0)
		return rc;
	if (status != 204 && status != 304 && !r->head_only)
		str_add(&r->body, p, n);
	req->bytes_sent = (int64_t)r->body.n;
	show(r);
	return 0;
}

int
http_stream(struct http_req *req, int status, const char *ctype)
{
	int rc = begin(of(req), status, ctype);

	if (rc == 0)
		req->streaming = 1;
	return rc;
}

static void
on_beat(struct timer *t)
{
	struct mock_req *r = CONTAINER_OF(t, struct mock_req, beat);

	str_add(&r->body, r->beat_bytes, r->beat_n);
	show(r);
	timer_start(&mock_loop, t, r->beat_ms, on_beat);
}

int
http_heartbeat(struct http_req *req, int64_t ms, const char *p, size_t n)
{
	struct mock_req *r = of(req);

	if (req->gone)
		return -INS_ECANCELED;
	if (!req->streaming || r->ended || ms <= 0 || n == 0 || n > HTTP_HEARTBEAT_MAX)
		return -INS_EINVAL;
	if (r->head_only)
		return 0;
	memcpy(r->beat_bytes, p, n);
	r->beat_n = n;
	r->beat_ms = ms;
	timer_start(&mock_loop, &r->beat, ms, on_beat);
	return 0;
}

int
http_write(struct http_req *req, struct ins_ctx *ctx, const char *p, size_t n)
{
	struct mock_req *r = of(req);

	if (req->gone || ctx->canceled)
		return -INS_ECANCELED;
	if (!req->streaming || r->ended)
		return -INS_EINVAL;
	if (r->head_only)
		return 0;
	if (r->body.n + n > BODY_MAX)
		base_panic(__FILE__, __LINE__, __func__, "a stream of more than 64 MiB");
	str_add(&r->body, p, n);
	req->bytes_sent += (int64_t)n;
	show(r);
	if (r->beat_n != 0)
		timer_start(&mock_loop, &r->beat, r->beat_ms, on_beat);
	return 0;
}

void
http_stream_end(struct http_req *req, int cut)
{
	struct mock_req *r = of(req);

	if (!req->streaming || r->ended)
		return;
	r->ended = 1;
	r->answer.cut = cut;
	timer_stop(&mock_loop, &r->beat);
}

void
http_req_done(struct http_req *req)
{
	struct mock_req *r = of(req);

	if (!req->replied && !req->gone)
		http_reply_error(req, INS_EINTERNAL, "nobody answered", NULL, NULL);
	timer_stop(&mock_loop, &r->beat);
	if (req->gone)
		r->answer.cut = req->streaming;
	show(r);
	if (r->answer.type != NULL && strncmp(r->answer.type, "application/json", 16) == 0) {
		r->parsed = json_loadb(r->answer.body, r->answer.n, JSON_DECODE_ANY, NULL);
		r->answer.json = r->parsed;
	}
	r->answer.done = 1;
}

/* ---- mock.h ---- */

const ins_mock_answer *
ins_mock_request_begin(
    ins_mock *m, const char *method, const char *target, const char *headers, const char *body)
{
	struct mock_req *r = arena_alloc(&m->arena, sizeof *r);
	const char *query = strchr(target, '?');

	AN(r);
	str_init(&r->body, BODY_MAX);
	r->out = json_object();
	r->headers = headers == NULL ? "" : arena_strdup(&m->arena, headers);
	r->pub.magic = HTTP_REQ_MAGIC;
	r->pub.loop = &mock_loop;
	r->pub.method = arena_strdup(&m->arena, method);
	r->pub.path = arena_strndup(&m->arena, target, strcspn(target, "?"));
	r->pub.query = query == NULL ? "" : arena_strdup(&m->arena, query + 1);
	snprintf(r->pub.remote, sizeof r->pub.remote, "192.0.2.1");
	r->pub.body = ins_s(body == NULL ? "" : arena_strdup(&m->arena, body));
	r->pub.http_major = 1;
	r->pub.start_us = base_mono_us();
	r->head_only = strcmp(method, "HEAD") == 0;
	r->answer.type = "";
	r->next = m->requests;
	m->requests = r;
	show(r);
	request_entry(&r->pub);
	mock_settle();
	return &r->answer;
}

const ins_mock_answer *
ins_mock_request(
    ins_mock *m, const char *method, const char *target, const char *headers, const char *body)
{
	const ins_mock_answer *a = ins_mock_request_begin(m, method, target, headers, body);

	mock_run_until(&a->done, INT64_MAX);
	if (!a->done)
		base_panic(__FILE__, __LINE__, __func__,
		    "the handler waits for what nothing will bring, and does not end when "
		    "cancelled");
	return a;
}

void
ins_mock_leave(ins_mock *m, const ins_mock_answer *a)
{
	struct mock_req *r;

	for (r = m->requests; r != NULL; r = r->next)
		if (&r->answer == a && !a->done) {
			r->pub.gone = 1;
			if (r->pub.task != NULL)
				task_cancel(r->pub.task, INS_ECANCELED);
			mock_settle();
		}
}

const char *
ins_mock_header(const ins_mock_answer *a, const char *lower_name)
{
	const struct mock_req *r;

	for (r = mock_current->requests; r != NULL; r = r->next)
		if (&r->answer == a)
			return json_string_value(json_object_get(r->out, lower_name));
	return NULL;
}

void
mock_requests_free(struct ins_mock *m)
{
	struct mock_req *r;

	for (r = m->requests; r != NULL; r = r->next) {
		json_decref(r->out);
		json_decref(r->parsed);
		str_fini(&r->body);
	}
}
