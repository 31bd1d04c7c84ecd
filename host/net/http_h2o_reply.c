/*
 * http_h2o_reply.c: answers, whole ones and streams.
 *
 * h2o takes one buffer at a time and asks for more (http_impl_on_proceed) once it is sent. What is
 * written meanwhile waits in `out`, at most stream_buffer_max with what is on its way; past it
 * http_write() parks its task. Chunks are framed here and not by h2o's filter, so that the head of
 * a stream goes out at once and a cut never looks like an end.
 *
 * http_*() run in the task's coroutine or on the loop's stack, h2o's callbacks on the loop's stack.
 */
#include "net/http_h2o.h"

#include "loop/loop.h"
#include "loop/task.h"

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

void
http_impl_on_proceed(h2o_generator_t *gen, h2o_req_t *h)
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
