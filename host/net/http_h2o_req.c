/*
 * http_h2o_req.c: requests and answers between h2o and the rest of the host.
 *
 * A request is ours (http_impl) and outlives h2o's: the pointer to h2o_req_t is cleared by a hook
 * of h2o's request pool, since h2o frees a request under a parked coroutine when its client leaves.
 * Everything runs on the worker's loop, h2o's callbacks on the loop's stack and http_*() usually in
 * the task's coroutine.
 *
 * h2o takes one buffer at a time and asks for more (on_proceed) once it is sent. What is written
 * meanwhile waits in `out`, at most stream_buffer_max; past it http_write() parks its task. Chunks
 * are framed here and not by h2o's filter, so that the head of a stream goes out at once and a cut
 * never looks like an end.
 */
#include "net/http_h2o.h"

#include <fcntl.h>

#include "base/err.h"
#include "loop/loop.h"
#include "loop/task.h"

static void http_on_proceed(h2o_generator_t *, h2o_req_t *);

static struct http_impl *
http_impl_of(struct http_req *req)
{
	CHECK_OBJ(req, HTTP_REQ_MAGIC);
	return req->impl;
}

static void
http_impl_unref(struct http_impl *r)
{
	struct http_conn *c = r->conn;

	CHECK_OBJ(&r->pub, HTTP_REQ_MAGIC);
	AN(r->refs);
	if (--r->refs > 0)
		return;
	AZ(r->h2o);
	AN(r->done);
	list_remove(&r->link);
	http_conn_unref(c);
	str_fini(&r->out);
	str_fini(&r->fly);
	r->pub.magic = 0;
	free(r);
}

/* The pool of h2o's request is being freed: the client left, the stream was reset, or the answer is
 * out. */
static void
http_on_pool_freed(void *arg)
{
	struct http_impl *r = *(struct http_impl **)arg;
	struct http_conn *c = r->conn;
	struct ins_ctx *waiter;

	CHECK_OBJ(&r->pub, HTTP_REQ_MAGIC);
	r->h2o = NULL;
	r->pub.gone = 1;
	r->sending = 0;
	timer_stop(r->pub.loop, &r->beat);
	if (!r->complete) {
		if (r->pub.http_major == 2 &&
		    guard_window_hit(&c->resets, http_worker_now(c->worker),
			c->worker->listener->limits.resets_per_10s_max))
			http_conn_cut(c, "resets");
		if (r->pub.task != NULL && !r->done)
			task_cancel(r->pub.task, INS_ECANCELED);
	}
	waiter = r->waiter;
	r->waiter = NULL;
	if (waiter != NULL)
		task_wake(waiter, -INS_ECANCELED);
	http_impl_unref(r);
}

/* ---- requests ---- */

/* h2o's request line and path, split and copied behind the struct. */
static struct http_impl *
http_impl_new(struct http_conn *c, h2o_req_t *h)
{
	const char *path = h->input.path.base, *end = path + h->input.path.len, *query, *slash;
	struct http_impl *r, **slot;
	char *p;

	if (h->input.path.len > 8 &&
	    (memcmp(path, "http://", 7) == 0 || memcmp(path, "https:/", 7) == 0)) {
		/* absolute form, RFC 9112 §3.2.2 */
		slash = memchr(path + 8, '/', (size_t)(end - path) - 8);
		path = slash != NULL ? slash : "/";
		end = slash != NULL ? end : path + 1;
	}
	query = memchr(path, '?', (size_t)(end - path));
	r = base_alloc(sizeof(*r) + h->input.method.len + (size_t)(end - path) + 3);
	r->pub.magic = HTTP_REQ_MAGIC;
	r->pub.loop = c->worker->loop;
	r->pub.listener = c->worker->listener->user;
	r->pub.impl = r;
	p = (char *)(r + 1);
	r->pub.method = p;
	p = (char *)memcpy(p, h->input.method.base, h->input.method.len) + h->input.method.len + 1;
	r->pub.path = p;
	p = (char *)memcpy(p, path, (size_t)(end - path)) + (end - path);
	r->pub.query = p;
	if (query != NULL) {
		p = (char *)r->pub.path + (query - path);
		*p = '\0';
		r->pub.query = p + 1;
	}
	memcpy(r->pub.remote, c->remote, sizeof(r->pub.remote));
	r->pub.http_major = h->version >= 0x200 ? 2 : 1;
	r->pub.is_tls = c->sock->ssl != NULL;
	r->pub.start_us = base_mono_us();
	r->head_only = strcmp(r->pub.method, "HEAD") == 0;
	r->h2o = h;
	r->gen.proceed = http_on_proceed;
	r->refs = 2;
	r->conn = c;
	c->refs++;
	list_init(&r->link);
	list_append(&c->reqs, &r->link);
	str_init(&r->out, (size_t)c->worker->listener->limits.stream_buffer_max);
	str_init(&r->fly, (size_t)c->worker->listener->limits.stream_buffer_max);
	slot = h2o_mem_alloc_shared(&h->pool, sizeof(r), http_on_pool_freed);
	*slot = r;
	return r;
}

/*
 * What h2o lets through and two parties could read in two ways: both framings or two lengths (h2o
 * takes Transfer-Encoding, then the first Content-Length), folded header lines, no Host. h2o drops
 * these headers, but has just put the names into lower case in the raw head. NULL, or what is
 * wrong.
 */
static const char *
http_ambiguous(struct http_conn *c, h2o_req_t *h)
{
	static const char length[] = "\ncontent-length", coding[] = "\ntransfer-encoding";
	const char *head = c->sock->input->bytes, *p;
	size_t i, n;

	for (i = 0; i < h->headers.size; i++)
		if (h->headers.entries[i].name->len == 0)
			return "Folded header lines are not accepted.";
	/* h2o fills in its own name when there was none */
	if (h->version == 0x101 &&
	    h->input.authority.base == c->worker->listener->host->authority.hostport.base)
		return "A request of HTTP/1.1 needs a Host.";
	if (h->version >= 0x200 || h->entity.base == NULL || h->entity.base < head ||
	    h->entity.base > head + c->sock->input->size)
		return NULL;
	n = (size_t)(h->entity.base - head);
	p = memmem(head, n, length, sizeof(length) - 1);
	if (p == NULL)
		return NULL;
	if (memmem(head, n, coding, sizeof(coding) - 1) != NULL)
		return "Both Content-Length and Transfer-Encoding.";
	p++;
	if (memmem(p, n - (size_t)(p - head), length, sizeof(length) - 1) != NULL)
		return "More than one Content-Length.";
	return NULL;
}

static int
http_refuse(h2o_req_t *h, int status, const char *text)
{
	h2o_send_error_generic(
	    h, status, http_reason(status), text, H2O_SEND_ERROR_HTTP1_CLOSE_CONNECTION);
	return 0;
}

static void
http_enter(struct http_impl *r)
{
	if (r->pub.gone)
		http_req_done(&r->pub);
	else
		r->conn->worker->listener->entry(&r->pub);
}

static void
http_enter_later(struct ins_loop *loop, void *arg)
{
	http_enter(arg);
}

int
http_on_request(h2o_handler_t *self, h2o_req_t *h)
{
	struct http_conn *c = http_conn_of(h);
	struct http_worker *w = c->worker;
	const struct http_limits *limits = &w->listener->limits;
	struct http_impl *r;
	const char *why;

	c->rx_taken += h->entity.len;
	why = http_ambiguous(c, h);
	if (why != NULL)
		return http_refuse(h, 400, why);
	if (c->cut || c->n_tasks >= limits->tasks_per_conn_max ||
	    c->body_bytes + h->entity.len > (size_t)limits->conn_bytes_max) {
		/* Refused streams count as reset ones: they cost the peer as little. */
		if (h->version >= 0x200 &&
		    guard_window_hit(&c->resets, http_worker_now(w), limits->resets_per_10s_max))
			http_conn_cut(c, "resets");
		return http_refuse(h, 503, "Too much at once on this connection.");
	}
	r = http_impl_new(c, h);
	if (h->entity.len > 0) {
		r->pub.body.p = memcpy(base_alloc(h->entity.len), h->entity.base, h->entity.len);
		r->pub.body.n = h->entity.len;
	}
	c->body_bytes += h->entity.len;
	c->n_tasks++;
	w->n_reqs++;
	/* When a coroutine ends a stream, h2o may start the connection's next request right there.
	 */
	if (co_self() != NULL)
		loop_post(w->loop, http_enter_later, r);
	else
		http_enter(r);
	return 0;
}

void
http_req_done(struct http_req *req)
{
	struct http_impl *r = http_impl_of(req);
	struct http_conn *c = r->conn;
	struct http_worker *w = c->worker;

	AZ(r->done);
	if (req->streaming && r->ending == 0)
		http_stream_end(req, 1);
	if (!req->replied && !req->gone)
		http_reply_error(req, INS_EINTERNAL, "The request was not answered.", NULL, NULL);
	r->done = 1;
	req->task = NULL;
	c->n_tasks--;
	c->body_bytes -= req->body.n;
	free((char *)req->body.p);
	req->body.p = NULL;
	w->n_reqs--;
	http_impl_unref(r);
	http_worker_idle(w);
}

ins_str
http_header(struct http_req *req, const char *lower_name)
{
	struct http_impl *r = http_impl_of(req);
	ins_str none = { NULL, 0 }, ret;
	ssize_t at;

	if (r->h2o == NULL)
		return none;
	if (strcmp(lower_name, "host") == 0)
		return (ins_str){ r->h2o->input.authority.base, r->h2o->input.authority.len };
	at = h2o_find_header_by_str(&r->h2o->headers, lower_name, strlen(lower_name), -1);
	if (at < 0)
		return none;
	ret.p = r->h2o->headers.entries[at].value.base;
	ret.n = r->h2o->headers.entries[at].value.len;
	return ret;
}

/* ---- answers ---- */

int
http_has_header(struct http_req *req, const char *lower_name)
{
	struct http_impl *r = http_impl_of(req);

	return r->h2o != NULL &&
	    h2o_find_header_by_str(&r->h2o->res.headers, lower_name, strlen(lower_name), -1) >= 0;
}

int
http_set_header(struct http_req *req, const char *name, const char *value)
{
	static const char *const ours[] = { "connection", "content-length", "date", "keep-alive",
		"server", "transfer-encoding", "upgrade" };
	struct http_impl *r = http_impl_of(req);
	size_t i, n = strlen(name);
	char lower[128];
	h2o_iovec_t key, val;

	if (r->h2o == NULL)
		return -INS_ECANCELED;
	if (r->started || n >= sizeof(lower) || !http_header_valid(name, value))
		return -INS_EINVAL;
	for (i = 0; i <= n; i++)
		lower[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] | 0x20 : name[i]);
	for (i = 0; i < NELEM(ours); i++)
		if (strcmp(lower, ours[i]) == 0)
			return -INS_EINVAL;
	if (!http_has_header(req, lower) && ++r->n_headers > HTTP_HEADERS_MAX)
		return -INS_EINVAL;
	key = h2o_strdup(&r->h2o->pool, lower, n);
	val = h2o_strdup(&r->h2o->pool, value, SIZE_MAX);
	h2o_set_header_by_str(
	    &r->h2o->pool, &r->h2o->res.headers, key.base, key.len, 1, val.base, val.len, 1);
	return 0;
}

/* Hands the status line to h2o; the next h2o_send() sends it. */
static void
http_start(struct http_impl *r, int status, size_t length)
{
	h2o_req_t *h = r->h2o;

	if (r->conn->worker->draining || r->unframed)
		h->http1_is_persistent = 0;
	h->res.status = status;
	h->res.reason = http_reason(status);
	h->res.content_length = length;
	r->started = 1;
	r->pub.status = status;
	r->sending = 1;
	h2o_start_response(h, &r->gen);
}

static int
http_may_reply(struct http_impl *r, const char *ctype)
{
	int rc = 0;

	if (r->pub.gone)
		return -INS_ECANCELED;
	if (r->pub.replied)
		return -INS_EINVAL;
	if (ctype != NULL)
		rc = http_set_header(&r->pub, "content-type", ctype);
	if (rc == 0)
		r->pub.replied = 1;
	return rc;
}

int
http_reply(struct http_req *req, int status, const char *ctype, const char *p, size_t n)
{
	struct http_impl *r = http_impl_of(req);
	int rc = http_may_reply(r, ctype), bodiless = status == 204 || status == 304;
	h2o_iovec_t body;

	if (rc != 0)
		return rc;
	http_start(r, status, bodiless ? SIZE_MAX : n);
	r->final = r->complete = 1;
	r->ending = HTTP_END;
	if (n == 0 || bodiless || r->head_only) {
		h2o_send(r->h2o, NULL, 0, H2O_SEND_STATE_FINAL);
		return 0;
	}
	req->bytes_sent = (int64_t)n;
	body.base = h2o_mem_alloc_pool(&r->h2o->pool, n);
	body.len = n;
	memcpy(body.base, p, n);
	h2o_send(r->h2o, &body, 1, H2O_SEND_STATE_FINAL);
	return 0;
}

/* Hands over what waits, and the end if it is time. May free h2o's half of r. */
static void
http_flush(struct http_impl *r)
{
	h2o_send_state_t state = H2O_SEND_STATE_IN_PROGRESS;
	h2o_iovec_t bufs[3];
	size_t n = 0;
	struct str swap;

	if (r->h2o == NULL || r->sending || r->final || (r->out.n == 0 && r->ending == 0))
		return;
	r->written_us = base_mono_us();
	r->sending = 1;
	/* What was written before the cut goes out first: it may be the frame that says why. */
	if (r->ending == HTTP_CUT && r->out.n == 0) {
		http_impl_abort(r);
		return;
	}
	swap = r->fly;
	r->fly = r->out;
	r->out = swap;
	if (r->fly.n > 0 && r->chunked) {
		bufs[n].base = r->chunk_head;
		bufs[n++].len = (size_t)snprintf(
		    r->chunk_head, sizeof(r->chunk_head), "%zx\r\n", r->fly.n);
	}
	if (r->fly.n > 0)
		bufs[n++] = h2o_iovec_init(r->fly.p, r->fly.n);
	if (r->ending == HTTP_END) {
		state = H2O_SEND_STATE_FINAL;
		r->final = r->complete = 1;
	}
	if (r->chunked && r->fly.n > 0 && r->ending == HTTP_END)
		bufs[n++] = h2o_iovec_init(H2O_STRLIT("\r\n0\r\n\r\n"));
	else if (r->chunked && r->ending == HTTP_END)
		bufs[n++] = h2o_iovec_init(H2O_STRLIT("0\r\n\r\n"));
	else if (r->chunked)
		bufs[n++] = h2o_iovec_init(H2O_STRLIT("\r\n"));
	h2o_send(r->h2o, bufs, n, state);
}

void
http_impl_abort(struct http_impl *r)
{
	struct linger now = { 1, 0 };

	if (r->h2o == NULL || r->final)
		return;
	if (r->started && r->sending && r->ending != HTTP_CUT)
		return;
	r->final = 1;
	r->ending = HTTP_CUT;
	r->h2o->http1_is_persistent = 0;
	/* Without chunks the close is the end of the body: only a reset tells a cut. */
	if (r->unframed && r->conn->sock != NULL)
		(void)setsockopt(
		    h2o_socket_get_fd(r->conn->sock), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	if (!r->started)
		http_start(r, 503, 0);
	h2o_send(r->h2o, NULL, 0, H2O_SEND_STATE_ERROR);
}

static void
http_on_proceed(h2o_generator_t *gen, h2o_req_t *h)
{
	struct http_impl *r = CONTAINER_OF(gen, struct http_impl, gen);
	struct ins_ctx *waiter;

	CHECK_OBJ(&r->pub, HTTP_REQ_MAGIC);
	r->refs++;
	r->sending = 0;
	str_reset(&r->fly);
	http_flush(r);
	waiter = r->waiter;
	if (waiter != NULL && r->out.n + r->fly.n <= r->out.max / 2) {
		r->waiter = NULL;
		task_wake(waiter, 0);
	}
	http_impl_unref(r);
}

int
http_stream(struct http_req *req, int status, const char *ctype)
{
	struct http_impl *r = http_impl_of(req);
	int rc = http_may_reply(r, ctype);

	if (rc != 0)
		return rc;
	req->streaming = 1;
	r->chunked = r->h2o->version == 0x101 && !r->head_only;
	r->unframed = r->h2o->version < 0x101;
	if (r->chunked)
		h2o_add_header(&r->h2o->pool, &r->h2o->res.headers, H2O_TOKEN_TRANSFER_ENCODING,
		    NULL, H2O_STRLIT("chunked"));
	http_start(r, status, SIZE_MAX);
	if (r->head_only) {
		r->final = r->complete = 1;
		h2o_send(r->h2o, NULL, 0, H2O_SEND_STATE_FINAL);
	} else {
		h2o_send(r->h2o, NULL, 0, H2O_SEND_STATE_IN_PROGRESS);
	}
	return 0;
}

static void
http_on_write_cancelled(struct ins_ctx *ctx, void *arg)
{
	struct http_impl *r = arg;

	r->waiter = NULL;
}

int
http_write(struct http_req *req, struct ins_ctx *ctx, const char *p, size_t n)
{
	struct http_impl *r = http_impl_of(req);
	size_t room, take;
	int rc;

	while (n > 0) {
		if (req->gone)
			return -INS_ECANCELED;
		if (!req->streaming || r->ending != 0)
			return -INS_EINVAL;
		if (r->head_only)
			return 0;
		room = r->out.max - r->out.n;
		room = room > r->fly.n ? room - r->fly.n : 0;
		take = n < room ? n : room;
		if (take > 0) {
			str_add(&r->out, p, take);
			req->bytes_sent += (int64_t)take;
			p += take;
			n -= take;
			http_flush(r);
			continue;
		}
		AZ(r->waiter);
		r->waiter = ctx;
		rc = task_park(ctx, http_on_write_cancelled, r);
		if (rc != 0)
			return rc;
	}
	return 0;
}

void
http_stream_end(struct http_req *req, int cut)
{
	struct http_impl *r = http_impl_of(req);

	if (!req->streaming || r->ending != 0)
		return;
	r->ending = cut ? HTTP_CUT : HTTP_END;
	timer_stop(req->loop, &r->beat);
	http_flush(r);
}

static void
http_on_beat(struct timer *t)
{
	struct http_impl *r = CONTAINER_OF(t, struct http_impl, beat);
	int64_t silent_ms = (base_mono_us() - r->written_us) / 1000;

	CHECK_OBJ(&r->pub, HTTP_REQ_MAGIC);
	if (silent_ms >= r->beat_ms && !r->sending && r->out.n == 0) {
		str_add(&r->out, r->beat_bytes, r->beat_n);
		r->pub.bytes_sent += (int64_t)r->beat_n;
		http_flush(r);
	}
	silent_ms = (base_mono_us() - r->written_us) / 1000;
	timer_start(r->pub.loop, t, silent_ms < r->beat_ms ? r->beat_ms - silent_ms : r->beat_ms,
	    http_on_beat);
}

int
http_heartbeat(struct http_req *req, int64_t ms, const char *p, size_t n)
{
	struct http_impl *r = http_impl_of(req);

	if (req->gone)
		return -INS_ECANCELED;
	if (!req->streaming || r->ending != 0 || ms <= 0 || n == 0 || n > HTTP_HEARTBEAT_MAX)
		return -INS_EINVAL;
	if (r->head_only)
		return 0;
	memcpy(r->beat_bytes, p, n);
	r->beat_n = n;
	r->beat_ms = ms;
	timer_start(req->loop, &r->beat, ms, http_on_beat);
	return 0;
}

/* ---- errors that h2o makes itself, in the shape of ours ---- */

struct http_error_stream {
	h2o_ostream_t super;
	h2o_iovec_t body;
};

static int
http_code_of(int status)
{
	switch (status) {
	case 413: return INS_ETOOBIG;
	case 503: return INS_EUNAVAILABLE;
	default: return status < 500 ? INS_EINVAL : INS_EINTERNAL;
	}
}

static void
http_error_send(
    h2o_ostream_t *self, h2o_req_t *h, h2o_iovec_t *bufs, size_t n, h2o_send_state_t state)
{
	struct http_error_stream *s = (struct http_error_stream *)self;
	const struct http_worker *w = CONTAINER_OF(h->conn->ctx, struct http_worker, ctx);
	char text[256];
	struct str body;

	if (n > 0 && s->body.base == NULL) {
		if (h->res.status == 413)
			snprintf(text, sizeof(text), "The request body is larger than %lld bytes.",
			    (long long)w->listener->limits.body_max);
		else
			snprintf(text, sizeof(text), "%.*s", (int)bufs[0].len, bufs[0].base);
		str_init(&body, 4096);
		http_error_body(&body, http_code_of(h->res.status), text, NULL, NULL);
		s->body = h2o_strdup(&h->pool, body.p, body.n);
		str_fini(&body);
		h->res.content_length = s->body.len;
		bufs = &s->body;
		n = 1;
	}
	h2o_ostream_send_next(self, h, bufs, n, state);
}

void
http_on_answer(h2o_filter_t *self, h2o_req_t *h, h2o_ostream_t **slot)
{
	struct http_conn *c = http_conn_of(h);
	struct http_error_stream *s;

	if (h->_generator->proceed != http_on_proceed && h->res.status >= 400) {
		h->res.headers = (h2o_headers_t){ NULL, 0, 0 };
		h2o_add_header(&h->pool, &h->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL,
		    H2O_STRLIT("application/json"));
		if (h->res.status == 503)
			h2o_add_header_by_str(&h->pool, &h->res.headers, H2O_STRLIT("retry-after"),
			    1, NULL, H2O_STRLIT("1"));
		s = (struct http_error_stream *)h2o_add_ostream(h, sizeof(*s), slot);
		s->super.do_send = http_error_send;
		s->body = h2o_iovec_init(NULL, 0);
		slot = &s->super.next;
		/* h2o closes with the rest of the body unread: keep the answer from a reset. */
		if (c != NULL && h->version < 0x200 && c->linger_fd < 0)
			c->linger_fd = fcntl(h2o_socket_get_fd(c->sock), F_DUPFD_CLOEXEC, 3);
	}
	h2o_setup_next_ostream(h, slot);
}
