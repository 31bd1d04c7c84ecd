/*
 * sock.h: listening sockets, and the lingering close of a connection whose peer still sends.
 * Plain system calls; sock_linger_* belong to one loop.
 */
#ifndef HOST_SOCK_H
#define HOST_SOCK_H

#include <uv.h>

#include "base/base.h"

#define SOCK_BACKLOG 1024

/*
 * n sockets listening on host:port ("[::1]:0", "127.0.0.1:8080", ":8080" for every address), each
 * with SO_REUSEPORT so that the kernel spreads connections over them. Port 0 picks a free one, the
 * same for all. 0, or -1 and a sentence in err. An address that another process serves is refused,
 * although SO_REUSEPORT would let us share it.
 */
int sock_listen_tcp(const char *address, int *fds, unsigned n, unsigned *ret_port, char err[256]);
/* One listening unix socket, mode 0600 from its birth. A left-over file is replaced, a served one
 * is an error. */
int sock_listen_unix(const char *path, int *ret_fd, char err[256]);
/* Payload bytes that the kernel has received on a TCP connection; 0 if it cannot tell. */
uint64_t sock_received(int fd);

/*
 * Closing a TCP socket with unread bytes sends a reset, which can destroy the answer on its way
 * (RFC 9112 §9.6). A lingering close sends FIN, reads and drops what still arrives, and closes at
 * the peer's FIN or when a limit is reached.
 */
#define SOCK_LINGER_MAX 256        /* at once per set; past it: closed at once */
#define SOCK_LINGER_TOTAL_MS 30000 /* from the start */
#define SOCK_LINGER_IDLE_MS 5000   /* without a byte */

struct sock_lingers {
	uv_loop_t *uv;
	struct list list;
	unsigned n;
	void (*empty)(void *); /* called each time the last one is gone; may be NULL */
	void *arg;
};
void sock_lingers_init(struct sock_lingers *, uv_loop_t *, void (*empty)(void *), void *arg);
/* Takes fd, a connected TCP socket that nobody else uses. */
void sock_linger(struct sock_lingers *, int fd, int64_t now_ms);
void sock_lingers_tick(struct sock_lingers *, int64_t now_ms);
void sock_lingers_close(
    struct sock_lingers *); /* all, at once; n is 0 after their close callbacks */

#endif
