/* http_peer.h: a listener with a few routes to try things on, and a client that speaks bytes. */
#ifndef TESTS_HTTP_PEER_H
#define TESTS_HTTP_PEER_H

#include "net/http.h" /* before check.h, which takes the name fail */

#include <check.h>
#include <stdatomic.h>

/*
 * Routes of the listener: /echo answers the body; /who method, path, query, remote; /header?NAME
 * the request's header; /wait parks until cancelled; /slow?MS answers after a while; /stream?N
 * writes N bytes in pieces; /cut?N the same and cuts; /first writes 5 bytes and then waits; /mute
 * never replies; /error?CODE fails.
 */
struct peer {
	struct http_listener *listener;
	unsigned port;
};
extern atomic_int peer_live, peer_most, peer_cancelled,
    peer_entered;                /* tasks; tasks that saw a cancel */
extern atomic_long peer_written; /* by /stream, so far */

void peer_start(struct peer *, const struct http_limits *, unsigned loops);
void peer_stop(struct peer *); /* asserts that no task is left and no descriptor was lost */
void peer_await(atomic_int *, int value); /* until it has that value, or fails after 20 s */

/* Until the (only) request of the (only) loop waits in http_write() and the kernel takes no more.
 */
void peer_parked(const struct peer *);

int peer_connect(const struct peer *);
void peer_drop(int fd, size_t n); /* reads n bytes or more to nowhere */
void peer_send(int fd, const void *p, size_t n);
void peer_sendz(int fd, const char *z);
/* Reads until the peer closes or `until` was seen; the text in a static buffer of 1 MiB. NULL
 * until: to the end. *ret_end (may be NULL): 1 = FIN, -1 = reset, 0 = `until` seen. */
const char *peer_read(int fd, const char *until, int *ret_end);
/* One exchange on a connection of its own. */
const char *peer_ask(const struct peer *, const char *request);
const char *peer_ask_unix(const char *path, const char *request);
void peer_leave_socket(const char *path); /* a socket file that nobody serves */

/* HTTP/2, frame by frame. */
enum {
	H2_DATA,
	H2_HEADERS,
	H2_PRIORITY,
	H2_RST,
	H2_SETTINGS,
	H2_PUSH,
	H2_PING,
	H2_GOAWAY,
	H2_WINDOW,
	H2_CONT
};
int peer_h2(const struct peer *, const char *settings, size_t n); /* connects, preface */
void peer_frame(int fd, int type, int flags, unsigned stream, const void *p, size_t n);
void peer_h2_request(int fd, unsigned stream, const char *method, const char *path, int more);
/* The next frame of this type (others are skipped; type -1: of any); -1 when the connection ended.
 */
struct peer_frame {
	int type, flags;
	unsigned stream;
	size_t n;
	unsigned char p[(8 << 10) + 1]; /* of the payload; what is more is read and dropped */
};
int peer_next(int fd, int type, struct peer_frame *);

#endif
