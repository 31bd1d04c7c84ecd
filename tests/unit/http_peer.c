/* http_peer.c: see http_peer.h. */
#include "tests/unit/http_peer.h"
#include "loop/loop.h"
#include "loop/task.h"
#include "net/http_h2o.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

atomic_int peer_live, peer_most, peer_cancelled, peer_entered;
atomic_long peer_written;

static int n_fds, parked;

static int
count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static int
stream(struct ins_ctx *ctx, struct http_req *req, long n, int cut)
{
	char piece[1000];
	long take;
	int rc;

	memset(piece, 'x', sizeof(piece));
	rc = http_stream(req, 200, "text/plain");
	while (rc == 0 && n > 0) {
		take = n < (long)sizeof(piece) ? n : (long)sizeof(piece);
		rc = http_write(req, ctx, piece, (size_t)take);
		n -= take;
		if (rc == 0)
			atomic_fetch_add(&peer_written, take);
	}
	http_stream_end(req, cut);
	return rc;
}

static int
set_headers(struct http_req *req)
{
	static const struct {
		const char *name, *value;
		int rc;
	} h[] = {
		{ "X-One", "1", 0 },
		{ "x-one", "2", 0 },
		{ "x-two", "a\r\nx-bad: 1", -INS_EINVAL },
		{ "x bad", "1", -INS_EINVAL },
		{ "x-bad:", "1", -INS_EINVAL },
		{ "", "1", -INS_EINVAL },
		{ "Content-Length", "1", -INS_EINVAL },
		{ "transfer-encoding", "chunked", -INS_EINVAL },
		{ "connection", "close", -INS_EINVAL },
	};
	char name[16];
	size_t i;
	int n = 1;

	for (i = 0; i < NELEM(h); i++)
		if (http_set_header(req, h[i].name, h[i].value) != h[i].rc)
			return http_reply(req, 200, "text/plain", h[i].name, strlen(h[i].name));
	for (i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "x-%zu", i);
		n += http_set_header(req, name, "v") == 0;
	}
	return http_reply(req, n == HTTP_HEADERS_MAX ? 204 : 200, NULL, "many", 4);
}

static int
run(struct ins_ctx *ctx, void *arg)
{
	struct http_req *req = arg;
	long n = atol(req->query);
	char text[512];
	ins_str h;
	int rc = 0;

	if (strcmp(req->path, "/echo") == 0) {
		rc = http_reply(req, 200, "text/plain", req->body.p, req->body.n);
	} else if (strcmp(req->path, "/who") == 0) {
		snprintf(text, sizeof(text), "%s %s [%s] from %s by HTTP/%d", req->method,
		    req->path, req->query, req->remote, req->http_major);
		rc = http_reply(req, 200, "text/plain", text, strlen(text));
	} else if (strcmp(req->path, "/header") == 0) {
		h = http_header(req, req->query);
		rc = http_reply(req, h.p == NULL ? 404 : 200, "text/plain", h.p, h.n);
	} else if (strcmp(req->path, "/wait") == 0) {
		rc = task_sleep(ctx, 3600 * 1000);
	} else if (strcmp(req->path, "/slow") == 0) {
		rc = task_sleep(ctx, n);
		if (rc == 0)
			rc = http_reply(req, 200, "text/plain", "slow", 4);
	} else if (strcmp(req->path, "/stream") == 0) {
		rc = stream(ctx, req, n, 0);
	} else if (strcmp(req->path, "/cut") == 0) {
		rc = stream(ctx, req, n, 1);
	} else if (strcmp(req->path, "/first") == 0) {
		http_stream(req, 200, "text/event-stream");
		http_write(req, ctx, "first", 5);
		rc = task_sleep(ctx, 3600 * 1000);
	} else if (strcmp(req->path, "/beat") == 0) {
		http_stream(req, 200, "text/event-stream");
		rc = http_heartbeat(req, n, ": ping\n\n", 8);
		if (rc == 0)
			rc = task_sleep(ctx, 3600 * 1000);
	} else if (strcmp(req->path, "/set") == 0) {
		rc = set_headers(req);
	} else if (strcmp(req->path, "/twice") == 0) {
		rc = http_reply(req, 200, "text/plain", "first", 5);
		if (rc == 0 && http_reply(req, 200, "text/plain", "second", 6) != -INS_EINVAL)
			rc = -INS_EINTERNAL;
	} else if (strcmp(req->path, "/error") == 0) {
		rc = http_reply_error(req, (int)n, "It \"failed\".", "Try again.", "a.b");
	} else if (strcmp(req->path, "/mute") != 0) {
		rc = http_reply(req, 404, "text/plain", "?", 1);
	}
	if (rc == -INS_ECANCELED)
		atomic_fetch_add(&peer_cancelled, 1);
	return rc;
}

static void
setup(struct ins_ctx *ctx, void *arg)
{
	struct http_req *req = arg;

	ctx->http = req;
	req->task = ctx;
}

static void
on_end(struct ins_ctx *ctx, int result)
{
	http_req_done(ctx->http);
	atomic_fetch_sub(&peer_live, 1);
}

static void
entry(struct http_req *req)
{
	int live = atomic_fetch_add(&peer_live, 1) + 1, most = atomic_load(&peer_most);

	while (live > most && !atomic_compare_exchange_weak(&peer_most, &most, live))
		;
	atomic_fetch_add(&peer_entered, 1);
	if (task_new("test", run, req, setup, on_end) == NULL) {
		http_reply_error(req, INS_EUNAVAILABLE, "no task", NULL, NULL);
		http_req_done(req);
		atomic_fetch_sub(&peer_live, 1);
	}
}

void
peer_start(struct peer *p, const struct http_limits *limits, unsigned loops)
{
	char err[256] = "";

	loop_init(loops);
	loop_start();
	/* Once before counting: libuv keeps one descriptor per loop that ever listened. */
	p->listener = http_listen("127.0.0.1:0", limits, NULL, entry, p, err);
	ck_assert_msg(p->listener != NULL, "%s", err);
	http_close(p->listener);
	n_fds = count_fds();
	p->listener = http_listen("127.0.0.1:0", limits, NULL, entry, p, err);
	ck_assert_msg(p->listener != NULL, "%s", err);
	p->port = http_listener_port(p->listener);
	ck_assert_uint_gt(p->port, 0);
}

void
peer_stop(struct peer *p)
{
	if (p->listener != NULL)
		http_close(p->listener);
	ck_assert_int_eq(peer_live, 0);
	ck_assert_uint_eq(http_connections(), 0);
	ck_assert_int_eq(count_fds(), n_fds);
	loop_stop_all();
}

void
peer_await(atomic_int *v, int value)
{
	int i;

	for (i = 0; i < 20000 && atomic_load(v) != value; i++)
		poll(NULL, 0, 1);
	ck_assert_int_eq(atomic_load(v), value);
}

static void
look_parked(struct ins_loop *loop, void *arg)
{
	const struct peer *p = arg;
	const struct http_worker *w = &p->listener->workers[0];
	const struct http_conn *c;
	const struct http_impl *r;

	if (list_empty(&w->conns))
		return;
	c = LIST_FIRST(&w->conns, struct http_conn, link);
	if (list_empty(&c->reqs))
		return;
	r = LIST_FIRST(&c->reqs, struct http_impl, link);
	parked = r->waiter != NULL && uv_stream_get_write_queue_size(&c->h.stream) > 0;
}

void
peer_parked(const struct peer *p)
{
	int i;

	parked = 0;
	for (i = 0; i < 20000 && !parked; i++) {
		loop_call(loop_get(0), look_parked, (void *)(uintptr_t)p);
		poll(NULL, 0, 1);
	}
	ck_assert_int_eq(parked, 1);
}

void
peer_drop(int fd, size_t n)
{
	char buf[8192];
	ssize_t k;

	for (; n > 0; n -= (size_t)k < n ? (size_t)k : n) {
		k = recv(fd, buf, sizeof(buf), 0);
		ck_assert_int_gt(k, 0);
	}
}

int
peer_connect(const struct peer *p)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons((uint16_t)p->port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval limit = { 20, 0 };

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	return fd;
}

void
peer_send(int fd, const void *p, size_t n)
{
	const char *q = p;
	ssize_t k;

	while (n > 0) {
		k = send(fd, q, n, MSG_NOSIGNAL);
		ck_assert_int_gt(k, 0);
		q += k;
		n -= (size_t)k;
	}
}

void
peer_sendz(int fd, const char *z)
{
	peer_send(fd, z, strlen(z));
}

const char *
peer_read(int fd, const char *until, int *ret_end)
{
	static char buf[(1 << 20) + 1];
	size_t n = 0;
	ssize_t k = 0;
	int end = 0;

	buf[0] = '\0';
	while (until == NULL || strstr(buf, until) == NULL) {
		ck_assert_uint_lt(n, sizeof(buf) - 1);
		k = recv(fd, buf + n, sizeof(buf) - 1 - n, 0);
		if (k <= 0) {
			ck_assert_msg(k == 0 || errno == ECONNRESET,
			    "waited for \"%s\", got \"%s\"", until == NULL ? "the end" : until,
			    buf);
			end = k == 0 ? 1 : -1;
			break;
		}
		n += (size_t)k;
		buf[n] = '\0';
	}
	if (ret_end != NULL)
		*ret_end = end;
	else
		ck_assert_msg(until == NULL || end == 0, "connection ended before \"%s\": \"%s\"",
		    until, buf);
	return buf;
}

const char *
peer_ask(const struct peer *p, const char *request)
{
	int fd = peer_connect(p);
	const char *ret;

	peer_sendz(fd, request);
	ret = peer_read(fd, NULL, NULL);
	close(fd);
	return ret;
}

static int
unix_socket(const char *path, struct sockaddr_un *sun)
{
	memset(sun, 0, sizeof(*sun));
	sun->sun_family = AF_UNIX;
	strcpy(sun->sun_path, path);
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

const char *
peer_ask_unix(const char *path, const char *request)
{
	struct sockaddr_un sun;
	int fd = unix_socket(path, &sun);
	const char *ret;

	ck_assert_int_eq(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	peer_sendz(fd, request);
	ret = peer_read(fd, NULL, NULL);
	close(fd);
	return ret;
}

void
peer_leave_socket(const char *path)
{
	struct sockaddr_un sun;
	int fd = unix_socket(path, &sun);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	close(fd);
}

int
peer_h2(const struct peer *p, const char *settings, size_t n)
{
	int fd = peer_connect(p);

	peer_sendz(fd, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
	peer_frame(fd, H2_SETTINGS, 0, 0, settings, n);
	return fd;
}

void
peer_frame(int fd, int type, int flags, unsigned stream, const void *p, size_t n)
{
	unsigned char head[9] = { (unsigned char)(n >> 16), (unsigned char)(n >> 8),
		(unsigned char)n, (unsigned char)type, (unsigned char)flags,
		(unsigned char)(stream >> 24), (unsigned char)(stream >> 16),
		(unsigned char)(stream >> 8), (unsigned char)stream };

	peer_send(fd, head, sizeof(head));
	peer_send(fd, p, n);
}

/* HPACK without compression: RFC 7541 static indexes 2 (GET), 3 (POST), 6 (http) and literals. */
void
peer_h2_request(int fd, unsigned stream, const char *method, const char *path, int more)
{
	unsigned char b[300];
	size_t n = 0, len = strlen(path);

	ck_assert_uint_lt(len, 127);
	b[n++] = strcmp(method, "POST") == 0 ? 0x83 : 0x82;
	b[n++] = 0x86;
	b[n++] = 0x04; /* :path, literal without indexing */
	b[n++] = (unsigned char)len;
	memcpy(b + n, path, len);
	n += len;
	peer_frame(fd, H2_HEADERS, 0x4 | (more ? 0 : 0x1), stream, b, n);
}

static int
read_all(int fd, void *p, size_t n)
{
	char *q = p;
	ssize_t k;

	while (n > 0) {
		k = recv(fd, q, n, 0);
		ck_assert_msg(k >= 0 || errno == ECONNRESET, "no frame within 20 s");
		if (k <= 0)
			return -1;
		q += k;
		n -= (size_t)k;
	}
	return 0;
}

int
peer_next(int fd, int type, struct peer_frame *f)
{
	unsigned char h[9];
	size_t over;

	for (;;) {
		if (read_all(fd, h, sizeof(h)) != 0)
			return -1;
		f->n = (size_t)h[0] << 16 | (size_t)h[1] << 8 | h[2];
		f->type = h[3];
		f->flags = h[4];
		f->stream = (unsigned)h[5] << 24 | (unsigned)h[6] << 16 | (unsigned)h[7] << 8 |
		    h[8];
		over = f->n > sizeof(f->p) ? f->n - sizeof(f->p) : 0;
		if (read_all(fd, f->p, f->n - over) != 0)
			return -1;
		for (; over > 0; over--)
			if (read_all(fd, h, 1) != 0)
				return -1;
		if (f->type == H2_SETTINGS && (f->flags & 1) == 0)
			(void)!send(
			    fd, "\0\0\0\4\1\0\0\0\0", 9, MSG_NOSIGNAL); /* if it still listens */
		if (type == -1 || f->type == type)
			return 0;
	}
}
