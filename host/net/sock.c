/* sock.c: see sock.h. Host names are looked up on the calling thread: listeners are made at
 * start-up only. */
#include "net/sock.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int
sock_refuse(char err[256], const char *what, const char *why)
{
	snprintf(err, 256, "cannot listen on %s: %s", what, why);
	return -1;
}

static int
sock_tcp(const struct addrinfo *ai, int share)
{
	int on = 1, fd, saved;

	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
	    (!share || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0) &&
	    (ai->ai_family != AF_INET6 ||
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0) &&
	    bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, SOCK_BACKLOG) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

/* "host:port" and "[v6]:port" into their parts; 0 when it is neither. */
static int
sock_split(const char *address, char host[256], const char **ret_port)
{
	const char *colon = strrchr(address, ':');
	size_t n;

	if (colon == NULL || colon[1] == '\0' ||
	    strspn(colon + 1, "0123456789") != strlen(colon + 1))
		return 0;
	n = (size_t)(colon - address);
	if (n >= 2 && address[0] == '[' && address[n - 1] == ']') {
		address++;
		n -= 2;
	} else if (memchr(address, ':', n) != NULL) {
		return 0;
	}
	if (n >= 256)
		return 0;
	memcpy(host, address, n);
	host[n] = '\0';
	*ret_port = colon + 1;
	return 1;
}

static int
sock_listen_all(struct addrinfo *ai, int *fds, unsigned n)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	int probe;
	unsigned i;

	/* Without SO_REUSEPORT the kernel says whether somebody else serves this port already. */
	probe = sock_tcp(ai, 0);
	if (probe < 0)
		return -1;
	close(probe);
	for (i = 0; i < n; i++) {
		fds[i] = sock_tcp(ai, 1);
		if (fds[i] < 0)
			break;
		if (i == 0 && getsockname(fds[0], (struct sockaddr *)&ss, &len) == 0)
			memcpy(ai->ai_addr, &ss, ai->ai_addrlen); /* port 0 is decided now */
	}
	if (i == n)
		return 0;
	probe = errno;
	while (i > 0)
		close(fds[--i]);
	errno = probe;
	return -1;
}

int
sock_listen_tcp(const char *address, int *fds, unsigned n, unsigned *ret_port, char err[256])
{
	struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
		.ai_socktype = SOCK_STREAM };
	struct addrinfo *ai = NULL;
	const char *port;
	char host[256], service[8];
	int rc;

	if (!sock_split(address, host, &port) || atol(port) > 65535)
		return sock_refuse(err, address, "not HOST:PORT or [IPV6]:PORT");
	rc = getaddrinfo(host[0] == '\0' ? NULL : host, port, &hints, &ai);
	if (rc != 0)
		return sock_refuse(err, address, gai_strerror(rc));
	rc = sock_listen_all(ai, fds, n);
	if (rc != 0)
		sock_refuse(err, address, strerror(errno));
	else if (getnameinfo(ai->ai_addr, ai->ai_addrlen, NULL, 0, service, sizeof(service),
		     NI_NUMERICSERV) == 0)
		*ret_port = (unsigned)atoi(service);
	freeaddrinfo(ai);
	return rc;
}

int
sock_listen_unix(const char *path, int *ret_fd, char err[256])
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(sun.sun_path))
		return sock_refuse(err, path, "longer than 107 bytes");
	strcpy(sun.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return sock_refuse(err, path, strerror(errno));
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0) {
		close(fd);
		return sock_refuse(err, path, "another process serves it");
	}
	if (errno == ECONNREFUSED)
		unlink(path);
	/* Linux gives the file the mode of the unbound socket: no moment with a wider one. */
	if (fchmod(fd, 0600) != 0 || bind(fd, (struct sockaddr *)&sun, sizeof(sun)) != 0 ||
	    listen(fd, SOCK_BACKLOG) != 0) {
		sock_refuse(err, path, strerror(errno));
		close(fd);
		return -1;
	}
	*ret_fd = fd;
	return 0;
}

struct sock_linger {
	uv_poll_t poll;
	struct list link;
	struct sock_lingers *set;
	int fd, closing;
	int64_t start_ms, last_ms;
};

void
sock_lingers_init(struct sock_lingers *set, uv_loop_t *uv, void (*empty)(void *), void *arg)
{
	set->uv = uv;
	list_init(&set->list);
	set->n = 0;
	set->empty = empty;
	set->arg = arg;
}

static void
sock_on_linger_closed(uv_handle_t *h)
{
	struct sock_linger *l = h->data;
	struct sock_lingers *set = l->set;

	close(l->fd);
	free(l);
	if (--set->n == 0 && set->empty != NULL)
		set->empty(set->arg);
}

static void
sock_linger_end(struct sock_linger *l)
{
	if (l->closing)
		return;
	l->closing = 1;
	list_remove(&l->link);
	uv_close((uv_handle_t *)&l->poll, sock_on_linger_closed);
}

static void
sock_on_linger(uv_poll_t *poll, int status, int events)
{
	struct sock_linger *l = poll->data;
	char sink[8192];
	ssize_t n;
	int i;

	for (i = 0; i < 64 && status == 0; i++) {
		n = recv(l->fd, sink, sizeof(sink), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			status = -1;
		else if (n < 0)
			return;
		else
			l->last_ms = (int64_t)uv_now(poll->loop);
	}
	if (status != 0)
		sock_linger_end(l);
}

void
sock_linger(struct sock_lingers *set, int fd, int64_t now_ms)
{
	struct sock_linger *l;

	if (set->n >= SOCK_LINGER_MAX || shutdown(fd, SHUT_WR) != 0) {
		close(fd);
		return;
	}
	l = base_alloc(sizeof(*l));
	l->set = set;
	l->fd = fd;
	l->start_ms = l->last_ms = now_ms;
	if (uv_poll_init(set->uv, &l->poll, fd) != 0) {
		close(fd);
		free(l);
		return;
	}
	l->poll.data = l;
	set->n++;
	list_append(&set->list, &l->link);
	if (uv_poll_start(&l->poll, UV_READABLE, sock_on_linger) != 0)
		sock_linger_end(l);
}

void
sock_lingers_tick(struct sock_lingers *set, int64_t now_ms)
{
	struct list *i, *next;
	struct sock_linger *l;

	for (i = set->list.next; i != &set->list; i = next) {
		next = i->next;
		l = CONTAINER_OF(i, struct sock_linger, link);
		if (now_ms - l->start_ms >= SOCK_LINGER_TOTAL_MS ||
		    now_ms - l->last_ms >= SOCK_LINGER_IDLE_MS)
			sock_linger_end(l);
	}
}

void
sock_lingers_close(struct sock_lingers *set)
{
	while (!list_empty(&set->list))
		sock_linger_end(LIST_FIRST(&set->list, struct sock_linger, link));
}
