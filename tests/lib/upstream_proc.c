/* upstream_proc.c: see upstream_proc.h. */
#include "tests/lib/upstream_proc.h"

#include <arpa/inet.h>
#include <assert.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAIT_MS 30000
#define ANSWER_MAX (64u << 20)

extern char **environ;

struct upstream {
	pid_t pid;
	int input; /* its standard input: closing it ends it */
	int port;
	char base_url[64];
};

static void
die(const char *what)
{
	perror(what);
	abort();
}

/* <build>/tests/X/check_y -> <build>/tests/lib/upstream */
static void
beside(char path[PATH_MAX + 32])
{
	char self[PATH_MAX] = "";

	if (readlink("/proc/self/exe", self, sizeof self - 1) < 0)
		die("upstream: /proc/self/exe");
	snprintf(path, PATH_MAX + 32, "%s/../lib/upstream", dirname(self));
}

static int
read_port(int fd)
{
	char line[64];
	size_t n = 0;
	int port = 0;

	while (n < sizeof line - 1 && read(fd, line + n, 1) == 1 && line[n] != '\n')
		n++;
	line[n] = '\0';
	if (sscanf(line, "port %d", &port) != 1)
		die("upstream: it did not say its port");
	return port;
}

struct upstream *
upstream_start(const char *program)
{
	struct upstream *u = calloc(1, sizeof *u);
	char path[PATH_MAX + 32];
	posix_spawn_file_actions_t actions;
	int in[2], out[2], r;

	if (u == NULL || pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0)
		die("upstream: pipe");
	if (program == NULL) {
		beside(path);
		program = path;
	}
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in[0], 0);
	posix_spawn_file_actions_adddup2(&actions, out[1], 1);
	r = posix_spawn(
	    &u->pid, program, &actions, NULL, (char *const[]){ (char *)program, NULL }, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (r != 0) {
		fprintf(stderr, "upstream: %s: %s (make check builds it)\n", program, strerror(r));
		abort();
	}
	close(in[0]);
	close(out[1]);
	u->input = in[1];
	u->port = read_port(out[0]);
	close(out[0]);
	snprintf(u->base_url, sizeof u->base_url, "http://127.0.0.1:%d/v1", u->port);
	return u;
}

void
upstream_stop(struct upstream *u)
{
	if (u == NULL)
		return;
	close(u->input);
	if (waitpid(u->pid, NULL, 0) < 0)
		die("upstream: waitpid");
	free(u);
}

int
upstream_port(const struct upstream *u)
{
	return u->port;
}

const char *
upstream_base_url(const struct upstream *u)
{
	return u->base_url;
}

/* A GET on a connection of its own; NULL when the answer is not there in time. */
static json_t *
get(struct upstream *u, const char *path)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)u->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct pollfd pfd = { fd, POLLIN, 0 };
	size_t n = 0, cap = 1 << 16;
	char *in = malloc(cap), *body = NULL, *length;
	json_t *j = NULL;
	ssize_t got;
	int len;

	if (fd < 0 || in == NULL || connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
		die("upstream: connect");
	len = snprintf(in, cap, "GET %s HTTP/1.1\r\nHost: upstream\r\n\r\n", path);
	if (write(fd, in, (size_t)len) != len)
		die("upstream: write");
	while (j == NULL && n < ANSWER_MAX && poll(&pfd, 1, WAIT_MS) == 1 &&
	    (got = read(fd, in + n, cap - n - 1)) > 0) {
		n += (size_t)got;
		in[n] = '\0';
		if (cap - n < 1 << 12 && (in = realloc(in, cap *= 2)) == NULL)
			die("upstream: memory");
		body = strstr(in, "\r\n\r\n");
		length = strstr(in, "Content-Length: ");
		if (body != NULL && length != NULL &&
		    n == (size_t)(body + 4 - in) + strtoul(length + 16, NULL, 10))
			j = json_loads(body + 4, 0, NULL);
	}
	close(fd);
	free(in);
	return j;
}

json_t *
upstream_stats(struct upstream *u)
{
	return get(u, "/stats");
}

json_t *
upstream_wait(struct upstream *u, const char *query)
{
	char path[128];

	snprintf(path, sizeof path, "/wait?%s", query);
	return get(u, path);
}

long long
upstream_count(struct upstream *u, const char *name)
{
	json_t *s = upstream_stats(u);
	long long n = json_integer_value(json_object_get(s, name));

	assert(s != NULL);
	json_decref(s);
	return n;
}
