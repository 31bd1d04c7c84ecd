/*
 * bench_faq.c: bench_faq PORT KEY N C: N runs of faq_workflow through POST /v1/chat/completions,
 * C at a time, each on a thread with its own kept-alive connection. Prints p50, p99 and runs/s.
 * Blocking sockets: a client of 64 threads is not what is measured, and has no parts to get wrong.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX 256
#define ANSWER_MAX 262144

static int port, total, next_run, failed;
static const char *key;
static double *took_ms;

static double
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static int
dial(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	struct timeval limit = { .tv_sec = 30 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	if (connect(fd, (struct sockaddr *)&sin, sizeof sin) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* The status of one exchange, -1 when the connection broke; needs Content-Length in the answer. */
static int
exchange(int fd, const char *req, size_t n, char *buf)
{
	size_t got = 0, want = 0;
	int status = -1;
	ssize_t r;

	for (size_t sent = 0; sent < n; sent += (size_t)r)
		if ((r = send(fd, req + sent, n - sent, MSG_NOSIGNAL)) <= 0)
			return -1;
	while (want == 0 || got < want) {
		char *end, *p;

		if (got == ANSWER_MAX - 1 ||
		    (r = recv(fd, buf + got, ANSWER_MAX - 1 - got, 0)) <= 0)
			return -1;
		got += (size_t)r;
		buf[got] = '\0';
		if (want != 0 || (end = strstr(buf, "\r\n\r\n")) == NULL)
			continue;
		p = strcasestr(buf, "\r\ncontent-length:");
		if (p == NULL || p > end || sscanf(buf, "HTTP/1.1 %d", &status) != 1)
			return -1;
		want = (size_t)(end + 4 - buf) + strtoul(p + 17, NULL, 10);
	}
	return status;
}

static void *
client(void *arg)
{
	static const char body[] =
	    "{\"model\":\"faq_workflow\",\"messages\":[{\"role\":\"user\",\"content\":"
	    "\"How do I keep my Debian system current?\"}]}";
	char *buf = malloc(ANSWER_MAX), req[2048];
	int fd = dial(), i, status, n;

	(void)arg;
	n = snprintf(req, sizeof req,
	    "POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %s\r\n"
	    "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
	    key, sizeof body - 1, body);
	while ((i = __atomic_fetch_add(&next_run, 1, __ATOMIC_RELAXED)) < total) {
		double t0 = now_ms();

		status = fd < 0 || buf == NULL ? -1 : exchange(fd, req, (size_t)n, buf);
		took_ms[i] = now_ms() - t0;
		if (status != 200 && __atomic_fetch_add(&failed, 1, __ATOMIC_RELAXED) == 0)
			fprintf(stderr, "bench_faq: first failure: status %d\n", status);
		if (status < 0) {
			if (fd >= 0)
				close(fd);
			fd = dial();
		}
	}
	if (fd >= 0)
		close(fd);
	free(buf);
	return NULL;
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

int
main(int argc, char **argv)
{
	pthread_t t[THREADS_MAX];
	int c = argc == 5 ? atoi(argv[4]) : 0;
	double t0;

	if (argc != 5 || (total = atoi(argv[3])) < 1 || c < 1 || c > THREADS_MAX) {
		fprintf(stderr, "usage: bench_faq PORT KEY N C\n");
		return 2;
	}
	port = atoi(argv[1]);
	key = argv[2];
	took_ms = calloc((size_t)total, sizeof *took_ms);
	if (took_ms == NULL)
		return 1;
	t0 = now_ms();
	for (int i = 0; i < c; i++)
		if (pthread_create(&t[i], NULL, client, NULL) != 0)
			return 1;
	for (int i = 0; i < c; i++)
		pthread_join(t[i], NULL);
	t0 = now_ms() - t0;
	qsort(took_ms, (size_t)total, sizeof *took_ms, by_value);
	printf("concurrency %d: p50 %.1f ms, p99 %.1f ms, %.0f runs/s, %d of %d failed\n", c,
	    took_ms[total / 2], took_ms[total * 99 / 100], total / t0 * 1e3, failed, total);
	free(took_ms);
	return failed != 0;
}
