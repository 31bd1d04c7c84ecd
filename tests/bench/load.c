/*
 * load: an open-loop generator of HTTP/1.1 requests, to 127.0.0.1 alone.
 *
 * Requests are due by a schedule that knows nothing of the answers, and a latency counts from when
 * its request was due: a server that stalls is charged for all that would have come meanwhile. A
 * request that is due while every connection is busy waits for the first that is free, which is
 * part of its latency. With --rate 0 the loop is closed: each connection sends when it has its
 * answer.
 *
 * One thread; epoll; keep-alive. Of a streamed answer (text/event-stream) also the time to the
 * first event and between pieces. Counts and times have limits, below.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/hist.h"

#define CONNECTIONS_MAX 2048u
#define SECONDS_MAX 600.0
#define RATE_MAX 200000.0
#define ITEMS_MAX 1000u
#define HEADERS_MAX 16
#define HEAD_BYTES 16384u
#define BODY_KEEP 65536u /* of an answer, to look for --expect */
#define REQUEST_MAX (4u << 20)
#define DRAIN_NS UINT64_C(20000000000)

static const char usage[] =
    "usage: load [options] PORT PATH\n"
    "\n"
    "Sends requests to http://127.0.0.1:PORT/PATH and prints how long the answers took.\n"
    "\n"
    "  --rate N          requests a second, due by the clock; 0 (default): each connection sends "
    "when\n"
    "                    it has its answer\n"
    "  --poisson         arrivals are random (exponential gaps) instead of even\n"
    "  --seconds N       how long requests are sent (default 5, at most 600)\n"
    "  --count N         stop after N requests\n"
    "  --connections N   default 64, at most 2048\n"
    "  --method M        default GET, or POST with a body\n"
    "  --header 'N: V'   may be repeated\n"
    "  --body TEXT       in which {n} is the request's number, {k} its last three digits\n"
    "  --item TEXT       the body is a JSON list of --items N such texts; {n} counts them all\n"
    "  --items N         default 1, at most 1000\n"
    "  --expect TEXT     an answer without it is an error\n"
    "  --warm N          the first N answers are not counted in the times\n"
    "  --name TEXT       begins the line\n"
    "  --brief           one line: answers a second, p50 and p99 in milliseconds\n";

enum { IDLE, SENDING, HEAD, BODY, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER };

struct conn {
	int fd, state, status, sse, keep;
	uint64_t due, last; /* of the request; of the last piece */
	unsigned pieces;
	char *out;
	size_t out_n, out_at;
	char head[HEAD_BYTES];
	size_t head_n;
	uint64_t left; /* of the body or chunk */
	char size[20];
	size_t size_n;
	char *body;
	size_t body_n;
};

static struct {
	int port, poisson, brief;
	const char *path, *method, *body, *item, *expect, *name;
	const char *headers[HEADERS_MAX];
	int n_headers;
	double rate, seconds;
	uint64_t count, warm;
	unsigned connections, items;
} opt = { .seconds = 5, .connections = 64, .items = 1, .name = "load" };

static struct conn *conns;
static unsigned *idle, n_idle;
static int ep;
static uint64_t begun, sent, answered, ok, bad_status, bad_body, broken, item_no, last_answer;
static struct hist total, first, gap;

static uint64_t
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void
die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---------------------------------------------------------------- requests */

/* Appends text with its {n} and {k} replaced. */
static size_t
expand(char *out, size_t at, const char *z, uint64_t n)
{
	while (*z != '\0' && at < REQUEST_MAX - 32) {
		if (strncmp(z, "{n}", 3) == 0) {
			at += (size_t)sprintf(out + at, "%llu", (unsigned long long)n);
			z += 3;
		} else if (strncmp(z, "{k}", 3) == 0) {
			at += (size_t)sprintf(out + at, "%u", (unsigned)(n % 1000));
			z += 3;
		} else {
			out[at++] = *z++;
		}
	}
	return at;
}

static void
make_request(struct conn *c)
{
	static char *body;
	size_t n = 0, at;
	unsigned i;
	int h;

	if (body == NULL && (body = malloc(REQUEST_MAX)) == NULL)
		die("malloc");
	if (opt.item != NULL) {
		body[n++] = '[';
		for (i = 0; i < opt.items; i++) {
			if (i > 0)
				body[n++] = ',';
			n = expand(body, n, opt.item, item_no++);
		}
		body[n++] = ']';
	} else if (opt.body != NULL) {
		n = expand(body, n, opt.body, sent);
	}
	c->out = realloc(c->out, n + HEAD_BYTES);
	if (c->out == NULL)
		die("malloc");
	at = (size_t)snprintf(
	    c->out, HEAD_BYTES, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\n", opt.method, opt.path);
	for (h = 0; h < opt.n_headers; h++)
		at += (size_t)snprintf(c->out + at, HEAD_BYTES - at, "%s\r\n", opt.headers[h]);
	if (opt.item != NULL || opt.body != NULL)
		at += (size_t)snprintf(c->out + at, HEAD_BYTES - at,
		    "Content-Type: application/json\r\nContent-Length: %zu\r\n", n);
	at += (size_t)snprintf(c->out + at, HEAD_BYTES - at, "\r\n");
	memcpy(c->out + at, body, n);
	c->out_n = at + n;
	c->out_at = 0;
}

static void
watch(struct conn *c, int op, unsigned events)
{
	struct epoll_event ev = { .events = events, .data.ptr = c };

	if (epoll_ctl(ep, op, c->fd, &ev) != 0)
		die("epoll_ctl");
}

static void
open_conn(struct conn *c)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)opt.port) };
	int one = 1;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&a, sizeof a) != 0)
		die("connect");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	fcntl(c->fd, F_SETFL, O_NONBLOCK);
	watch(c, EPOLL_CTL_ADD, EPOLLIN);
	c->state = IDLE;
	idle[n_idle++] = (unsigned)(c - conns);
}

static void
reopen(struct conn *c)
{
	if (c->state != IDLE)
		broken++;
	else {
		unsigned i;

		for (i = 0; i < n_idle; i++)
			if (idle[i] == (unsigned)(c - conns))
				idle[i--] = idle[--n_idle];
	}
	close(c->fd);
	open_conn(c);
}

static void
flush(struct conn *c)
{
	ssize_t n;

	while (c->out_at < c->out_n) {
		n = send(c->fd, c->out + c->out_at, c->out_n - c->out_at, MSG_NOSIGNAL);
		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
			return;
		}
		if (n < 0) {
			reopen(c);
			return;
		}
		c->out_at += (size_t)n;
	}
	if (c->state == SENDING) {
		c->state = HEAD;
		watch(c, EPOLL_CTL_MOD, EPOLLIN);
	}
}

static void
begin(uint64_t due)
{
	struct conn *c = &conns[idle[--n_idle]];

	c->due = due;
	c->state = SENDING;
	c->head_n = c->body_n = c->size_n = 0;
	c->pieces = 0;
	make_request(c);
	sent++;
	flush(c);
}

/* ---------------------------------------------------------------- answers */

static void
done(struct conn *c)
{
	uint64_t t = now();

	answered++;
	last_answer = t;
	c->body[c->body_n < BODY_KEEP ? c->body_n : BODY_KEEP] = '\0';
	if (c->status < 200 || c->status > 299)
		bad_status++;
	else if (opt.expect != NULL && strstr(c->body, opt.expect) == NULL)
		bad_body++;
	else {
		ok++;
		if (answered > opt.warm)
			hist_add(&total, t - c->due);
	}
	c->state = IDLE;
	if (!c->keep) {
		close(c->fd);
		open_conn(c);
	} else {
		idle[n_idle++] = (unsigned)(c - conns);
	}
}

/* Case-insensitively, the value of a header in the head; NULL. */
static const char *
header(const struct conn *c, const char *name)
{
	size_t n = strlen(name);
	const char *p = c->head;

	while ((p = strstr(p, "\r\n")) != NULL) {
		p += 2;
		if (strncasecmp(p, name, n) == 0 && p[n] == ':')
			return p + n + 1 + strspn(p + n + 1, " ");
	}
	return NULL;
}

static void
head_done(struct conn *c)
{
	const char *v;

	c->status = atoi(c->head + 9);
	v = header(c, "connection");
	c->keep = v == NULL || strncasecmp(v, "close", 5) != 0;
	v = header(c, "content-type");
	c->sse = v != NULL && strncasecmp(v, "text/event-stream", 17) == 0;
	v = header(c, "transfer-encoding");
	if (v != NULL && strncasecmp(v, "chunked", 7) == 0) {
		c->state = CHUNK_SIZE;
		return;
	}
	v = header(c, "content-length");
	c->left = v == NULL ? 0 : strtoull(v, NULL, 10);
	c->state = BODY;
	if (c->left == 0)
		done(c);
}

static void
piece(struct conn *c)
{
	uint64_t t = now();

	if (!c->sse || answered < opt.warm)
		return;
	if (c->pieces++ == 0)
		hist_add(&first, t - c->due);
	else
		hist_add(&gap, t - c->last);
	c->last = t;
}

static void
keep(struct conn *c, const char *p, size_t n)
{
	size_t room = c->body_n < BODY_KEEP ? BODY_KEEP - c->body_n : 0;

	memcpy(c->body + c->body_n, p, n < room ? n : room);
	c->body_n += n < room ? n : room;
}

/* Takes what it can of p; returns how much, 0 when the answer is over. */
static size_t
feed(struct conn *c, const char *p, size_t n)
{
	size_t k;

	switch (c->state) {
	case HEAD:
		if (c->head_n >= HEAD_BYTES - 1)
			return n;
		c->head[c->head_n++] = *p;
		c->head[c->head_n] = '\0';
		if (c->head_n >= 4 && memcmp(c->head + c->head_n - 4, "\r\n\r\n", 4) == 0)
			head_done(c);
		return 1;
	case BODY:
	case CHUNK_DATA:
		k = n < c->left ? n : (size_t)c->left;
		keep(c, p, k);
		c->left -= k;
		if (c->left == 0 && c->state == BODY)
			done(c);
		else if (c->left == 0) {
			piece(c);
			c->state = CHUNK_END;
		}
		return k;
	case CHUNK_SIZE:
		if (*p == '\n') {
			c->size[c->size_n] = '\0';
			c->left = strtoull(c->size, NULL, 16);
			c->state = c->left == 0 ? TRAILER : CHUNK_DATA;
			c->size_n = 0;
		} else if (c->size_n < sizeof c->size - 1) {
			c->size[c->size_n++] = *p;
		}
		return 1;
	case CHUNK_END:
		if (*p == '\n')
			c->state = CHUNK_SIZE;
		return 1;
	case TRAILER:
		if (*p == '\n' && c->size_n == 0)
			done(c);
		else if (*p == '\n')
			c->size_n = 0;
		else if (*p != '\r')
			c->size_n = 1;
		return 1;
	default: return n; /* more than was asked for */
	}
}

static void
readable(struct conn *c)
{
	static char buf[65536];
	ssize_t n = recv(c->fd, buf, sizeof buf, 0);
	size_t at = 0;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		reopen(c);
		return;
	}
	while (at < (size_t)n)
		at += feed(c, buf + at, (size_t)n - at);
}

/* ---------------------------------------------------------------- the loop */

static double
uniform(void)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return ((double)(x >> 11) + 1) / 9007199254740993.0;
}

/* -ln(u), u in (0, 1]: by halving and a series, so that no maths library is needed. */
static double
minus_log(double u)
{
	double k = 0, y, y2;

	while (u < 0.5) {
		u *= 2;
		k++;
	}
	y = (1 - u) / (1 + u);
	y2 = y * y;
	return 0.6931471805599453 * k +
	    2 * y * (1 + y2 * (1.0 / 3 + y2 * (1.0 / 5 + y2 * (1.0 / 7 + y2 / 9))));
}

static void
wait_for(uint64_t ns)
{
	struct epoll_event ev[256];
	struct timespec t = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };
	int i, n = epoll_pwait2(ep, ev, 256, &t, NULL);

	if (n < 0 && errno != EINTR)
		die("epoll_wait");
	for (i = 0; i < n; i++) {
		struct conn *c = ev[i].data.ptr;

		if (ev[i].events & EPOLLOUT)
			flush(c);
		if (ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
			readable(c);
	}
}

static void
run(void)
{
	uint64_t end, t, due;
	double next = 0;

	begun = now();
	end = begun + (uint64_t)(opt.seconds * 1e9);
	for (;;) {
		t = now();
		if (t >= end || (opt.count > 0 && sent >= opt.count))
			break;
		if (opt.rate <= 0) {
			while (n_idle > 0 && (opt.count == 0 || sent < opt.count))
				begin(now());
			wait_for(end - t);
			continue;
		}
		due = begun + (uint64_t)(next * 1e9);
		if (due <= t && n_idle > 0) {
			begin(due);
			next += (opt.poisson ? minus_log(uniform()) : 1) / opt.rate;
			continue;
		}
		wait_for(due > t ? due - t : end - t);
	}
	/* what is under way */
	end = now() + DRAIN_NS;
	while (n_idle < opt.connections && (t = now()) < end)
		wait_for(end - t);
}

static double
ms(const struct hist *h, double share)
{
	return (double)hist_at(h, share) / 1e6;
}

static void
report(void)
{
	double s = (double)(last_answer > begun ? last_answer - begun : 1) / 1e9;
	uint64_t under_way = opt.connections - n_idle;

	if (opt.brief) {
		printf("%.1f %.3f %.3f %llu\n", (double)ok / s, ms(&total, 0.5), ms(&total, 0.99),
		    (unsigned long long)(bad_status + bad_body + broken + under_way));
		return;
	}
	printf("%s: %llu sent, %llu good in %.2f s: %.0f/s; ms p50 %.3f p90 %.3f p99 %.3f p99.9 "
	       "%.3f max %.3f\n",
	    opt.name, (unsigned long long)sent, (unsigned long long)ok, s, (double)ok / s,
	    ms(&total, 0.5), ms(&total, 0.9), ms(&total, 0.99), ms(&total, 0.999), ms(&total, 1));
	if (first.n > 0)
		printf("%s: first event, ms: p50 %.3f p99 %.3f max %.3f; between pieces: p50 %.3f "
		       "p99 %.3f max %.3f (%llu)\n",
		    opt.name, ms(&first, 0.5), ms(&first, 0.99), ms(&first, 1), ms(&gap, 0.5),
		    ms(&gap, 0.99), ms(&gap, 1), (unsigned long long)gap.n);
	if (bad_status + bad_body + broken + under_way > 0)
		printf("%s: %llu with another status than 2xx, %llu without what was expected, "
		       "%llu cut, %llu never answered\n",
		    opt.name, (unsigned long long)bad_status, (unsigned long long)bad_body,
		    (unsigned long long)broken, (unsigned long long)under_way);
	if (opt.rate > 0 && (double)sent < 0.99 * opt.rate * opt.seconds && opt.count == 0)
		printf("%s: only %.0f requests a second could be sent: the connections were all "
		       "busy\n",
		    opt.name, (double)sent / opt.seconds);
}

static double
number(const char *z, double max, const char *what)
{
	char *end;
	double v = strtod(z, &end);

	if (*z == '\0' || *end != '\0' || v < 0 || v > max) {
		fprintf(stderr, "load: --%s takes 0 .. %.0f\n", what, max);
		exit(2);
	}
	return v;
}

static void
parse(int argc, char **argv)
{
	static const struct option options[] = { { "rate", 1, NULL, 'r' },
		{ "poisson", 0, NULL, 'p' }, { "seconds", 1, NULL, 's' }, { "count", 1, NULL, 'n' },
		{ "connections", 1, NULL, 'c' }, { "method", 1, NULL, 'm' },
		{ "header", 1, NULL, 'H' }, { "body", 1, NULL, 'b' }, { "item", 1, NULL, 'i' },
		{ "items", 1, NULL, 'I' }, { "expect", 1, NULL, 'e' }, { "warm", 1, NULL, 'w' },
		{ "name", 1, NULL, 'N' }, { "brief", 0, NULL, 'B' }, { "help", 0, NULL, 'h' },
		{ NULL, 0, NULL, 0 } };
	int o;

	while ((o = getopt_long(argc, argv, "h", options, NULL)) != -1)
		switch (o) {
		case 'r': opt.rate = number(optarg, RATE_MAX, "rate"); break;
		case 'p': opt.poisson = 1; break;
		case 's': opt.seconds = number(optarg, SECONDS_MAX, "seconds"); break;
		case 'n': opt.count = (uint64_t)number(optarg, 1e8, "count"); break;
		case 'c':
			opt.connections = (unsigned)number(optarg, CONNECTIONS_MAX, "connections");
			break;
		case 'm': opt.method = optarg; break;
		case 'H':
			if (opt.n_headers == HEADERS_MAX || strlen(optarg) > 1000) {
				fprintf(stderr, "load: too many headers, or too long\n");
				exit(2);
			}
			opt.headers[opt.n_headers++] = optarg;
			break;
		case 'b': opt.body = optarg; break;
		case 'i': opt.item = optarg; break;
		case 'I': opt.items = (unsigned)number(optarg, ITEMS_MAX, "items"); break;
		case 'e': opt.expect = optarg; break;
		case 'w': opt.warm = (uint64_t)number(optarg, 1e8, "warm"); break;
		case 'N': opt.name = optarg; break;
		case 'B': opt.brief = 1; break;
		default: fputs(usage, o == 'h' ? stdout : stderr); exit(o == 'h' ? 0 : 2);
		}
	if (argc - optind != 2 || opt.connections == 0 || strlen(argv[optind + 1]) > 4096) {
		fputs(usage, stderr);
		exit(2);
	}
	opt.port = (int)number(argv[optind], 65535, "port");
	opt.path = argv[optind + 1];
	if (opt.method == NULL)
		opt.method = opt.body != NULL || opt.item != NULL ? "POST" : "GET";
}

int
main(int argc, char **argv)
{
	unsigned i;

	parse(argc, argv);
	conns = calloc(opt.connections, sizeof *conns);
	idle = calloc(opt.connections, sizeof *idle);
	ep = epoll_create1(EPOLL_CLOEXEC);
	if (conns == NULL || idle == NULL || ep < 0)
		die("start");
	/* Items of two runs of this program shall differ. */
	item_no = (uint64_t)time(NULL) * 100000000u;
	for (i = 0; i < opt.connections; i++) {
		conns[i].body = malloc(BODY_KEEP + 1);
		if (conns[i].body == NULL)
			die("malloc");
		open_conn(&conns[i]);
	}
	run();
	report();
	for (i = 0; i < opt.connections; i++) {
		close(conns[i].fd);
		free(conns[i].out);
		free(conns[i].body);
	}
	free(conns);
	free(idle);
	return ok == 0;
}
