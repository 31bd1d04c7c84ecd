/*
 * wsraw.h: a WebSocket client for tests that says exactly what it is told, rules or not. Blocking,
 * any thread; an answer that does not come within 20 s ends the test.
 */
#ifndef TESTS_WSRAW_H
#define TESTS_WSRAW_H

#include <stddef.h>

struct wsraw {
	int fd;
	size_t n, at;
	char buf[1 << 16];
};

/* Connects and sends the text as it is. */
struct wsraw *wsraw_connect(unsigned port, const char *head);
/* The handshake on this path with these further header lines (each ends in CRLF); the status. */
int wsraw_try(unsigned port, const char *path, const char *more, char head[2048]);
/* The same, which must be accepted. */
struct wsraw *wsraw_open(unsigned port, const char *path, const char *more);
void wsraw_free(struct wsraw *); /* closes the socket, without a word */

/* Bytes as they are. 0, or -1 when the peer has closed. */
int wsraw_bytes(struct wsraw *, const void *p, size_t n);
/* One masked frame; first: FIN, RSV and opcode. */
int wsraw_frame(struct wsraw *, unsigned first, const void *p, size_t n);
int wsraw_text(struct wsraw *, const char *z);

struct wsgot {
	unsigned first; /* the frame's first byte; 0 = the connection ended */
	int reset;      /* by a reset */
	size_t n;
	char *p; /* NUL-terminated, until the next call */
};
const struct wsgot *wsraw_next(struct wsraw *);
/* The next frame that is neither a ping nor a pong is this text. */
void wsraw_expect(struct wsraw *, const char *text);
/* The code of the close frame that comes, whatever messages come first: 1005 without one, 1006 when
 * the connection ends before. Answers it if told to, and wants to see the end. */
unsigned wsraw_closed(struct wsraw *, int answer);

#endif
