/*
 * upstream: a small real HTTP server that behaves well or badly, as an OpenAI-compatible provider.
 *
 * Usage: upstream [PORT]. Listens on 127.0.0.1 (a free port by default), prints "port N", and ends
 * when its standard input does, so that it never outlives a test. POST /v1/chat/completions answers
 * as upstream_script.h says. Two routes tell what happened, so that a test can wait for it instead
 * of sleeping:
 *
 *   GET /stats                 {"requests", "disconnects", "active", "connections", "models":
 * {name: n}, "last": {"authorization", "traceparent", "headers", "body"}} GET /wait?NAME=N the
 * same, once counter NAME is at least N; with `?NAME==N`, exactly N
 *
 * "disconnects": the peer left while an answer was due. "active": answers that are due now.
 * Counters do not count these two routes. One thread, one uv loop. Speaks just enough HTTP/1.1 to
 * serve curl: the point is full control over what goes out.
 */
#include <assert.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <uv.h>

#include "tests/lib/upstream_script.h"

#define HEAD_MAX 65536
#define BODY_MAX (64u << 20)

struct conn {
	uv_tcp_t tcp;
	uv_timer_t timer;
	uv_write_t write;
	struct conn *prev, *next;
	char *in; /* what was received and not yet served */
	size_t in_n, in_cap;
	struct script script;
	size_t piece;      /* next one of the script */
	unsigned repeated; /* of the current piece */
	int busy;          /* a script is running */
	int counted;       /* it is one of a completion */
	int writing, closing, closes;
	char wait_name[32]; /* parked in /wait; "" = not */
	long long wait_n;
	int wait_exact;
};

static uv_loop_t *loop;
static uv_tcp_t server;
static uv_pipe_t input;
static struct conn conns = { .prev = &conns, .next = &conns };
static long long requests, disconnects, active, connections;
static json_t *by_model, *last;

static void serve(struct conn *);
static void step(struct conn *);
static void wake_waiters(void);

/* ---------------------------------------------------------------- connections */

static void
on_closed(uv_handle_t *h)
{
	struct conn *c = h->data;

	if (++c->closes < 2)
		return;
	c->prev->next = c->next;
	c->next->prev = c->prev;
	script_fini(&c->script);
	free(c->in);
	free(c);
	connections--;
	wake_waiters();
}

static void
close_conn(struct conn *c)
{
	if (c->closing)
		return;
	c->closing = 1;
	uv_close((uv_handle_t *)&c->tcp, on_closed);
	uv_close((uv_handle_t *)&c->timer, on_closed);
}

static void
finished(struct conn *c)
{
	c->busy = 0;
	if (c->counted)
		active--;
	c->counted = 0;
	script_fini(&c->script);
}

static void
peer_left(struct conn *c)
{
	if (c->busy && c->counted)
		disconnects++;
	if (c->busy)
		finished(c);
	close_conn(c);
	wake_waiters();
}

/* ---------------------------------------------------------------- running a script */

static void
on_written(uv_write_t *w, int status)
{
	struct conn *c = w->data;

	c->writing = 0;
	if (c->closing)
		return;
	if (status != 0)
		peer_left(c);
	else
		step(c);
}

static void
send_piece(struct conn *c)
{
	struct script_piece *p = &c->script.pieces[c->piece];
	uv_buf_t buf = uv_buf_init(p->p, (unsigned)p->n);

	if (c->repeated++ >= p->repeat) {
		c->piece++;
		c->repeated = 0;
	}
	c->write.data = c;
	c->writing = 1;
	if (uv_write(&c->write, (uv_stream_t *)&c->tcp, &buf, 1, on_written) != 0) {
		c->writing = 0;
		peer_left(c);
	}
}

static void
on_timer(uv_timer_t *t)
{
	send_piece(t->data);
}

static void
step(struct conn *c)
{
	const struct script_piece *p;
	enum script_end end = c->script.end;

	if (c->piece < c->script.n) {
		p = &c->script.pieces[c->piece];
		if (p->delay_ms > 0 && c->repeated == 0)
			uv_timer_start(&c->timer, on_timer, p->delay_ms, 0);
		else
			send_piece(c);
		return;
	}
	if (end == SCRIPT_HANG)
		return;
	finished(c);
	if (end == SCRIPT_CLOSE)
		close_conn(c);
	else
		serve(c);
	wake_waiters();
}

static void
run_script(struct conn *c)
{
	c->busy = 1;
	c->piece = 0;
	c->repeated = 0;
	step(c);
}

/* ---------------------------------------------------------------- counters */

static json_t *
stats(void)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:O, s:O}", "requests", (json_int_t)requests,
	    "disconnects", (json_int_t)disconnects, "active", (json_int_t)active, "connections",
	    (json_int_t)connections, "models", by_model, "last", last);
}

static int
reached(const struct conn *c)
{
	json_t *s = stats();
	json_t *v = json_object_get(s, c->wait_name);
	long long n = json_integer_value(v);
	int yes = !json_is_integer(v) || (c->wait_exact ? n == c->wait_n : n >= c->wait_n);

	json_decref(s);
	return yes;
}

/* Answers those whose counter got there. Serving one may end in here again: each is taken out
 * first. */
static void
wake_waiters(void)
{
	struct conn *c;

	for (c = conns.next; c != &conns; c = c->next)
		if (c->wait_name[0] != '\0' && !c->closing && reached(c)) {
			c->wait_name[0] = '\0';
			script_json(&c->script, 200, stats());
			run_script(c);
		}
}

/* ---------------------------------------------------------------- requests */

/* A header's value, NUL-terminated by the caller's free; head ends with NUL. */
static char *
header(const char *head, const char *name)
{
	size_t n = strlen(name);
	const char *line = head, *p, *end;

	while ((line = strstr(line, "\r\n")) != NULL) {
		line += 2;
		if (strncasecmp(line, name, n) != 0 || line[n] != ':')
			continue;
		for (p = line + n + 1; *p == ' '; p++)
			;
		end = strstr(p, "\r\n");
		return end == NULL ? strdup(p) : strndup(p, (size_t)(end - p));
	}
	return strdup("");
}

static void
completion(struct conn *c, const char *head, const char *body, size_t n)
{
	json_t *request = json_loadb(body, n, 0, NULL);
	const char *model = json_string_value(json_object_get(request, "model"));
	char *authorization = header(head, "authorization"), *trace = header(head, "traceparent");
	json_t *told = json_string(head);

	requests++;
	active++;
	c->counted = 1;
	if (model != NULL)
		json_object_set_new(by_model, model,
		    json_integer(json_integer_value(json_object_get(by_model, model)) + 1));
	json_decref(last);
	last = json_pack("{s:s, s:s, s:o, s:O?}", "authorization", authorization, "traceparent",
	    trace, "headers", told == NULL ? json_null() : told, "body", request);
	if (last == NULL)
		last = json_object();
	script_make(&c->script, request, authorization);
	json_decref(request);
	free(authorization);
	free(trace);
	run_script(c);
	wake_waiters();
}

static void
route(struct conn *c, const char *head, const char *body, size_t n)
{
	if (strncmp(head, "POST /v1/chat/completions ", 26) == 0) {
		completion(c, head, body, n);
		return;
	}
	if (strncmp(head, "GET /wait?", 10) == 0 &&
	    sscanf(head + 10, "%31[a-z]==%lld ", c->wait_name, &c->wait_n) == 2) {
		c->wait_exact = 1;
		wake_waiters();
		return;
	}
	if (strncmp(head, "GET /wait?", 10) == 0 &&
	    sscanf(head + 10, "%31[a-z]=%lld ", c->wait_name, &c->wait_n) == 2) {
		c->wait_exact = 0;
		wake_waiters();
		return;
	}
	c->wait_name[0] = '\0';
	if (strncmp(head, "GET /stats ", 11) == 0)
		script_json(&c->script, 200, stats());
	else
		script_json(&c->script, 404, json_pack("{s:s}", "error", "no such route"));
	run_script(c);
}

/* Serves the next request if all of it is here. */
static void
serve(struct conn *c)
{
	char *end, *head, *length;
	size_t head_n, body_n;

	if (c->busy || c->wait_name[0] != '\0' || c->closing || c->in_n == 0)
		return;
	c->in[c->in_n] = '\0';
	end = strstr(c->in, "\r\n\r\n");
	if (end == NULL) {
		if (c->in_n > HEAD_MAX)
			close_conn(c);
		return;
	}
	head_n = (size_t)(end - c->in) + 4;
	head = strndup(c->in, head_n - 2);
	length = header(head, "content-length");
	body_n = strtoul(length, NULL, 10);
	free(length);
	if (body_n > BODY_MAX) {
		close_conn(c);
	} else if (c->in_n >= head_n + body_n) {
		char *body = malloc(body_n + 1);

		memcpy(body, c->in + head_n, body_n);
		c->in_n -= head_n + body_n;
		memmove(c->in, c->in + head_n + body_n, c->in_n);
		route(c, head, body, body_n);
		free(body);
	} else if (strcasestr(head, "expect: 100-continue") != NULL && c->in_n == head_n) {
		static char go[] = "HTTP/1.1 100 Continue\r\n\r\n";
		uv_buf_t buf = uv_buf_init(go, sizeof go - 1);

		uv_try_write((uv_stream_t *)&c->tcp, &buf, 1);
	}
	free(head);
}

static void
on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
	struct conn *c = h->data;

	if (c->in_cap - c->in_n < 65536) {
		c->in_cap = (c->in_cap + 65536) * 2;
		c->in = realloc(c->in, c->in_cap + 1);
		assert(c->in != NULL);
	}
	*buf = uv_buf_init(c->in + c->in_n, (unsigned)(c->in_cap - c->in_n));
}

static void
on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
	struct conn *c = s->data;

	if (n < 0) {
		peer_left(c);
		return;
	}
	c->in_n += (size_t)n;
	serve(c);
}

static void
on_connection(uv_stream_t *s, int status)
{
	struct conn *c = calloc(1, sizeof *c);

	assert(c != NULL && status == 0);
	uv_tcp_init(loop, &c->tcp);
	uv_timer_init(loop, &c->timer);
	c->tcp.data = c->timer.data = c;
	c->next = &conns;
	c->prev = conns.prev;
	conns.prev->next = c;
	conns.prev = c;
	connections++;
	if (uv_accept(s, (uv_stream_t *)&c->tcp) != 0) {
		close_conn(c);
		return;
	}
	uv_tcp_nodelay(&c->tcp, 1);
	uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
}

/* ---------------------------------------------------------------- the end */

static void
on_input_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
	static char sink[256];

	*buf = uv_buf_init(sink, sizeof sink);
}

static void
on_input(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
	struct conn *c;

	if (n >= 0)
		return;
	uv_close((uv_handle_t *)s, NULL);
	uv_close((uv_handle_t *)&server, NULL);
	for (c = conns.next; c != &conns; c = c->next)
		close_conn(c);
}

int
main(int argc, char **argv)
{
	struct sockaddr_in addr;
	int n = sizeof addr, r;

	signal(SIGPIPE, SIG_IGN); /* a host that gives up on an answer closes while it is written */
	loop = uv_default_loop();
	by_model = json_object();
	last = json_object();
	uv_ip4_addr("127.0.0.1", argc > 1 ? atoi(argv[1]) : 0, &addr);
	uv_tcp_init(loop, &server);
	r = uv_tcp_bind(&server, (struct sockaddr *)&addr, 0);
	if (r == 0)
		r = uv_listen((uv_stream_t *)&server, 512, on_connection);
	if (r == 0)
		r = uv_tcp_getsockname(&server, (struct sockaddr *)&addr, &n);
	if (r != 0) {
		fprintf(stderr, "upstream: %s\n", uv_strerror(r));
		return 1;
	}
	printf("port %d\n", ntohs(addr.sin_port));
	fflush(stdout);
	uv_pipe_init(loop, &input, 0);
	if (uv_pipe_open(&input, 0) == 0)
		uv_read_start((uv_stream_t *)&input, on_input_alloc, on_input);
	uv_run(loop, UV_RUN_DEFAULT);
	uv_loop_close(loop);
	json_decref(by_model);
	json_decref(last);
	return 0;
}
