/*
 * http.h: one request and its answer as the rest of the host sees them. h2o stays behind
 * http_h2o.c.
 *
 * An http_req is made when a request's head and body are complete and lives until its task ends;
 * h2o's own request may go earlier (client left), then gone is set and writes return
 * -INS_ECANCELED. Loop-affine.
 */
#ifndef HOST_HTTP_H
#define HOST_HTTP_H

#include <insula/insula.h>

#include "base/base.h"
#include "base/str.h"
#include "loop/task.h"

struct tls_conf; /* tls.h */
struct tls_peer;

/* What a listener enforces, from its first request on. One table: the named limits of the wire. */
struct http_limits {
	int64_t body_max; /* 4 MiB; 413 (HTTP/2: answered, or the stream is reset, as h2o can) */
	int64_t conn_bytes_max; /* 16 MiB of request bodies in memory per connection, then it is
				   closed */
	unsigned tasks_per_conn_max; /* 128 live tasks, cancelled ones included; 503 past it */
	unsigned resets_per_10s_max; /* 200 stream resets per connection, then it is closed (Rapid
					Reset) */
	unsigned conns_max;          /* 10,000 per loop */
	int64_t min_rate;       /* 1,024 bytes/s of a request after a grace of 5 s, else closed */
	int64_t idle_ms;        /* 60 s keep-alive */
	int64_t write_stall_ms; /* 30 s without progress of a streamed answer: closed */
	int64_t stream_buffer_max; /* 256 KiB unsent per request before ins_write waits */
};
extern const struct http_limits http_limits_default;

struct http_req {
	uint32_t magic; /* HTTP_REQ_MAGIC */
	struct ins_loop *loop;
	struct ins_ctx *task; /* NULL until the entry made one */
	const char *method;   /* NUL-terminated; all of these live as long as the http_req */
	const char *path;     /* raw, without query */
	const char *query;    /* raw, without '?'; "" when none */
	char remote[64];
	ins_str body;
	int http_major, http_minor; /* 1.0, 1.1 or 2.0 */
	int is_tls, gone, replied, streaming;
	int status; /* sent */
	int64_t start_us, bytes_sent;
	void *listener; /* as given to http_listen */
	void *impl;     /* http_h2o.c's */
};
#define HTTP_REQ_MAGIC 0x48545250u

/*
 * Starts listening. On each loop: SO_REUSEPORT sockets, so that the kernel spreads connections.
 * entry is called on the loop's stack for each complete request and must end in http_req_done(),
 * usually from the end of the task that it makes. host:port, "[::1]:0" picks a free port, reported
 * by http_listener_port(). NULL and err on failure.
 */
struct http_listener;
struct http_listener *http_listen(const char *address, const struct http_limits *,
    struct tls_conf *, void (*entry)(struct http_req *), void *user, char err[256]);
/* As above on a unix socket (mode 0600): the admin listener; served by loop 0 only. */
struct http_listener *http_listen_unix(const char *path, const struct http_limits *,
    void (*entry)(struct http_req *), void *user, char err[256]);
unsigned http_listener_port(const struct http_listener *);
/* Control thread: new connections of a TLS listener use this from when the call returns on; those
 * that are open go on as they are. The listener takes a share: the caller still frees its own. */
void http_listener_tls(struct http_listener *, struct tls_conf *);
/* Control thread. drain: no new connections, keep-alive ends with the current answer (HTTP/2:
 * GOAWAY), idle ones close. Returns at once; http_connections() tells when it is over. close: cuts
 * what is left and frees; waits. */
void http_drain(struct http_listener *);
unsigned http_connections(void);
void http_close(struct http_listener *);

/* Request header by lower-case name; {NULL,0} when absent. Valid while !gone. The entry copies what
 * it needs for longer. */
ins_str http_header(struct http_req *, const char *lower_name);
/* The client's verified certificate; NULL when it showed none. Lives as long as the http_req. */
const struct tls_peer *http_peer(const struct http_req *);
/* A header of the answer; the last value of a name wins. -INS_EINVAL for what is not a header
 * field, for what the host decides itself (content-length, transfer-encoding, connection, date),
 * past HTTP_HEADERS_MAX and after the answer began. */
#define HTTP_HEADERS_MAX 64
int http_set_header(struct http_req *, const char *name, const char *value);
int http_has_header(struct http_req *, const char *lower_name); /* of the answer */
/* Whole answer; bytes are copied. -INS_EINVAL if already replied, -INS_ECANCELED if gone. */
int http_reply(struct http_req *, int status, const char *ctype, const char *p, size_t n);
/* Error body in OpenAI's shape, with Retry-After on 429 and 503 (1 s unless http_set_header set
 * "retry-after" before), WWW-Authenticate on 401. */
int http_reply_error(
    struct http_req *, int code, const char *text, const char *hint, const char *field);
int http_stream(struct http_req *, int status, const char *ctype);
/* Sends these bytes (at most HTTP_HEARTBEAT_MAX, copied) whenever ms passed without a write and
 * nothing is unsent, until the stream ends. -INS_EINVAL unless a stream has begun. */
#define HTTP_HEARTBEAT_MAX 64u
int http_heartbeat(struct http_req *, int64_t ms, const char *p, size_t n);
/* Suspends ctx while more than stream_buffer_max is unsent. */
int http_write(struct http_req *, struct ins_ctx *, const char *p, size_t n);
void http_stream_end(
    struct http_req *, int cut); /* cut: end without a proper end (HTTP/1: close, HTTP/2: RST) */
/* The entry is through with it. Answers 500 if nobody replied. Frees. */
void http_req_done(struct http_req *);

const char *http_reason(int status);
int http_header_valid(const char *name, const char *value);
/* {"error":{"message":text hint,"type":...,"param":field,"code":...}} */
void http_error_body(
    struct str *ret, int code, const char *text, const char *hint, const char *field);

/* Percent-decoding into the arena; NULL if malformed or holding NUL. plus: '+' is a space
 * (queries). */
char *http_decode(struct arena *, const char *p, size_t n, int plus);

#endif
