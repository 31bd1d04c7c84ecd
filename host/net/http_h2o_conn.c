/*
 * http_h2o_conn.c: connections and what they may cost: how many, how slow, how heavy, how long
 * idle.
 *
 * A connection belongs to its worker's loop. libh2o has no limit of its own for what is checked
 * here (a minimum rate, resets, bytes per connection, stalled readers, clients that left) and
 * offers no way to close a connection from outside. The one way is http_conn_cut(): shutdown(2), so
 * that h2o's own read and write paths see the end and free what they hold in their order.
 */
#include "net/http_h2o.h"

#include <netinet/in.h>
#include <stdatomic.h>

#include "base/metric.h"
#include "loop/loop.h"
#include "net/ws.h"

static atomic_uint http_n_conns;
static struct ins_metric *http_cuts;

void
http_conn_init(void)
{
	if (http_cuts == NULL)
		http_cuts = metric_get(METRIC_COUNTER, "http_connections_cut_total",
		    "Connections that the host ended, by reason.", "reason");
}

unsigned
http_connections(void)
{
	return atomic_load(&http_n_conns);
}

struct http_conn *
http_conn_of(h2o_req_t *req)
{
	h2o_socket_t *sock = req->conn->callbacks->get_socket(req->conn);
	struct http_conn *c;

	if (sock == NULL) /* in the middle of an upgrade from HTTP/1.1 to 2 */
		return NULL;
	c = sock->on_close.data;
	CHECK_OBJ(c, HTTP_CONN_MAGIC);
	return c;
}

void
http_conn_unref(struct http_conn *c)
{
	CHECK_OBJ(c, HTTP_CONN_MAGIC);
	AN(c->refs);
	if (--c->refs > 0)
		return;
	AZ(c->sock);
	ASSERT(list_empty(&c->reqs));
	free(c->peer);
	c->magic = 0;
	free(c);
}

static void
http_conn_on_closed(uv_handle_t *h)
{
	struct http_conn *c = CONTAINER_OF(h, struct http_conn, h.handle);
	struct http_worker *w = c->worker;

	CHECK_OBJ(c, HTTP_CONN_MAGIC);
	list_remove(&c->link);
	w->n_conns--;
	atomic_fetch_sub(&http_n_conns, 1);
	http_conn_unref(c);
	http_worker_idle(w);
}

/* h2o has closed the socket; the handle's memory is ours until http_conn_on_closed(). */
static void
http_conn_on_h2o_close(void *arg)
{
	struct http_conn *c = arg;

	CHECK_OBJ(c, HTTP_CONN_MAGIC);
	c->sock = NULL;
	if (c->linger_fd < 0)
		return;
	if (c->cut || c->worker->closing)
		close(c->linger_fd);
	else
		sock_linger(&c->worker->lingers, c->linger_fd, http_worker_now(c->worker));
	c->linger_fd = -1;
}

void
http_conn_cut(struct http_conn *c, const char *why)
{
	struct list *i;
	struct http_impl *r;
	int fd;

	CHECK_OBJ(c, HTTP_CONN_MAGIC);
	if (c->cut || c->sock == NULL)
		return;
	c->cut = 1;
	metric_add(http_cuts, why, 1);
	fd = h2o_socket_get_fd(c->sock);
	if (fd >= 0)
		shutdown(fd, SHUT_RDWR);
	if (c->ws != NULL) { /* its socket may not be read at the moment */
		ws_conn_cut(c->ws);
		return;
	}
	/* HTTP/1 does not read while it answers: it would notice at the next write only. */
	for (i = c->reqs.next; i != &c->reqs; i = i->next) {
		r = CONTAINER_OF(i, struct http_impl, link);
		if (r->h2o != NULL && r->pub.http_major == 1) {
			http_impl_abort(r);
			return;
		}
	}
}

/* h2o offers no way to its SSL: but what its BIOs carry is the socket. */
void
http_conn_on_peer(void *sock, struct tls_peer *peer)
{
	struct http_conn *c = ((h2o_socket_t *)sock)->on_close.data;

	CHECK_OBJ(c, HTTP_CONN_MAGIC);
	free(c->peer);
	c->peer = peer;
}

static void
http_conn_remote(struct http_conn *c)
{
	struct sockaddr_storage ss;
	int len = sizeof(ss);

	if (c->worker->listener->unix_path != NULL)
		snprintf(c->remote, sizeof(c->remote), "unix");
	else if (uv_tcp_getpeername(&c->h.tcp, (struct sockaddr *)&ss, &len) != 0)
		c->remote[0] = '\0';
	else if (ss.ss_family == AF_INET)
		uv_ip4_name((struct sockaddr_in *)&ss, c->remote, sizeof(c->remote));
	else
		uv_ip6_name((struct sockaddr_in6 *)&ss, c->remote, sizeof(c->remote));
}

void
http_conn_on_new(uv_stream_t *server, int status)
{
	struct http_worker *w = server->data;
	struct http_conn *c;

	if (status != 0)
		return;
	c = base_alloc(sizeof(*c));
	c->magic = HTTP_CONN_MAGIC;
	c->worker = w;
	c->refs = 1;
	c->linger_fd = -1;
	c->idle_since_ms = -1;
	list_init(&c->reqs);
	list_init(&c->link);
	list_init(&c->arriving);
	list_append(&w->conns, &c->link);
	w->n_conns++;
	atomic_fetch_add(&http_n_conns, 1);
	if (w->listener->unix_path != NULL)
		AZ(uv_pipe_init(&w->loop->uv, &c->h.pipe, 0));
	else
		AZ(uv_tcp_init(&w->loop->uv, &c->h.tcp));
	if (uv_accept(server, &c->h.stream) != 0 || w->n_conns > w->listener->limits.conns_max) {
		metric_add(http_cuts, "connections", 1);
		uv_close(&c->h.handle, http_conn_on_closed);
		return;
	}
	if (w->listener->unix_path == NULL) {
		uv_tcp_nodelay(&c->h.tcp, 1);
		uv_tcp_keepalive(&c->h.tcp, 1, 60);
	}
	http_conn_remote(c);
	c->sock = h2o_uv_socket_create(&c->h.stream, http_conn_on_closed);
	c->sock->on_close.cb = http_conn_on_h2o_close;
	c->sock->on_close.data = c;
	http_worker_busy(w);
	h2o_accept(&w->accept, c->sock);
}

static int
http_see_h1(h2o_req_t *req, void *arg)
{
	struct http_conn *c = http_conn_of(req);

	if (c != NULL) {
		c->h1_seen = 1;
		c->h1_busy = req->pathconf != NULL; /* bound once it is being answered */
		c->h1_input = c->sock->input->size;
	}
	return 0;
}

/* A stream whose head is there and whose handler was not called yet: a body in arrival. */
static int
http_see_h2(h2o_req_t *req, void *arg)
{
	struct http_worker *w = arg;
	struct http_conn *c;

	if (req->input.method.base == NULL || req->pathconf != NULL)
		return 0;
	c = http_conn_of(req);
	if (c == NULL)
		return 0;
	if (c->scan != w->scan) {
		if (c->scan + 1 != w->scan)
			c->weighing = 0; /* there was a moment without any */
		c->scan = w->scan;
		c->n_arriving = 0;
		list_append(&w->arriving, &c->arriving);
	}
	c->n_arriving++;
	return 0;
}

/*
 * The body bytes that h2o holds for a connection's streams: what came in since a tick last saw none
 * of them, without what was handed on, and not more than each may have.
 */
static void
http_weigh(struct http_conn *c)
{
	const struct http_limits *limits = &c->worker->listener->limits;
	uint64_t rx = sock_received(h2o_socket_get_fd(c->sock)), held, most;

	if (!c->weighing) {
		c->weighing = 1;
		guard_rate_stop(&c->rate);
	}
	held = rx - c->rx_base;
	held = held > c->rx_taken ? held - c->rx_taken : 0;
	most = (uint64_t)c->n_arriving * (uint64_t)limits->body_max;
	if (held > most)
		held = most;
	if (held + c->body_bytes > (uint64_t)limits->conn_bytes_max)
		http_conn_cut(c, "bytes");
	else if (guard_rate_tick(&c->rate, http_worker_now(c->worker), rx, limits->min_rate))
		http_conn_cut(c, "rate");
}

static void
http_scan(struct http_worker *w)
{
	struct http_conn *c;

	w->scan++;
	w->scan_ms = http_worker_now(w);
	w->listener->conf.http2.callbacks.foreach_request(&w->ctx, http_see_h2, w);
	while (!list_empty(&w->arriving)) {
		c = LIST_FIRST(&w->arriving, struct http_conn, arriving);
		list_remove(&c->arriving);
		if (c->sock != NULL && !c->cut)
			http_weigh(c);
	}
}

/* After each poll of the loop, but not more often than HTTP_SCAN_MS. */
void
http_conn_on_check(uv_check_t *check)
{
	struct http_worker *w = check->data;

	if (http_worker_now(w) - w->scan_ms >= HTTP_SCAN_MS)
		http_scan(w);
}

/* No body is in arrival now, so what was received belongs to none. */
static void
http_rebase(struct http_conn *c)
{
	c->rx_base = sock_received(h2o_socket_get_fd(c->sock));
	c->rx_taken = 0;
	c->rx_moved = 0;
}

/* A request that is too slow in coming. In clear text its sender is told why. */
static void
http_cut_slow(struct http_conn *c)
{
	static const char answer[] =
	    "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Type: text/plain\r\n"
	    "Content-Length: 32\r\n\r\nThe request came in too slowly.\n";

	if (c->sock->ssl == NULL)
		(void)!send(h2o_socket_get_fd(c->sock), answer, sizeof(answer) - 1,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
	http_conn_cut(c, "rate");
}

static void
http_tick_reading(struct http_conn *c, int64_t now)
{
	struct http_worker *w = c->worker;

	if (!c->h1_seen || c->h1_busy || c->h1_input > 0)
		c->idle_since_ms = -1;
	if (!c->h1_seen && c->rx_moved && c->scan != w->scan)
		http_rebase(c);
	if (!c->h1_seen)
		return; /* HTTP/2: http_weigh() and h2o's idle timer; TLS: h2o's handshake timer */
	if (c->h1_busy) {
		guard_rate_stop(&c->rate);
	} else if (c->h1_input > 0) {
		if (guard_rate_tick(&c->rate, now, c->h1_input, w->listener->limits.min_rate))
			http_cut_slow(c);
	} else {
		guard_rate_stop(&c->rate);
		if (c->idle_since_ms < 0)
			c->idle_since_ms = now;
		if (w->draining || now - c->idle_since_ms >= w->listener->limits.idle_ms)
			http_conn_cut(c, "idle");
	}
}

static void
http_tick_writing(struct http_conn *c, int64_t now)
{
	int64_t limit = c->worker->listener->limits.write_stall_ms;
	size_t queued = uv_stream_get_write_queue_size(&c->h.stream);
	struct list *i;
	struct http_impl *r;

	if (queued == 0)
		guard_stall_stop(&c->stall);
	else if (guard_stall_tick(
		     &c->stall, now, (uint64_t)c->sock->bytes_written * 1000003 + queued, limit))
		http_conn_cut(c, "stall");
	/* An HTTP/2 peer may stall one stream by not opening its window. */
	for (i = c->reqs.next; i != &c->reqs && !c->cut; i = i->next) {
		r = CONTAINER_OF(i, struct http_impl, link);
		if (r->h2o == NULL || !r->sending || r->pub.http_major == 1)
			guard_stall_stop(&r->stall);
		else if (guard_stall_tick(&r->stall, now, r->h2o->bytes_sent, limit))
			http_conn_cut(c, "stall");
	}
}

/* Whether a client of HTTP/1 waits for an answer that is not complete yet. */
static int
http_conn_waits(const struct http_conn *c)
{
	const struct http_impl *r;

	if (list_empty(&c->reqs))
		return 0;
	r = LIST_FIRST(&c->reqs, struct http_impl, link);
	return r->h2o != NULL && r->pub.http_major == 1 && !r->complete;
}

/*
 * While h2o answers on HTTP/1 it does not read, so it cannot see that the client has left. One
 * poll(2) over all such connections can. A client that closes only its sending half counts as gone,
 * as nginx has it.
 */
static void
http_tick_left(struct http_worker *w)
{
	struct list *i;
	struct http_conn *c;
	unsigned n = 0, k;

	if (w->n_polls < w->n_conns) {
		w->n_polls = w->n_conns * 2;
		w->polls = base_realloc(w->polls, w->n_polls * sizeof(*w->polls));
		w->polled = base_realloc(w->polled, w->n_polls * sizeof(*w->polled));
	}
	for (i = w->conns.next; i != &w->conns; i = i->next) {
		c = CONTAINER_OF(i, struct http_conn, link);
		if (c->sock == NULL || c->cut || !http_conn_waits(c))
			continue;
		w->polled[n] = c;
		w->polls[n].fd = h2o_socket_get_fd(c->sock);
		w->polls[n].events = POLLRDHUP;
		w->polls[n++].revents = 0;
	}
	if (n == 0 || poll(w->polls, n, 0) <= 0)
		return;
	for (k = 0; k < n; k++)
		if (w->polls[k].revents != 0)
			http_conn_cut(w->polled[k], "left");
}

void
http_conn_on_tick(uv_timer_t *tick)
{
	struct http_worker *w = tick->data;
	int64_t now = http_worker_now(w);
	struct list *i;
	struct http_conn *c;

	sock_lingers_tick(&w->lingers, now);
	for (i = w->conns.next; i != &w->conns; i = i->next)
		CONTAINER_OF(i, struct http_conn, link)->h1_seen = 0;
	w->listener->conf.http1.callbacks.foreach_request(&w->ctx, http_see_h1, w);
	http_scan(w);
	http_tick_left(w);
	for (i = w->conns.next; i != &w->conns; i = i->next) {
		c = CONTAINER_OF(i, struct http_conn, link);
		if (c->sock != NULL && !c->cut)
			http_tick_writing(c, now);
		if (c->sock != NULL && !c->cut)
			http_tick_reading(c, now);
	}
	http_worker_idle(w);
}
