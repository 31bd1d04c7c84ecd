/*
 * http_h2o_req.c: requests, from h2o to the entry, and the errors that h2o answers itself.
 *
 * A request is ours (http_impl) and outlives h2o's: the pointer to h2o_req_t is cleared by a hook
 * of h2o's request pool, since h2o frees a request under a parked coroutine when its client leaves.
 * Everything runs on the worker's loop, usually on its own stack.
 */
#include "net/http_h2o.h"

#include <fcntl.h>

#include "loop/loop.h"
#include "loop/task.h"

struct http_impl *
http_impl_of(struct http_req *req)
{
	CHECK_OBJ(req, HTTP_REQ_MAGIC);
	return req->impl;
}

void
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
	r->pub.http_minor = h->version & 0xff;
	r->pub.is_tls = c->sock->ssl != NULL;
	r->pub.start_us = base_mono_us();
	r->head_only = strcmp(r->pub.method, "HEAD") == 0;
	r->h2o = h;
	r->gen.proceed = http_impl_on_proceed;
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

	if (memchr(h->input.path.base, '\0', h->input.path.len) != NULL ||
	    memchr(h->input.method.base, '\0', h->input.method.len) != NULL)
		return "A NUL in the request line.";
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
	c->rx_moved = 1;
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

const struct tls_peer *
http_peer(const struct http_req *req)
{
	const struct http_impl *r = req->impl;

	return r->conn->peer;
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
	if (strcmp(lower_name, "upgrade") == 0)
		return (ins_str){ r->h2o->upgrade.base, r->h2o->upgrade.len };
	at = h2o_find_header_by_str(&r->h2o->headers, lower_name, strlen(lower_name), -1);
	if (at < 0)
		return none;
	ret.p = r->h2o->headers.entries[at].value.base;
	ret.n = r->h2o->headers.entries[at].value.len;
	return ret;
}

/* Errors that h2o makes itself, in the shape of ours. */
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

	if (h->_generator->proceed != http_impl_on_proceed && h->res.status >= 400) {
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
