/*
 * http_h2o.c: listeners. One h2o context per loop and listener, with one catch-all handler;
 * starting, draining, closing.
 *
 * A worker belongs to one loop; http_listen(), http_drain() and http_close() are called on the
 * control thread and reach the loops by their mailboxes. Nothing here knows routes, tenants or
 * plugins.
 */
#include "net/http_h2o.h"

#include <signal.h>

#include "loop/loop.h"
#include "net/tls.h"

int64_t
http_worker_now(const struct http_worker *w)
{
	return (int64_t)uv_now(&w->loop->uv);
}

static void
http_worker_gone(struct ins_loop *loop, void *arg)
{
	struct http_worker *w = arg;
	struct http_listener *l = w->listener;

	free(w->polls);
	free(w->polled);
	pthread_mutex_lock(&l->lock);
	w->running = 0;
	l->n_running--;
	pthread_cond_signal(&l->cond);
	pthread_mutex_unlock(&l->lock);
}

static void
http_worker_on_handle_closed(uv_handle_t *h)
{
	struct http_worker *w = h->data;

	/* By a post: h2o's own timers are closed in this same pass of uv and lie in *w. */
	if (--w->n_handles == 0 && w->disposed)
		loop_post(w->loop, http_worker_gone, w);
}

/*
 * h2o_context_dispose() by its parts. The whole runs uv_run() inside a callback of the same loop,
 * which libuv forbids.
 */
static void
http_ctx_dispose(h2o_context_t *ctx)
{
	h2o_timeout_unlink(&ctx->http2._graceful_shutdown_timeout);
	h2o_timeout_dispose(ctx->loop, &ctx->zero_timeout);
	h2o_timeout_dispose(ctx->loop, &ctx->one_sec_timeout);
	h2o_timeout_dispose(ctx->loop, &ctx->hundred_ms_timeout);
	h2o_timeout_dispose(ctx->loop, &ctx->handshake_timeout);
	h2o_timeout_dispose(ctx->loop, &ctx->http1.req_timeout);
	h2o_timeout_dispose(ctx->loop, &ctx->http2.idle_timeout);
	h2o_timeout_dispose(ctx->loop, &ctx->http2.graceful_shutdown_timeout);
	h2o_timeout_dispose(ctx->loop, &ctx->proxy.io_timeout);
	h2o_filecache_destroy(ctx->filecache);
	h2o_multithread_unregister_receiver(ctx->queue, &ctx->receivers.hostinfo_getaddr);
	h2o_multithread_destroy_queue(ctx->queue);
	if (ctx->_timestamp_cache.value != NULL)
		h2o_mem_release_shared(ctx->_timestamp_cache.value);
	free(ctx->_pathconfs_inited.entries);
	free(ctx->_module_configs);
	free(ctx->storage.entries);
}

void
http_worker_idle(struct http_worker *w)
{
	if (w->n_conns == 0 && w->lingers.n == 0 && !w->closing) {
		uv_timer_stop(&w->tick);
		uv_check_stop(&w->check);
	}
	if (!w->closing || w->disposed || w->n_conns > 0 || w->n_reqs > 0 || w->lingers.n > 0)
		return;
	w->disposed = 1;
	http_ctx_dispose(&w->ctx);
	SSL_CTX_free(w->accept.ssl_ctx);
	uv_close((uv_handle_t *)&w->tick, http_worker_on_handle_closed);
	uv_close((uv_handle_t *)&w->check, http_worker_on_handle_closed);
}

static void
http_worker_on_lingers_empty(void *arg)
{
	http_worker_idle(arg);
}

/* So that the first connection starts the clocks, and an idle host sleeps. */
void
http_worker_busy(struct http_worker *w)
{
	if (uv_is_active((uv_handle_t *)&w->tick))
		return;
	AZ(uv_timer_start(&w->tick, http_conn_on_tick, HTTP_TICK_MS, HTTP_TICK_MS));
	if (w->listener->unix_path == NULL)
		AZ(uv_check_start(&w->check, http_conn_on_check));
}

static int
http_worker_listen(struct http_worker *w)
{
	int is_unix = w->listener->unix_path != NULL, rc;

	rc = is_unix ? uv_pipe_init(&w->loop->uv, &w->sock.pipe, 0)
		     : uv_tcp_init(&w->loop->uv, &w->sock.tcp);
	AZ(rc);
	w->sock.stream.data = w;
	w->listening = 1;
	w->n_handles++;
	rc = is_unix ? uv_pipe_open(&w->sock.pipe, w->fd) : uv_tcp_open(&w->sock.tcp, w->fd);
	if (rc != 0)
		return rc;
	w->fd = -1;
	return uv_listen(&w->sock.stream, SOCK_BACKLOG, http_conn_on_new);
}

/* The worker's share of the context; h2o takes one of its own for each connection. */
static void
http_worker_tls(struct ins_loop *loop, void *arg)
{
	struct http_worker *w = arg;

	SSL_CTX_free(w->accept.ssl_ctx);
	w->accept.ssl_ctx = tls_ssl_ctx(w->listener->tls);
	SSL_CTX_up_ref(w->accept.ssl_ctx);
}

static void
http_worker_start(struct ins_loop *loop, void *arg)
{
	struct http_worker *w = arg;
	struct http_listener *l = w->listener;
	int rc;

	list_init(&w->conns);
	list_init(&w->arriving);
	sock_lingers_init(&w->lingers, &loop->uv, http_worker_on_lingers_empty, w);
	AZ(uv_timer_init(&loop->uv, &w->tick));
	AZ(uv_check_init(&loop->uv, &w->check));
	w->tick.data = w->check.data = w;
	w->n_handles = 2;
	h2o_context_init(&w->ctx, &loop->uv, &l->conf);
	w->accept.ctx = &w->ctx;
	w->accept.hosts = l->conf.hosts;
	if (l->tls != NULL)
		http_worker_tls(loop, w);
	w->running = 1;
	pthread_mutex_lock(&l->lock);
	l->n_running++;
	pthread_mutex_unlock(&l->lock);
	rc = http_worker_listen(w);
	if (rc != 0)
		w->err = uv_strerror(rc);
}

static void
http_worker_stop_listening(struct http_worker *w)
{
	if (!w->listening)
		return;
	w->listening = 0;
	uv_close((uv_handle_t *)&w->sock, http_worker_on_handle_closed);
}

static void
http_worker_drain(struct ins_loop *loop, void *arg)
{
	struct http_worker *w = arg;

	if (w->draining || w->closing)
		return;
	w->draining = 1;
	http_worker_stop_listening(w);
	h2o_context_request_shutdown(&w->ctx);
	http_conn_on_tick(&w->tick);
}

static void
http_worker_close(struct ins_loop *loop, void *arg)
{
	struct http_worker *w = arg;
	struct list *i;

	w->closing = 1;
	http_worker_stop_listening(w);
	for (i = w->conns.next; i != &w->conns; i = i->next)
		http_conn_cut(CONTAINER_OF(i, struct http_conn, link), "closing");
	sock_lingers_close(&w->lingers);
	http_worker_idle(w);
}

static struct http_listener *
http_listener_new(const struct http_limits *limits, struct tls_conf *tls, unsigned n_workers,
    void (*entry)(struct http_req *), void *user)
{
	struct http_listener *l = base_alloc(sizeof(*l));
	h2o_pathconf_t *path;
	unsigned i;

	signal(SIGPIPE, SIG_IGN); /* libuv and OpenSSL write to sockets whose peer has left */
	http_conn_init();
	h2o_socket_buffer_mmap_settings.threshold = SIZE_MAX; /* no temporary files */
	l->magic = HTTP_LISTENER_MAGIC;
	l->limits = *limits;
	l->entry = entry;
	l->user = user;
	l->tls = tls;
	if (tls != NULL)
		tls_on_peer(tls, http_conn_on_peer);
	AZ(pthread_mutex_init(&l->lock, NULL));
	AZ(pthread_cond_init(&l->cond, NULL));
	h2o_config_init(&l->conf);
	l->conf.server_name = h2o_iovec_init(H2O_STRLIT(""));
	l->conf.max_request_entity_size = (size_t)limits->body_max;
	/* It covers the whole request and ends steady senders without a word: see
	 * http_tick_reading. */
	l->conf.http1.req_timeout = 24 * 3600 * 1000;
	l->conf.http2.idle_timeout = (uint64_t)limits->idle_ms;
	/* Above SETTINGS_MAX_CONCURRENT_STREAMS, which is 100: no queue inside h2o. */
	l->conf.http2.max_concurrent_requests_per_connection = 256;
	l->host = h2o_config_register_host(&l->conf, h2o_iovec_init(H2O_STRLIT("default")), 65535);
	path = &l->host->fallback_path;
	path->error_log.emit_request_errors = 0;
	h2o_create_handler(path, sizeof(h2o_handler_t))->on_req = http_on_request;
	h2o_create_filter(path, sizeof(h2o_filter_t))->on_setup_ostream = http_on_answer;
	l->n_workers = n_workers;
	l->workers = base_alloc(n_workers * sizeof(*l->workers));
	for (i = 0; i < n_workers; i++) {
		l->workers[i].listener = l;
		l->workers[i].loop = loop_get((int)i);
		l->workers[i].fd = -1;
	}
	return l;
}

static struct http_listener *
http_listener_start(struct http_listener *l, char err[256])
{
	const char *why = NULL;
	unsigned i;

	for (i = 0; i < l->n_workers && why == NULL; i++) {
		loop_call(l->workers[i].loop, http_worker_start, &l->workers[i]);
		why = l->workers[i].err;
	}
	if (why == NULL)
		return l;
	snprintf(err, 256, "cannot listen: %s", why);
	http_close(l);
	return NULL;
}

struct http_listener *
http_listen(const char *address, const struct http_limits *limits, struct tls_conf *tls,
    void (*entry)(struct http_req *), void *user, char err[256])
{
	struct http_listener *l;
	int fds[LOOP_MAX];
	unsigned i, n = loop_count(), port = 0;

	if (sock_listen_tcp(address, fds, n, &port, err) != 0)
		return NULL;
	l = http_listener_new(limits, tls, n, entry, user);
	l->port = port;
	for (i = 0; i < n; i++)
		l->workers[i].fd = fds[i];
	return http_listener_start(l, err);
}

struct http_listener *
http_listen_unix(const char *path, const struct http_limits *limits,
    void (*entry)(struct http_req *), void *user, char err[256])
{
	struct http_listener *l;
	int fd;

	if (sock_listen_unix(path, &fd, err) != 0)
		return NULL;
	l = http_listener_new(limits, NULL, 1, entry, user);
	l->unix_path = base_strdup(path);
	l->workers[0].fd = fd;
	return http_listener_start(l, err);
}

void
http_listener_tls(struct http_listener *l, struct tls_conf *tls)
{
	unsigned i;

	CHECK_OBJ(l, HTTP_LISTENER_MAGIC);
	AN(l->tls);
	tls_on_peer(tls, http_conn_on_peer);
	l->tls = tls;
	for (i = 0; i < l->n_workers; i++)
		loop_call(l->workers[i].loop, http_worker_tls, &l->workers[i]);
}

unsigned
http_listener_port(const struct http_listener *l)
{
	CHECK_OBJ(l, HTTP_LISTENER_MAGIC);
	return l->port;
}

void
http_drain(struct http_listener *l)
{
	unsigned i;

	CHECK_OBJ(l, HTTP_LISTENER_MAGIC);
	for (i = 0; i < l->n_workers; i++)
		loop_post(l->workers[i].loop, http_worker_drain, &l->workers[i]);
}

void
http_close(struct http_listener *l)
{
	unsigned i;

	CHECK_OBJ(l, HTTP_LISTENER_MAGIC);
	for (i = 0; i < l->n_workers; i++) {
		if (l->workers[i].running)
			loop_post(l->workers[i].loop, http_worker_close, &l->workers[i]);
		if (l->workers[i].fd >= 0)
			close(l->workers[i].fd);
	}
	pthread_mutex_lock(&l->lock);
	while (l->n_running > 0)
		pthread_cond_wait(&l->cond, &l->lock);
	pthread_mutex_unlock(&l->lock);
	if (l->unix_path != NULL)
		unlink(l->unix_path);
	h2o_config_dispose(&l->conf);
	pthread_cond_destroy(&l->cond);
	pthread_mutex_destroy(&l->lock);
	free(l->unix_path);
	free(l->workers);
	l->magic = 0;
	free(l);
}
