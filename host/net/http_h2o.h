/*
 * http_h2o.h: private to the four files that know libh2o 2.2.5: http_h2o.c (listeners),
 * http_h2o_conn.c (connections and their limits), http_h2o_req.c (requests), http_h2o_reply.c
 * (answers).
 *
 * Who owns whom. A listener has one worker per loop; a worker has an h2o context, the listening
 * socket and its connections. A connection counts itself once for its socket and once for each
 * request, and is freed with the last. A request counts itself for h2o and for the entry: h2o's
 * half ends in the hook of h2o's request pool, the entry's half in http_req_done().
 *
 * Of libh2o only the public headers are used: http2_internal.h includes a file that Debian does not
 * ship. What it would tell (bytes of half-received HTTP/2 bodies) comes from the kernel instead.
 */
#ifndef HOST_HTTP_H2O_H
#define HOST_HTTP_H2O_H

#include <h2o.h>
#include <poll.h>

#include "base/base.h"
#include "loop/timer.h"
#include "net/http.h"
#include "net/http_guard.h"
#include "net/sock.h"
#include "net/tls.h"

#define HTTP_TICK_MS 100 /* how often limits in time are looked at */
#define HTTP_SCAN_MS 10  /* how often, at most, HTTP/2 bodies in arrival are weighed */
#define HTTP_LISTENER_MAGIC 0x4874704cu
#define HTTP_CONN_MAGIC 0x48747043u

struct http_listener;

struct http_worker {
	h2o_context_t ctx;
	h2o_accept_ctx_t accept;
	struct http_listener *listener;
	struct ins_loop *loop;
	int fd; /* of the listening socket, until uv has it */
	union {
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	} sock;
	uv_timer_t tick;
	uv_check_t check;
	struct list conns;    /* struct http_conn.link */
	struct list arriving; /* struct http_conn.arriving, during a scan */
	struct pollfd *polls; /* scratch of the tick, n_polls of room */
	struct http_conn **polled;
	unsigned n_polls;
	struct sock_lingers lingers;
	unsigned n_conns; /* whose socket is not closed yet */
	unsigned n_reqs;  /* whose entry is not through */
	unsigned n_handles;
	unsigned scan; /* number of the current scan of HTTP/2 streams */
	int64_t scan_ms;
	int running, listening, draining, closing, disposed;
	const char *err;
};

struct http_listener {
	uint32_t magic;
	h2o_globalconf_t conf;
	h2o_hostconf_t *host;
	struct http_limits limits;
	struct tls_conf *tls; /* NULL: clear text; read while the workers start */
	void (*entry)(struct http_req *);
	void *user;
	unsigned port;
	char *unix_path; /* NULL: TCP */
	pthread_mutex_t lock;
	pthread_cond_t cond;
	unsigned n_running; /* workers, under lock */
	unsigned n_workers;
	struct http_worker *workers;
};

struct ws_conn;
struct http_conn {
	uint32_t magic;
	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	} h;
	struct http_worker *worker;
	h2o_socket_t *sock; /* NULL once h2o closed it */
	struct list link;
	struct list reqs;  /* struct http_impl.link */
	unsigned refs;     /* 1 for the socket, 1 for each of reqs */
	unsigned n_tasks;  /* requests whose entry is not through, left ones included */
	size_t body_bytes; /* of those */
	char remote[64];
	struct tls_peer *peer; /* NULL: the client showed no certificate */
	struct ws_conn *ws;    /* it left HTTP: ws_h2o.c reads and writes it */
	int cut;               /* shut down by us */
	int linger_fd;         /* a duplicate that survives h2o's close, -1 = none */
	/* what the tick saw last */
	int h1_seen, h1_busy;
	size_t h1_input;
	int64_t idle_since_ms; /* -1 = not idle */
	struct guard_rate rate;
	struct guard_stall stall;
	struct guard_window resets;
	/* HTTP/2 bodies in arrival */
	struct list arriving;
	unsigned scan, n_arriving;
	int weighing, rx_moved; /* rx_moved: a request was handed on since rx_base was taken */
	uint64_t rx_base, rx_taken;
};

struct http_impl {
	struct http_req pub; /* first */
	struct list link;    /* conn->reqs */
	struct http_conn *conn;
	unsigned refs;
	h2o_req_t *h2o; /* NULL once it is gone */
	h2o_generator_t gen;
	struct str out, fly; /* unsent; handed to h2o, which has not sent it yet */
	char chunk_head[24];
	int head_only, chunked,
	    unframed;        /* HEAD; HTTP/1.1 stream; HTTP/1.0 stream, ends by close */
	int started;         /* the status line is with h2o */
	int sending;         /* h2o has not yet asked for more */
	int ending;          /* HTTP_END, HTTP_CUT, or 0 */
	int final, complete; /* nothing more may be sent; and it was a proper end */
	int done;            /* by the entry */
	unsigned n_headers;
	struct ins_ctx *waiter; /* in http_write() */
	struct guard_stall stall;
	struct timer beat; /* http_heartbeat() */
	int64_t beat_ms, written_us;
	size_t beat_n;
	char beat_bytes[HTTP_HEARTBEAT_MAX];
};
enum { HTTP_END = 1, HTTP_CUT = 2 };

/* http_h2o.c */
void http_worker_busy(struct http_worker *);
void http_worker_idle(struct http_worker *); /* after a count went down */
int64_t http_worker_now(const struct http_worker *);

/* http_h2o_conn.c */
void http_conn_init(void);
void http_conn_on_new(uv_stream_t *, int status);
void http_conn_on_tick(uv_timer_t *);
void http_conn_on_check(uv_check_t *);
struct http_conn *http_conn_of(h2o_req_t *);
void http_conn_on_peer(void *sock, struct tls_peer *); /* a hook of tls.h */
/* Shuts the connection down, whatever it does. Its requests become gone, at once or when h2o has
 * noticed. */
void http_conn_cut(struct http_conn *, const char *why);
void http_conn_unref(struct http_conn *);

/* http_h2o_req.c */
int http_on_request(h2o_handler_t *, h2o_req_t *);
void http_on_answer(h2o_filter_t *, h2o_req_t *, h2o_ostream_t **);
struct http_impl *http_impl_of(struct http_req *);
void http_impl_unref(struct http_impl *);

/* http_h2o_reply.c */
void http_impl_on_proceed(h2o_generator_t *, h2o_req_t *);
/* Ends HTTP/1's answer in the middle, unless h2o is writing (then the write fails by itself). */
void http_impl_abort(struct http_impl *);

#endif
