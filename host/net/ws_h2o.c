/*
 * ws_h2o.c: the socket of a WebSocket connection. One of the files that know libh2o.
 *
 * h2o's own helper (h2o_upgrade_to_websocket) was rejected: it copies every send and allows one
 * write in flight. What is used is h2o_http1_upgrade(), which sends the 101 and leaves the socket
 * behind; from then on this file reads and writes it. The http_conn stays its keeper: limits on
 * connections and on stalled writes go on as before, and http_conn_cut() ends it.
 *
 * A socket is never closed while h2o writes to it, because its callback would find it gone: it is
 * shut down, the write fails, and the callback closes it.
 */
#include "net/http_h2o.h"
#include "net/ws.h"

#include <fcntl.h>
#include <h2o/http1.h>
#include <sys/socket.h>

#include "base/metric.h"

#define WS_Q_KEEP 64u /* a larger ring is given back when it is empty */
#define WS_MESSAGE_STEP 4096u
#define WS_MESSAGE_US (60 * INT64_C(1000000)) /* a message is whole within this */

static struct list ws_dirty[LOOP_MAX]; /* struct ws_conn.dirty */
static uint8_t ws_dirty_posted[LOOP_MAX];

static void ws_take(struct ws_conn *);
static void ws_end(struct ws_conn *);
static void ws_gone(struct ws_conn *);
static void ws_on_read(h2o_socket_t *, const char *err);

/* ---- the object ---- */

void
ws_conn_init(struct ws_conn *w, struct ins_loop *loop, const struct ws_handler *handler,
    const struct ws_limits *limits)
{
	memset(w, 0, sizeof(*w));
	w->magic = WS_CONN_MAGIC;
	w->refs = 1;
	w->loop = loop;
	w->handler = handler;
	w->limits = *limits;
	w->inbox_tail = &w->inbox;
	list_init(&w->members);
	list_init(&w->dirty);
	ws_parser_init(&w->parser, (uint64_t)limits->frame_max, (uint64_t)limits->message_max);
	if (ws_dirty[loop->index].next == NULL)
		list_init(&ws_dirty[loop->index]);
}

void
ws_conn_ref(struct ws_conn *w)
{
	CHECK_OBJ(w, WS_CONN_MAGIC);
	w->refs++;
}

static void
ws_inbox_fini(struct ws_conn *w)
{
	struct ws_message *m;

	while ((m = w->inbox) != NULL) {
		w->inbox = m->next;
		free(m);
	}
	w->inbox_tail = &w->inbox;
	w->inbox_n = 0;
	w->inbox_bytes = 0;
}

void
ws_conn_unref(struct ws_conn *w)
{
	CHECK_OBJ(w, WS_CONN_MAGIC);
	AN(w->refs);
	if (--w->refs > 0)
		return;
	ASSERT(w->sock == NULL && w->http == NULL && list_empty(&w->members));
	/* Of a connection that never was: it may have been published to, or closed, meanwhile. */
	timer_stop(w->loop, &w->timer);
	list_remove(&w->dirty);
	ws_queue_fini(w);
	ws_inbox_fini(w);
	free(w->partial);
	w->magic = 0;
	w->handler->free(w);
}

/* ---- out ---- */

static void
ws_room(struct ws_conn *w)
{
	if (!w->wants_room ||
	    (!w->gone && !w->closing && w->q_bytes > (size_t)w->limits.send_max / 2))
		return;
	w->wants_room = 0;
	w->handler->room(w);
}

static void ws_on_written(h2o_socket_t *, const char *err);

static void
ws_flush(struct ws_conn *w)
{
	h2o_iovec_t bufs[WS_WRITE_MAX];
	struct ws_frame *f;
	unsigned i;

	if (w->sock == NULL || w->writing || w->ending)
		return;
	if (w->pong != NULL) {
		ws_queue_push(w, w->pong, 1);
		w->pong = NULL;
	}
	if (w->q_n == 0)
		return;
	for (i = 0; i < w->q_n && i < WS_WRITE_MAX; i++) {
		f = w->q[(w->q_head + i) & (w->q_cap - 1)];
		bufs[i] = h2o_iovec_init((char *)f->bytes, f->n);
		w->bytes_out += f->n;
	}
	w->flying = i;
	w->writing = 1;
	h2o_socket_write(w->sock, bufs, i, ws_on_written);
}

static void
ws_on_written(h2o_socket_t *sock, const char *err)
{
	struct ws_conn *w = sock->data;

	CHECK_OBJ(w, WS_CONN_MAGIC);
	w->refs++;
	w->writing = 0;
	if (err == NULL)
		w->written_us = base_mono_us();
	for (; w->flying > 0; w->flying--)
		ws_queue_pop(w);
	if (err != NULL || w->ending) {
		ws_end(w);
	} else {
		ws_flush(w);
		if (!w->writing && w->q_cap > WS_Q_KEEP)
			ws_queue_fini(w);
		/* Both halves are through, or ours is and there is no use in theirs. */
		if (!w->writing && w->closing && (w->peer_code != 0 || w->failed))
			ws_end(w);
		else
			ws_room(w);
	}
	ws_conn_unref(w);
}

static int
ws_queue(struct ws_conn *w, struct ws_frame *f)
{
	CHECK_OBJ(w, WS_CONN_MAGIC);
	ASSERT(w->loop == loop_self());
	if (w->closing || w->gone || w->deaf || w->ending)
		return -INS_ECANCELED;
	if (w->q_n > 0 && w->q_bytes + ws_queue_cost(f) > (size_t)w->limits.send_max)
		return -INS_ELIMIT;
	ws_queue_push(w, ws_frame_ref(f), 0);
	w->messages_out++;
	return 0;
}

int
ws_send(struct ws_conn *w, struct ws_frame *f)
{
	int rc = ws_queue(w, f);

	if (rc == 0)
		ws_flush(w);
	return rc;
}

int
ws_send_later(struct ws_conn *w, struct ws_frame *f)
{
	int rc = ws_queue(w, f);

	if (rc == 0 && !w->writing && list_empty(&w->dirty))
		list_append(&ws_dirty[w->loop->index], &w->dirty);
	return rc;
}

static void
ws_flush_posted(struct ins_loop *loop, void *arg)
{
	ws_dirty_posted[loop->index] = 0;
	ws_flush_some(loop);
}

void
ws_flush_some(struct ins_loop *loop)
{
	struct list *head = &ws_dirty[loop->index];
	struct ws_conn *w;
	unsigned n = 0;

	while (head->next != NULL && !list_empty(head) && n++ < WS_FLUSH_SLICE) {
		w = LIST_FIRST(head, struct ws_conn, dirty);
		list_remove(&w->dirty);
		ws_flush(w);
	}
	/* The rest after whatever else the loop has to do: a write costs microseconds, and ten
	 * thousand of them would hold it. */
	if (head->next != NULL && !list_empty(head) && !ws_dirty_posted[loop->index]) {
		ws_dirty_posted[loop->index] = 1;
		loop_post(loop, ws_flush_posted, NULL);
	}
}

/* ---- the end ---- */

/* Tells the owner, once nothing is being handled. */
static void
ws_finish(struct ws_conn *w)
{
	unsigned code;

	if (!w->gone || w->busy || w->delivering || w->inbox != NULL || w->finished)
		return;
	w->finished = 1;
	code = w->close_code != 0 ? w->close_code : w->peer_code != 0 ? w->peer_code : WS_VANISHED;
	w->handler->closed(w, code);
	ws_conn_unref(w);
}

static void
ws_gone(struct ws_conn *w)
{
	if (w->gone)
		return;
	w->refs++;
	w->gone = 1;
	if (w->http != NULL)
		w->http->ws = NULL;
	w->http = NULL;
	timer_stop(w->loop, &w->timer);
	list_remove(&w->dirty);
	ws_queue_fini(w);
	/* A client that said goodbye may have sent something just before: that is still handled. */
	if (w->peer_code == 0) {
		ws_inbox_fini(w);
		if (w->busy)
			w->handler->cancel(w);
	}
	ws_room(w);
	ws_finish(w);
	ws_conn_unref(w);
}

/* Closes the socket, or has it closed by the write that is under way. */
static void
ws_end(struct ws_conn *w)
{
	h2o_socket_t *sock = w->sock;
	struct http_conn *c = w->http;

	if (sock == NULL)
		return;
	if (w->writing) {
		if (!w->ending)
			shutdown(h2o_socket_get_fd(sock), SHUT_RDWR);
		w->ending = 1;
		return;
	}
	w->sock = NULL;
	/* What a client still sends, behind its close or after it broke the rules, would turn our
	 * close frame into a reset. */
	if (w->closing && c->linger_fd < 0 && !c->cut)
		c->linger_fd = fcntl(h2o_socket_get_fd(sock), F_DUPFD_CLOEXEC, 3);
	c->ws = NULL;
	w->http = NULL;
	h2o_socket_read_stop(sock);
	h2o_socket_close(sock);
	ws_gone(w);
}

static void
ws_on_cut(struct timer *t)
{
	struct ws_conn *w = CONTAINER_OF(t, struct ws_conn, timer);

	CHECK_OBJ(w, WS_CONN_MAGIC);
	ws_end(w);
}

/* Later, because whoever cut it may be walking over connections. */
void
ws_conn_cut(struct ws_conn *w)
{
	CHECK_OBJ(w, WS_CONN_MAGIC);
	if (!w->upgrading && !w->gone) /* the write of the 101 fails by itself */
		timer_start(w->loop, &w->timer, 0, ws_on_cut);
}

static void
ws_on_close_late(struct timer *t)
{
	struct ws_conn *w = CONTAINER_OF(t, struct ws_conn, timer);

	CHECK_OBJ(w, WS_CONN_MAGIC);
	ws_end(w);
}

static void
ws_resume(struct ws_conn *w)
{
	if (!w->paused || w->sock == NULL)
		return;
	w->paused = 0;
	h2o_socket_read_start(w->sock, ws_on_read);
}

static void
ws_close_with(struct ws_conn *w, unsigned code, const void *reason, size_t n, int drop)
{
	uint8_t payload[WS_CONTROL_MAX];

	if (w->closing || w->gone || w->ending)
		return;
	w->closing = 1;
	if (drop)
		ws_queue_drop(w);
	if (n > WS_REASON_MAX)
		n = WS_REASON_MAX;
	/* Not in the middle of a character. */
	while (n > 0 && !ws_utf8_valid(reason, n))
		n--;
	payload[0] = (uint8_t)(code >> 8);
	payload[1] = (uint8_t)code;
	if (n > 0)
		memcpy(payload + 2, reason, n);
	ws_queue_push(w, ws_frame_new(WS_OP_CLOSE, payload, code == WS_NO_CODE ? 0 : n + 2), 0);
	if (!w->upgrading)
		timer_start(w->loop, &w->timer, w->limits.close_ms, ws_on_close_late);
	ws_resume(w); /* to hear the answer */
	ws_flush(w);
	ws_room(w);
}

void
ws_close(struct ws_conn *w, unsigned code, const char *reason, int drop)
{
	CHECK_OBJ(w, WS_CONN_MAGIC);
	if (w->closing || w->gone || w->deaf)
		return;
	w->close_code = code;
	ws_inbox_fini(w);
	ws_close_with(w, code, reason, reason != NULL ? strlen(reason) : 0, drop);
}

/* ---- in ---- */

static void
ws_deliver(struct ws_conn *w)
{
	struct ws_message *m;

	if (w->delivering)
		return;
	w->delivering = 1;
	while (!w->busy && (m = w->inbox) != NULL) {
		w->inbox = m->next;
		if (w->inbox == NULL)
			w->inbox_tail = &w->inbox;
		m->next = NULL;
		w->inbox_n--;
		w->inbox_bytes -= m->n;
		w->busy = 1;
		w->handler->message(w, m);
	}
	w->delivering = 0;
	ws_finish(w);
}

static int
ws_inbox_full(const struct ws_conn *w)
{
	return w->inbox_n >= WS_INBOX_MAX || w->inbox_bytes >= (size_t)w->limits.message_max;
}

void
ws_conn_ready(struct ws_conn *w)
{
	CHECK_OBJ(w, WS_CONN_MAGIC);
	AN(w->busy);
	w->refs++;
	w->busy = 0;
	ws_deliver(w);
	if (!ws_inbox_full(w)) {
		ws_resume(w);
		ws_take(w); /* also what was left while a close of ours let it be read again */
	}
	ws_conn_unref(w);
}

/* Room grows with what came, not with what a head announced. */
static void
ws_piece(struct ws_conn *w, const struct ws_event *ev)
{
	struct ws_message *m = w->partial;
	size_t need = (m != NULL ? m->n : 0) + ev->n, cap;

	if (w->closing)
		return; /* a closed handler wants no more */
	if (m == NULL || need > m->cap) {
		cap = ev->end ? need : need * 2 > WS_MESSAGE_STEP ? need * 2 : WS_MESSAGE_STEP;
		w->partial = base_realloc(m, sizeof(*m) + cap + 1);
		if (m == NULL) {
			w->partial->n = 0;
			w->partial_us = base_mono_us();
		}
		m = w->partial;
		m->cap = cap;
	}
	if (ev->n > 0)
		memcpy(m->data + m->n, ev->p, ev->n);
	m->n = need;
	if (!ev->end)
		return;
	m->data[m->n] = '\0';
	m->op = ev->op;
	m->next = NULL;
	w->partial = NULL;
	w->messages_in++;
	*w->inbox_tail = m;
	w->inbox_tail = &m->next;
	w->inbox_n++;
	w->inbox_bytes += m->n;
	ws_deliver(w);
}

static void
ws_fail(struct ws_conn *w, unsigned code, const char *why)
{
	w->deaf = 1;
	w->failed = 1;
	free(w->partial);
	w->partial = NULL;
	if (w->closing && !w->writing && w->q_n == 0) {
		ws_end(w); /* ours went out long ago */
		return;
	}
	if (!w->closing)
		w->close_code = code;
	ws_close_with(w, code, why, strlen(why), 1);
}

static void
ws_control(struct ws_conn *w, const struct ws_event *ev)
{
	int code;

	if (ev->op == WS_OP_PING && !w->closing) {
		struct ws_frame *pong = ws_frame_new(WS_OP_PONG, ev->p, ev->n);

		/* Each ping has its pong, until a peer asks faster than it reads. */
		if (w->q_n < WS_PONGS_MAX) {
			ws_queue_push(w, pong, 0);
		} else {
			if (w->pong != NULL)
				ws_frame_unref(w->pong);
			w->pong = pong;
		}
		ws_flush(w);
	}
	if (ev->op != WS_OP_CLOSE)
		return;
	code = ws_close_code(ev->p, ev->n);
	if (code < 0) {
		ws_fail(w, code == -1 ? WS_PROTOCOL : WS_BAD_DATA,
		    code == -1 ? "a malformed close" : "a reason is not UTF-8");
		return;
	}
	w->deaf = 1;
	w->peer_code = (unsigned)code;
	if (w->closing && !w->writing && w->q_n == 0)
		ws_end(w);
	else
		ws_close_with(w, (unsigned)code, NULL, 0, 1);
}

static void
ws_take(struct ws_conn *w)
{
	h2o_socket_t *sock;
	struct ws_event ev;
	enum ws_got got;
	uint8_t *p;
	size_t n, had;

	if (w->taking)
		return;
	w->taking = 1;
	w->refs++;
	while ((sock = w->sock) != NULL && !w->ending && sock->input->size > 0) {
		if (w->deaf) {
			h2o_buffer_consume(&sock->input, sock->input->size);
			break;
		}
		if (ws_inbox_full(w) && !w->closing) {
			if (!w->paused)
				h2o_socket_read_stop(sock);
			w->paused = 1;
			break;
		}
		p = (uint8_t *)sock->input->bytes;
		n = had = sock->input->size;
		got = ws_parse(&w->parser, &p, &n, &ev);
		/* A piece lies in the bytes, which stay where they are when they are consumed. */
		if (got == WS_PIECE)
			ws_piece(w, &ev);
		w->bytes_in += had - n;
		if (w->sock != NULL)
			h2o_buffer_consume(&sock->input, had - n);
		if (got == WS_CONTROL)
			ws_control(w, &ev);
		else if (got == WS_BAD)
			ws_fail(w, ev.code, ev.why);
	}
	/* An idle connection keeps no buffer. */
	if (w->sock != NULL && !w->paused && ((h2o_socket_t *)w->sock)->input->size == 0) {
		sock = w->sock;
		h2o_buffer_dispose(&sock->input);
		h2o_buffer_init(&sock->input, &h2o_socket_buffer_prototype);
	}
	w->taking = 0;
	ws_conn_unref(w);
}

static void
ws_on_read(h2o_socket_t *sock, const char *err)
{
	struct ws_conn *w = sock->data;

	CHECK_OBJ(w, WS_CONN_MAGIC);
	if (err != NULL) {
		ws_end(w);
		return;
	}
	w->heard_us = base_mono_us();
	w->pinged = 0;
	ws_take(w);
}

/* One timer, looked at when it rings and not moved by every message. */
static void
ws_on_alive(struct timer *t)
{
	struct ws_conn *w = CONTAINER_OF(t, struct ws_conn, timer);
	int64_t now = base_mono_us(), silent = (now - w->heard_us) / 1000, wait;

	CHECK_OBJ(w, WS_CONN_MAGIC);
	if (w->partial != NULL && !w->paused && now - w->partial_us >= WS_MESSAGE_US) {
		ws_fail(w, WS_POLICY, "the message took too long to come");
		return;
	}
	/* It is us who do not listen; or the ping stands behind what a slow reader has yet to take,
	 * which is the business of the limit on stalled writes. */
	if (w->paused || (w->pinged && w->q_n > 0))
		silent = 0;
	else if (w->pinged && (now - w->written_us) / 1000 < w->limits.pong_ms)
		silent = w->limits.ping_ms;
	if (w->pinged && silent >= w->limits.ping_ms + w->limits.pong_ms) {
		http_conn_cut(w->http, "websocket_ping");
		return;
	}
	wait = w->limits.ping_ms - silent;
	if (wait <= 0) {
		if (!w->pinged) {
			w->pinged = 1;
			ws_queue_push(w, ws_frame_new(WS_OP_PING, NULL, 0), 0);
			ws_flush(w);
		}
		wait = w->limits.ping_ms + w->limits.pong_ms - silent;
		if (wait <= 0)
			wait = w->limits.pong_ms;
	}
	timer_start(w->loop, t, wait, ws_on_alive);
}

/* ---- the handshake ---- */

static void
ws_on_upgraded(void *user, h2o_socket_t *sock, size_t head_n)
{
	struct ws_conn *w = user;

	CHECK_OBJ(w, WS_CONN_MAGIC);
	w->upgrading = 0;
	if (sock == NULL || w->http->cut) {
		if (sock != NULL)
			h2o_socket_close(sock);
		ws_gone(w);
		return;
	}
	w->refs++;
	w->sock = sock;
	sock->data = w;
	w->heard_us = base_mono_us();
	h2o_buffer_consume(&sock->input, head_n);
	h2o_socket_read_start(sock, ws_on_read);
	if (w->closing)
		timer_start(w->loop, &w->timer, w->limits.close_ms, ws_on_close_late);
	else
		timer_start(w->loop, &w->timer, w->limits.ping_ms, ws_on_alive);
	ws_flush(w);
	ws_take(w);
	ws_conn_unref(w);
}

void
ws_upgrade_wanted(struct http_req *req)
{
	h2o_req_t *h = http_impl_of(req)->h2o;

	if (h != NULL && !req->replied)
		h2o_add_header(
		    &h->pool, &h->res.headers, H2O_TOKEN_UPGRADE, NULL, H2O_STRLIT("websocket"));
}

int
ws_upgrade(struct http_req *req, struct ws_conn *w, const char *accept, const char *protocol)
{
	struct http_impl *r = http_impl_of(req);
	h2o_req_t *h = r->h2o;
	h2o_iovec_t val;

	CHECK_OBJ(w, WS_CONN_MAGIC);
	if (req->gone || r->conn->cut)
		return -INS_ECANCELED;
	if (req->replied || h->version != 0x101)
		return -INS_EINVAL;
	h->res.status = 101;
	h->res.reason = http_reason(101);
	h2o_add_header(&h->pool, &h->res.headers, H2O_TOKEN_UPGRADE, NULL, H2O_STRLIT("websocket"));
	val = h2o_strdup(&h->pool, accept, SIZE_MAX);
	h2o_add_header_by_str(&h->pool, &h->res.headers, H2O_STRLIT("sec-websocket-accept"), 0,
	    NULL, val.base, val.len);
	if (*protocol != '\0') {
		val = h2o_strdup(&h->pool, protocol, SIZE_MAX);
		h2o_add_header_by_str(&h->pool, &h->res.headers,
		    H2O_STRLIT("sec-websocket-protocol"), 0, NULL, val.base, val.len);
	}
	req->replied = 1;
	req->status = 101;
	r->started = r->sending = r->final = r->complete = 1;
	w->http = r->conn;
	w->http->ws = w;
	w->upgrading = 1;
	h2o_http1_upgrade(h, NULL, 0, ws_on_upgraded, w);
	return 0;
}
