/*
 * mock: an upstream for load tests, of OpenAI's shape, on 127.0.0.1 alone.
 *
 * Answers every POST at once with the same completion, or, when the request says "stream": true,
 * with that completion in --chunks pieces, --delay ms apart, the usage, and [DONE]. It looks at
 * nothing else of a request: what tests check is tests/lib/upstream's. One thread, libuv. It prints
 * its port, and ends after --seconds or when its standard input does.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <uv.h>

#define REQUEST_MAX (4u << 20)
#define CONNS_MAX 4096
#define CHUNKS_MAX 10000

static const char usage[] =
    "usage: mock [--port N] [--chunks N] [--delay MS] [--seconds N]\n"
    "\n"
    "An upstream of OpenAI's shape on 127.0.0.1 for load tests. Prints its port.\n"
    "\n"
    "  --port N      default 0: a free one\n"
    "  --chunks N    pieces of a streamed answer (default 20, at most 10000)\n"
    "  --delay MS    between two pieces (default 0)\n"
    "  --seconds N   ends then (default 600, at most 3600), or when standard input ends\n";

static int port, chunks = 20, delay, seconds = 600, n_conns;
static uv_loop_t *loop;

struct conn {
	uv_tcp_t tcp; /* first */
	uv_timer_t timer;
	char *in;
	size_t n, cap;
	int left; /* pieces to send */
	int closing, handles;
};

static const char whole[] =
    "{\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"mock\","
    "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"A fixed answer of "
    "some length, for load.\"},"
    "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":20,\"total_"
    "tokens\":32}}";
static const char stream_head[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
static const char piece[] =
    "data: "
    "{\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":"
    "\"mock\","
    "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"piece \"},\"finish_reason\":null}]}\n\n";
static const char stop[] =
    "data: "
    "{\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":"
    "\"mock\","
    "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
    "data: "
    "{\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":"
    "\"mock\","
    "\"choices\":[],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":20,\"total_tokens\":32}}"
    "\n\n"
    "data: [DONE]\n\n";

static void serve(struct conn *);

static void
closed(uv_handle_t *h)
{
	struct conn *c = h->data;

	if (--c->handles > 0)
		return;
	free(c->in);
	free(c);
	n_conns--;
}

static void
hang_up(struct conn *c)
{
	if (c->closing)
		return;
	c->closing = 1;
	uv_close((uv_handle_t *)&c->tcp, closed);
	uv_close((uv_handle_t *)&c->timer, closed);
}

static void
written(uv_write_t *w, int status)
{
	(void)status;
	free(w);
}

/* Copies. chunk: as one of the chunked coding. */
static void
put(struct conn *c, const char *p, size_t n, int chunk)
{
	uv_write_t *w = malloc(sizeof *w + n + 32);
	char *text = (char *)(w + 1);
	size_t at = 0;
	uv_buf_t buf;

	if (w == NULL || c->closing) {
		free(w);
		return;
	}
	if (chunk)
		at = (size_t)sprintf(text, "%zx\r\n", n);
	memcpy(text + at, p, n);
	at += n;
	if (chunk) {
		memcpy(text + at, "\r\n", 2);
		at += 2;
	}
	buf = uv_buf_init(text, (unsigned)at);
	if (uv_write(w, (uv_stream_t *)&c->tcp, &buf, 1, written) != 0) {
		free(w);
		hang_up(c);
	}
}

static void
next_piece(uv_timer_t *t)
{
	struct conn *c = t->data;

	do {
		put(c, piece, sizeof piece - 1, 1);
		c->left--;
	} while (delay == 0 && c->left > 0);
	if (c->left > 0)
		return;
	uv_timer_stop(t);
	put(c, stop, sizeof stop - 1, 1);
	put(c, "0\r\n\r\n", 5, 0);
	serve(c);
}

static void
answer(struct conn *c, int stream)
{
	static char head[200];

	if (stream) {
		put(c, stream_head, sizeof stream_head - 1, 0);
		c->left = chunks;
		if (delay == 0)
			next_piece(&c->timer);
		else
			uv_timer_start(&c->timer, next_piece, 0, (uint64_t)delay);
		return;
	}
	put(c, head,
	    (size_t)snprintf(head, sizeof head,
		"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
		sizeof whole - 1),
	    0);
	put(c, whole, sizeof whole - 1, 0);
}

static int
wants_stream(const char *body, size_t n)
{
	const char *at = memmem(body, n, "\"stream\":", 9);
	const char *end = body + n;

	if (at == NULL)
		return 0;
	for (at += 9; at < end && *at == ' '; at++)
		;
	return end - at >= 4 && memcmp(at, "true", 4) == 0;
}

/* Answers the requests that are whole, one after the other. */
static void
serve(struct conn *c)
{
	while (!c->closing && c->left == 0 && c->n > 0) {
		char *end = memmem(c->in, c->n, "\r\n\r\n", 4), *p;
		size_t head, body = 0;
		int stream;

		if (end == NULL)
			return;
		head = (size_t)(end - c->in) + 4;
		*end = '\0';
		for (p = c->in; (p = strstr(p, "\r\n")) != NULL; p += 2)
			if (strncasecmp(p + 2, "content-length:", 15) == 0)
				body = strtoull(p + 17, NULL, 10);
		*end = '\r';
		if (body > REQUEST_MAX) {
			hang_up(c);
			return;
		}
		if (c->n < head + body)
			return;
		stream = wants_stream(c->in + head, body);
		memmove(c->in, c->in + head + body, c->n - head - body);
		c->n -= head + body;
		answer(c, stream);
	}
}

static void
room(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
	struct conn *c = h->data;
	char *p = c->in;

	(void)suggested;
	if (c->cap - c->n < 65536) {
		c->cap = c->n + 131072;
		p = c->cap > REQUEST_MAX + 262144 ? NULL : realloc(c->in, c->cap);
		if (p != NULL)
			c->in = p;
	}
	*buf = p == NULL ? uv_buf_init(NULL, 0) : uv_buf_init(c->in + c->n, 65535);
}

static void
received(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
	struct conn *c = s->data;

	(void)buf;
	if (n < 0) {
		hang_up(c);
		return;
	}
	c->n += (size_t)n;
	serve(c);
}

static void
accepted(uv_stream_t *server, int status)
{
	struct conn *c = status != 0 ? NULL : calloc(1, sizeof *c);

	if (c == NULL)
		return;
	n_conns++;
	c->handles = 2;
	uv_tcp_init(loop, &c->tcp);
	uv_timer_init(loop, &c->timer);
	c->tcp.data = c->timer.data = c;
	if (uv_accept(server, (uv_stream_t *)&c->tcp) != 0 || n_conns > CONNS_MAX) {
		hang_up(c);
		return;
	}
	uv_tcp_nodelay(&c->tcp, 1);
	uv_read_start((uv_stream_t *)&c->tcp, room, received);
}

static void
over(uv_timer_t *t)
{
	uv_stop(t->loop);
}

static void
stdin_room(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
	static char scratch[256];

	(void)h;
	(void)suggested;
	*buf = uv_buf_init(scratch, sizeof scratch);
}

static void
stdin_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
	(void)buf;
	if (n < 0)
		uv_stop(s->loop);
}

static int
number(const char *z, int max, const char *what)
{
	char *end;
	long v = strtol(z, &end, 10);

	if (*z == '\0' || *end != '\0' || v < 0 || v > max) {
		fprintf(stderr, "mock: --%s takes 0 .. %d\n", what, max);
		exit(2);
	}
	return (int)v;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = { { "port", 1, NULL, 'p' },
		{ "chunks", 1, NULL, 'c' }, { "delay", 1, NULL, 'd' }, { "seconds", 1, NULL, 's' },
		{ "help", 0, NULL, 'h' }, { NULL, 0, NULL, 0 } };
	struct sockaddr_in a;
	uv_tcp_t server;
	uv_timer_t end;
	uv_pipe_t in;
	int o, n = sizeof a;

	while ((o = getopt_long(argc, argv, "h", options, NULL)) != -1)
		switch (o) {
		case 'p': port = number(optarg, 65535, "port"); break;
		case 'c': chunks = number(optarg, CHUNKS_MAX, "chunks"); break;
		case 'd': delay = number(optarg, 60000, "delay"); break;
		case 's': seconds = number(optarg, 3600, "seconds"); break;
		default: fputs(usage, o == 'h' ? stdout : stderr); return o == 'h' ? 0 : 2;
		}
	if (chunks == 0)
		chunks = 1;
	loop = uv_default_loop();
	uv_ip4_addr("127.0.0.1", port, &a);
	uv_tcp_init(loop, &server);
	if (uv_tcp_bind(&server, (struct sockaddr *)&a, 0) != 0 ||
	    uv_listen((uv_stream_t *)&server, 1024, accepted) != 0 ||
	    uv_tcp_getsockname(&server, (struct sockaddr *)&a, &n) != 0) {
		fprintf(stderr, "mock: cannot listen on 127.0.0.1:%d\n", port);
		return 1;
	}
	printf("%d\n", ntohs(a.sin_port));
	fflush(stdout);
	uv_timer_init(loop, &end);
	uv_timer_start(&end, over, (uint64_t)seconds * 1000, 0);
	if (uv_guess_handle(0) == UV_NAMED_PIPE) {
		uv_pipe_init(loop, &in, 0);
		uv_pipe_open(&in, 0);
		uv_read_start((uv_stream_t *)&in, stdin_room, stdin_read);
	}
	uv_run(loop, UV_RUN_DEFAULT);
	return 0;
}
