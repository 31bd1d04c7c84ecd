/*
 * model_openai_call.c: sends a request to a provider and reads its answer, streamed or whole.
 *
 * Runs in the caller's task on its loop; everything it holds is freed before it returns, on every
 * path. Of the caller it forwards the trace context and nothing else: no header, no credential, no
 * address. How the provider answered decides how it is read (its Content-Type), since some servers
 * do not stream although asked.
 */
#include "plugins/model_openai/model_openai_call.h"

#include <stdlib.h>
#include <strings.h>

#include "plugins/model_openai/model_openai_answer.h"
#include "plugins/model_openai/model_openai_cite.h"
#include "plugins/model_openai/model_openai_error.h"
#include "plugins/model_openai/model_openai_request.h"
#include "plugins/model_openai/model_openai_sse.h"

/* Named limits. */
#define ERROR_BODY_MAX (64 * 1024)       /* of a failure's body, read for its sentence */
#define EVENT_MAX (4 * 1024 * 1024)      /* one event of a stream */
#define REQUEST_MAX (32 * 1024 * 1024ul) /* our body, after escapes and passages */

struct call {
	ins_ctx *ctx;
	const struct model *model;
	const struct provider *provider;
	const ins_sink *sink;
	ins_fetch *fetch;
	struct answer *answer;
};

/* A failure of the provider's: what the task said so far becomes log-only detail, since it may name
 * addresses that are none of the client's business. */
static int __attribute__((format(printf, 3, 4)))
upstream_failed(struct call *c, int code, const char *fmt, ...)
{
	char before[240], text[300];
	va_list ap;
	int r;

	error_redact(ins_last_error(c->ctx), c->provider->key, before, sizeof before);
	ins_clear_error(c->ctx);
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	r = ins_fail(c->ctx, code, "the model provider %.60s %s", c->provider->name, text);
	if (before[0] != '\0')
		ins_detail(c->ctx, "%s", before);
	return r;
}

/* What a failed ins_fetch_open or ins_fetch_read means here. */
static int
transport_failed(struct call *c, int r, const char *what)
{
	switch (-r) {
	case INS_ECANCELED:
	case INS_ENOMEM: return r;
	case INS_ETIMEOUT: return upstream_failed(c, INS_ETIMEOUT, "did not answer in time");
	case INS_ETOOBIG: return upstream_failed(c, INS_EUPSTREAM, "sent too large an answer");
	case INS_EDENIED:
		r = upstream_failed(c, INS_EUPSTREAM, "could not be reached");
		ins_detail(c->ctx,
		    "%s has a private address, which private_addresses: true in its "
		    "entry would open",
		    c->provider->name);
		return r;
	default: return upstream_failed(c, INS_EUPSTREAM, "%s", what);
	}
}

static int
send_request(struct call *c, const char *body, size_t body_n, int stream)
{
	const struct provider *p = c->provider;
	const char *trace = ins_traceparent(c->ctx), *headers[5];
	ins_fetch_request req;
	size_t n = 0;
	int r;

	headers[n++] = "Content-Type: application/json";
	headers[n++] = stream ? "Accept: text/event-stream" : "Accept: application/json";
	if (p->auth != NULL)
		headers[n++] = p->auth;
	if (trace[0] != '\0' &&
	    (headers[n++] = ins_printf(c->ctx, "traceparent: %s", trace)) == NULL)
		return -INS_ENOMEM;
	headers[n] = NULL;
	memset(&req, 0, sizeof req);
	req.size = sizeof req;
	req.flags = p->private_addresses ? INS_FETCH_PRIVATE : 0;
	req.method = "POST";
	req.url = p->url;
	req.headers = headers;
	req.body.p = body;
	req.body.n = body_n;
	req.connect_ms = p->connect_ms;
	req.first_byte_ms = p->first_byte_ms;
	req.idle_ms = p->idle_ms;
	req.total_ms = p->total_ms;
	req.max_bytes = p->max_response;
	r = ins_fetch_open(c->ctx, &req, &c->fetch);
	return r == 0 ? 0 : transport_failed(c, r, "could not be reached");
}

/* All of the body into b. 0, 1 = it did not fit, or negative. */
static int
read_all(struct call *c, struct buf *b)
{
	ins_str piece;
	int r;

	while ((r = ins_fetch_read(c->ctx, c->fetch, &piece)) == 1)
		if (buf_add(b, piece.p, piece.n) != 0)
			return 1;
	return r;
}

/* The host's capped parser, without the failure of ours that it would report. */
static json_t *
parse(struct call *c, const char *p, size_t n)
{
	ins_str s = { p, n };
	json_t *j = NULL;

	if (ins_json_parse(c->ctx, s, &j) != 0)
		return NULL; /* its sentence is the detail of upstream_failed() */
	return j;
}

/* The provider said no: with a status, or with an error inside a 200. */
static int
refused(struct call *c, int status, const json_t *body)
{
	ins_str after = ins_fetch_header(c->fetch, "retry-after");
	struct upstream_error e;
	int r;

	error_judge(status, body, after.p, after.n, c->provider->key, ins_now_us() / 1000000, &e);
	ins_clear_error(c->ctx);
	switch (e.code) {
	case INS_EINVAL:
		r = upstream_failed(
		    c, e.code, "refused the request%s%s", e.show ? ": " : "", e.text);
		break;
	case INS_ELIMIT:
		r = upstream_failed(c, e.code, "has too many requests just now");
		if (e.retry_s > 0)
			ins_retry_after(c->ctx, e.retry_s);
		break;
	case INS_ETIMEOUT: r = upstream_failed(c, e.code, "did not answer in time"); break;
	default: r = upstream_failed(c, e.code, "failed");
	}
	ins_detail(c->ctx, "status %d%s%s: %s", status, e.reason[0] != '\0' ? ", " : "", e.reason,
	    e.text[0] != '\0' ? e.text : "(no message)");
	return r;
}

static int
refused_by_status(struct call *c, int status)
{
	struct buf b;
	json_t *body;
	int r;

	buf_init(&b, ERROR_BODY_MAX);
	r = read_all(c, &b);
	if (r == -INS_ECANCELED) {
		buf_fini(&b);
		return r;
	}
	/* cut or not: the status is what counts, the sentence is a courtesy */
	body = r == 0 && b.n > 0 ? parse(c, b.p, b.n) : NULL;
	buf_fini(&b);
	r = refused(c, status, body);
	json_decref(body);
	return r;
}

static int
judged(struct call *c, enum answer_result r, const json_t *piece)
{
	switch (r) {
	case ANSWER_OK: return 0;
	case ANSWER_ERROR: return refused(c, 200, piece);
	case ANSWER_LARGE: return upstream_failed(c, INS_EUPSTREAM, "sent too large an answer");
	default:
		r = upstream_failed(c, INS_EUPSTREAM, "sent a malformed answer");
		ins_detail(c->ctx, "%s", c->answer->why);
		return (int)r;
	}
}

/* One event of the stream. 0 = go on, 1 = it was the last, negative. */
static int
take_event(struct call *c, const struct sse *s)
{
	json_t *chunk, *delta = NULL;
	int r;

	if (s->data.n == 0)
		return 0; /* a heartbeat */
	if (s->data.n == 6 && memcmp(s->data.p, "[DONE]", 6) == 0)
		return 1;
	chunk = parse(c, s->data.p, s->data.n);
	if (chunk == NULL)
		return upstream_failed(c, INS_EUPSTREAM, "sent a malformed stream");
	r = judged(c, answer_chunk(c->answer, chunk, &delta), chunk);
	json_decref(chunk);
	if (r == 0 && delta != NULL && c->sink != NULL)
		r = c->sink->delta(c->ctx, c->sink->arg, delta);
	json_decref(delta);
	return r < 0 ? r : 0;
}

static int
take_bytes(struct call *c, struct sse *s, ins_str piece)
{
	enum sse_result got;
	size_t used;
	int r = 0;

	while (r == 0 && piece.n > 0) {
		got = sse_feed(s, piece.p, piece.n, &used);
		piece.p += used;
		piece.n -= used;
		if (got == SSE_TOO_LONG)
			return upstream_failed(c, INS_EUPSTREAM, "sent too large an event");
		if (got == SSE_EVENT)
			r = take_event(c, s);
	}
	return r;
}

static int
read_events(struct call *c, struct sse *s)
{
	ins_str piece;
	int r, done;

	while ((r = ins_fetch_read(c->ctx, c->fetch, &piece)) == 1) {
		done = take_bytes(c, s, piece);
		if (done != 0)
			return done;
	}
	if (r == -INS_ECANCELED)
		return r;
	if (r == 0 && sse_end(s) == SSE_EVENT) {
		done = take_event(c, s);
		if (done != 0)
			return done;
	}
	/* A finish_reason ends the answer as well as [DONE] does: only the usage may be missing. */
	if (c->answer->finish_reason != NULL) {
		ins_clear_error(c->ctx);
		return 0;
	}
	return r < 0 ? transport_failed(c, r, "cut its answer off")
		     : upstream_failed(c, INS_EUPSTREAM, "cut its answer off");
}

static int
read_stream(struct call *c)
{
	struct sse s;
	int r;

	sse_init(&s, EVENT_MAX);
	r = read_events(c, &s);
	sse_fini(&s);
	if (r < 0)
		return r;
	if (!c->answer->any)
		return upstream_failed(c, INS_EUPSTREAM, "sent an empty stream");
	return 0;
}

static int
read_whole(struct call *c)
{
	struct buf b;
	json_t *body, *delta;
	int r;

	buf_init(&b, (size_t)c->provider->max_response);
	r = read_all(c, &b);
	if (r != 0) {
		buf_fini(&b);
		return transport_failed(c, r == 1 ? -INS_ETOOBIG : r, "cut its answer off");
	}
	body = parse(c, b.p == NULL ? "" : b.p, b.n);
	buf_fini(&b);
	if (body == NULL)
		return upstream_failed(c, INS_EUPSTREAM, "sent a malformed answer");
	r = judged(c, answer_whole(c->answer, body), body);
	json_decref(body);
	if (r != 0 || c->sink == NULL)
		return r;
	delta = answer_as_delta(c->answer);
	r = delta == NULL ? 0 : c->sink->delta(c->ctx, c->sink->arg, delta);
	json_decref(delta);
	return r < 0 ? r : 0;
}

static int
is_type(ins_str header, const char *type)
{
	size_t n = strlen(type);

	return header.n >= n && strncasecmp(header.p, type, n) == 0 &&
	    (header.n == n || header.p[n] == ';' || header.p[n] == ' ');
}

static int
read_answer(struct call *c, int stream)
{
	ins_str type = ins_fetch_header(c->fetch, "content-type");
	int status = ins_fetch_status(c->fetch), r;

	if (status != 200)
		return refused_by_status(c, status);
	if (is_type(type, "text/event-stream") || (type.n == 0 && stream))
		return read_stream(c);
	if (is_type(type, "application/json") || type.n == 0)
		return read_whole(c);
	r = upstream_failed(c, INS_EUPSTREAM, "sent something else than an answer");
	ins_detail(c->ctx, "content-type %.*s", type.n > 80 ? 80 : (int)type.n, type.p);
	return r;
}

static int
add_citations(const struct call *c, const json_t *in, json_t *result)
{
	json_t *passages = json_object_get(in, "passages");
	json_t *list;

	if (!json_is_array(passages) || c->answer->n_tools > 0)
		return 0;
	list = cite(c->answer->content.p == NULL ? "" : c->answer->content.p, c->answer->content.n,
	    passages, request_passages(in));
	if (list == NULL)
		return -1;
	/* an answer from documents that cites none of them is not one */
	if (json_array_size(list) == 0)
		json_object_set_new(result, "answered", json_false());
	return json_object_set_new(result, "citations", list);
}

static int
finish(struct call *c, const json_t *in, size_t body_n, json_t **ret_out)
{
	json_t *result = answer_result(c->answer, c->model, body_n);
	int r;

	if (result == NULL && c->answer->why != NULL) {
		r = upstream_failed(c, INS_EUPSTREAM, "sent a malformed answer");
		ins_detail(c->ctx, "%s", c->answer->why);
		return r;
	}
	if (result == NULL || add_citations(c, in, result) != 0) {
		json_decref(result);
		return ins_fail(c->ctx, INS_ENOMEM, "out of memory");
	}
	if (!c->answer->has_usage)
		ins_log(c->ctx, INS_LOG_INFO, "model.usage_estimated",
		    json_pack("{s:s, s:s}", "model", c->model->id, "provider", c->provider->name));
	*ret_out = result;
	return 0;
}

/* The body, heap; NULL after failing the task with *ret_r. */
static char *
encode(struct call *c, const json_t *in, int stream, size_t *ret_n, int *ret_r)
{
	struct request_error err;
	json_t *body = request_build(in, c->model->upstream, stream, &err);
	char *text;

	if (body == NULL) {
		*ret_r = ins_fail(c->ctx, INS_EINVAL, "%s", err.text);
		if (err.field[0] != '\0')
			ins_field(c->ctx, err.field);
		return NULL;
	}
	*ret_n = json_dumpb(body, NULL, 0, JSON_COMPACT);
	text = *ret_n == 0 || *ret_n > REQUEST_MAX ? NULL : malloc(*ret_n);
	if (text != NULL)
		json_dumpb(body, text, *ret_n, JSON_COMPACT);
	else
		*ret_r = ins_fail(c->ctx, INS_ETOOBIG, "the request is too large for a model");
	json_decref(body);
	return text;
}

int
call_generate(
    ins_ctx *ctx, const struct model *m, const json_t *in, const ins_sink *sink, json_t **ret_out)
{
	struct call c = { ctx, m, m->provider, sink, NULL, NULL };
	size_t body_n = 0;
	char *body;
	int r = 0;

	*ret_out = NULL;
	body = encode(&c, in, sink != NULL, &body_n, &r);
	if (body == NULL)
		return r;
	c.answer = answer_new((size_t)m->provider->max_response);
	r = c.answer == NULL ? -INS_ENOMEM : send_request(&c, body, body_n, sink != NULL);
	if (r == 0)
		r = read_answer(&c, sink != NULL);
	if (c.fetch != NULL)
		ins_fetch_close(c.fetch);
	if (r == 0)
		r = finish(&c, in, body_n, ret_out);
	answer_free(c.answer);
	free(body);
	return r;
}
