/*
 * bench_start.c: how long a host takes from exec to serving.
 *	bench_start free                          prints a free port of 127.0.0.1
 *	bench_start PORT PIDFILE COMMAND ARG...   starts COMMAND, which goes on running, and prints
 *the milliseconds until GET /readyz answers 200
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LIMIT_MS 30000.0

static double
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static int
free_port(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t n = sizeof sin;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sin, n) != 0 ||
	    getsockname(fd, (struct sockaddr *)&sin, &n) != 0)
		return 1;
	printf("%d\n", ntohs(sin.sin_port));
	return close(fd);
}

static int
ready(int port)
{
	static const char req[] = "GET /readyz HTTP/1.0\r\nHost: bench\r\n\r\n";
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	struct timeval limit = { .tv_sec = 1 };
	char buf[64];
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 0;
	ssize_t n;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0)
		return 0;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	if (connect(fd, (struct sockaddr *)&sin, sizeof sin) == 0 &&
	    send(fd, req, sizeof req - 1, MSG_NOSIGNAL) > 0 &&
	    (n = recv(fd, buf, sizeof buf - 1, 0)) > 12) {
		buf[n] = '\0';
		yes = strncmp(buf + 8, " 200", 4) == 0;
	}
	close(fd);
	return yes;
}

int
main(int argc, char **argv)
{
	struct timespec pause = { .tv_nsec = 1000000 };
	double t0, t;
	pid_t pid;
	FILE *f;

	if (argc == 2 && strcmp(argv[1], "free") == 0)
		return free_port();
	if (argc < 4) {
		fprintf(stderr, "usage: bench_start free | PORT PIDFILE COMMAND ARG...\n");
		return 2;
	}
	t0 = now_ms();
	pid = fork();
	if (pid < 0)
		return 1;
	if (pid == 0) {
		if (dup2(2, 1) < 0) /* the caller reads our standard output to its end */
			_exit(126);
		execvp(argv[3], argv + 3);
		_exit(127);
	}
	f = fopen(argv[2], "w");
	if (f == NULL || fprintf(f, "%d\n", (int)pid) < 0 || fclose(f) != 0) {
		kill(pid, SIGTERM);
		return 1;
	}
	while (!ready(atoi(argv[1]))) {
		t = now_ms() - t0;
		if (waitpid(pid, NULL, WNOHANG) != 0 || t > LIMIT_MS)
			return 1;
		nanosleep(&pause, NULL);
	}
	printf("%.0f\n", now_ms() - t0);
	return 0;
}
