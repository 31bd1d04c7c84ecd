/* wsraw.c: see wsraw.h. */
#include "tests/lib/wsraw.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <check.h>

#define WAIT_MS 20000

struct wsraw *
wsraw_connect(unsigned port, const char *head)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	struct wsraw *w = calloc(1, sizeof *w);

	ck_assert_ptr_nonnull(w);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	w->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(w->fd, 0);
	ck_assert_int_eq(connect(w->fd, (struct sockaddr *)&to, sizeof to), 0);
	ck_assert_int_eq(wsraw_bytes(w, head, strlen(head)), 0);
	return w;
}

void
wsraw_free(struct wsraw *w)
{
	close(w->fd);
	free(w);
}

int
wsraw_bytes(struct wsraw *w, const void *p, size_t n)
{
	const char *at = p;
	ssize_t k;

	for (; n > 0; at += k, n -= (size_t)k) {
		k = send(w->fd, at, n, MSG_NOSIGNAL);
		if (k < 0 && (errno == EPIPE || errno == ECONNRESET))
			return -1;
		ck_assert_int_gt(k, 0);
	}
	return 0;
}

/* 1; 0 at the end; -1 at a reset. */
static int
fill(struct wsraw *w)
{
	struct pollfd p = { w->fd, POLLIN, 0 };
	ssize_t k;

	if (w->at > 0) {
		memmove(w->buf, w->buf + w->at, w->n - w->at);
		w->n -= w->at;
		w->at = 0;
	}
	ck_assert_msg(poll(&p, 1, WAIT_MS) == 1, "nothing came in %d ms", WAIT_MS);
	k = recv(w->fd, w->buf + w->n, sizeof w->buf - w->n, 0);
	if (k <= 0)
		return k == 0 ? 0 : -1;
	w->n += (size_t)k;
	return 1;
}

static int
read_head(struct wsraw *w, char head[2048])
{
	char *end;
	int status = 0;

	while ((end = memmem(w->buf, w->n, "\r\n\r\n", 4)) == NULL)
		if (fill(w) <= 0)
			return 0;
	w->at = (size_t)(end - w->buf) + 4;
	snprintf(head, 2048, "%.*s", (int)w->at, w->buf);
	ck_assert_int_eq(sscanf(head, "HTTP/1.1 %d", &status), 1);
	return status;
}

static struct wsraw *
handshake(unsigned port, const char *path, const char *more, char head[2048], int *ret_status)
{
	char request[4096];
	struct wsraw *w;

	snprintf(request, sizeof request,
	    "GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, "
	    "Upgrade\r\n"
	    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s\r\n",
	    path, more);
	w = wsraw_connect(port, request);
	*ret_status = read_head(w, head);
	return w;
}

int
wsraw_try(unsigned port, const char *path, const char *more, char head[2048])
{
	int status;

	wsraw_free(handshake(port, path, more, head, &status));
	return status;
}

struct wsraw *
wsraw_open(unsigned port, const char *path, const char *more)
{
	char head[2048];
	int status;
	struct wsraw *w = handshake(port, path, more, head, &status);

	ck_assert_msg(status == 101, "%s", head);
	/* The example of RFC 6455 §1.3 */
	ck_assert_msg(
	    strcasestr(head, "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n") != NULL,
	    "%s", head);
	return w;
}

int
wsraw_frame(struct wsraw *w, unsigned first, const void *p, size_t n)
{
	static const uint8_t mask[4] = { 0x37, 0xfa, 0x21, 0x3d };
	uint8_t *out = malloc(n + 14);
	size_t i, h = 2;
	int rc;

	ck_assert_ptr_nonnull(out);
	out[0] = (uint8_t)first;
	if (n < 126) {
		out[1] = (uint8_t)(0x80 | n);
	} else if (n < 65536) {
		out[1] = 0x80 | 126;
		out[2] = (uint8_t)(n >> 8);
		out[3] = (uint8_t)n;
		h = 4;
	} else {
		out[1] = 0x80 | 127;
		for (i = 0; i < 8; i++)
			out[2 + i] = (uint8_t)((uint64_t)n >> (8 * (7 - i)));
		h = 10;
	}
	memcpy(out + h, mask, 4);
	for (i = 0; i < n; i++)
		out[h + 4 + i] = ((const uint8_t *)p)[i] ^ mask[i & 3];
	rc = wsraw_bytes(w, out, h + 4 + n);
	free(out);
	return rc;
}

int
wsraw_text(struct wsraw *w, const char *z)
{
	return wsraw_frame(w, 0x81, z, strlen(z));
}

static int
take(struct wsraw *w, void *p, size_t n)
{
	size_t k;
	int rc;

	while (n > 0) {
		if (w->n == w->at && (rc = fill(w)) <= 0)
			return rc;
		k = n < w->n - w->at ? n : w->n - w->at;
		memcpy(p, w->buf + w->at, k);
		w->at += k;
		p = (char *)p + k;
		n -= k;
	}
	return 1;
}

const struct wsgot *
wsraw_next(struct wsraw *w)
{
	static __thread struct wsgot got;
	uint8_t head[2], ext[8];
	size_t i, k;
	int rc = take(w, head, 2);

	free(got.p);
	memset(&got, 0, sizeof got);
	if (rc <= 0) {
		got.reset = rc < 0;
		return &got;
	}
	got.first = head[0];
	ck_assert_msg(!(head[1] & 0x80), "a server's frame is masked");
	got.n = head[1];
	k = got.n == 126 ? 2 : got.n == 127 ? 8 : 0;
	if (k > 0) {
		ck_assert_int_eq(take(w, ext, k), 1);
		for (got.n = 0, i = 0; i < k; i++)
			got.n = got.n << 8 | ext[i];
	}
	got.p = malloc(got.n + 1);
	ck_assert_ptr_nonnull(got.p);
	ck_assert_int_eq(take(w, got.p, got.n), 1);
	got.p[got.n] = '\0';
	return &got;
}

void
wsraw_expect(struct wsraw *w, const char *text)
{
	const struct wsgot *g;

	do
		g = wsraw_next(w);
	while (g->first == 0x89 || g->first == 0x8a);
	ck_assert_msg(g->first == 0x81, "frame %02x \"%.120s\" instead of \"%s\"", g->first,
	    g->n > 2 ? g->p + 2 : "", text);
	ck_assert_str_eq(g->p, text);
}

unsigned
wsraw_closed(struct wsraw *w, int answer)
{
	const struct wsgot *g;
	unsigned code;

	do
		g = wsraw_next(w);
	while (g->first != 0 && g->first != 0x88);
	if (g->first == 0)
		return 1006;
	code = g->n < 2 ? 1005 : (unsigned)(uint8_t)g->p[0] << 8 | (uint8_t)g->p[1];
	if (answer)
		wsraw_frame(w, 0x88, g->p, g->n);
	g = wsraw_next(w);
	ck_assert_msg(
	    g->first == 0 && !g->reset, "after the close came %02x, reset %d", g->first, g->reset);
	return code;
}
