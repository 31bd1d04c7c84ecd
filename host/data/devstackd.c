/*
 * devstackd.c: insula-devstack, the supervisor of the private servers of `insula dev`.
 *
 *   insula-devstack DIR [--pg] [--nats] [--redis] [--host PID]
 *
 * Starts the servers asked for and says on standard output, a line each, "pg URL", "nats URL",
 * "redis URL", then "ready"; or "error TEXT" and exits 1. Runs until standard input ends, starts
 * a server that died again, and at the end stops all of them, PostgreSQL after a checkpoint.
 *
 * A session of its own, so that the Ctrl-C of a terminal reaches the host alone, which drains
 * first.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data/devstackd.h"

static int signals = -1;
static int stop;

int
devstackd_wait(int ms)
{
	struct pollfd pfd[2] = { { .fd = 0, .events = POLLIN },
		{ .fd = signals, .events = POLLIN } };
	struct signalfd_siginfo si;
	char buf[64];
	ssize_t n;

	if (stop)
		pfd[0].fd = -1;
	if (poll(pfd, 2, ms) <= 0)
		return stop;
	if (pfd[0].revents != 0) {
		n = read(0, buf, sizeof buf);
		if (n == 0 || (n < 0 && errno != EINTR))
			stop = 1;
	}
	if (pfd[1].revents != 0 && read(signals, &si, sizeof si) == (ssize_t)sizeof si &&
	    si.ssi_signo != SIGCHLD)
		stop = 1;
	return stop;
}

static void
setup(struct devstackd *d)
{
	static const struct {
		const char *name, *package, *folder;
		int stop, hard;
	} t[] = {
		[DEVSTACKD_PG] = { "postgres", "postgresql-15", "pg", SIGINT, SIGQUIT },
		[DEVSTACKD_NATS] = { "nats-server", "nats-server", "nats", SIGTERM, SIGKILL },
		[DEVSTACKD_REDIS] = { "redis-server", "redis-server", "redis", SIGTERM, SIGKILL },
	};
	int i;

	for (i = 0; i < DEVSTACKD_SERVERS; i++) {
		struct devstackd_server *s = &d->servers[i];

		s->id = i;
		s->name = t[i].name;
		s->package = t[i].package;
		s->stop_signal = t[i].stop;
		s->hard_signal = t[i].hard;
		s->pause_ms = DEVSTACKD_RESTART_MS;
		s->data = base_printf("%s/%s", d->dir, t[i].folder);
		s->log = base_printf("%s/log/%s.log", d->dir, s->name);
		s->pidfile = base_printf(
		    "%s/%s.pid", s->data, i == DEVSTACKD_PG ? "postmaster" : t[i].folder);
	}
}

/* Who died? Returns the number of servers that run. */
static int
reap(struct devstackd *d)
{
	int i, n = 0, status;

	for (i = 0; i < DEVSTACKD_SERVERS; i++) {
		struct devstackd_server *s = &d->servers[i];

		if (s->pid != 0 && waitpid(s->pid, &status, WNOHANG) == s->pid) {
			if (base_mono_us() - s->since_us > 30 * INT64_C(1000000))
				s->pause_ms = DEVSTACKD_RESTART_MS;
			s->pid = 0;
			s->retry_us = base_mono_us() + s->pause_ms * INT64_C(1000);
		}
		n += s->pid != 0;
	}
	return n;
}

/* Starts again what died and whose pause is over. Returns the ms until the next one, -1 = none. */
static int
revive(struct devstackd *d)
{
	char err[DEVSTACKD_ERR];
	int i, ms, next = -1;

	for (i = 0; i < DEVSTACKD_SERVERS; i++) {
		struct devstackd_server *s = &d->servers[i];

		if (s->pid != 0 || s->retry_us == 0)
			continue;
		ms = (int)((s->retry_us - base_mono_us()) / 1000) + 1;
		if (ms <= 1) {
			fprintf(stderr, "insula: %s ended; starting it again (its log: %s)\n",
			    s->name, s->log);
			s->pause_ms = s->pause_ms * 2 < DEVSTACKD_RESTART_MAX_MS
			    ? s->pause_ms * 2
			    : DEVSTACKD_RESTART_MAX_MS;
			if (devstackd_start(s, err) == 0)
				continue;
			fprintf(stderr, "insula: %s\n", err);
			s->retry_us = base_mono_us() + s->pause_ms * INT64_C(1000);
			ms = s->pause_ms;
		}
		if (next < 0 || ms < next)
			next = ms;
	}
	return next;
}

static int
start_all(struct devstackd *d, char err[DEVSTACKD_ERR])
{
	static const char *const users[][3] = { { "postgres", NULL }, { "nats", "postgres", NULL },
		{ "redis", "postgres", NULL } };
	int64_t until = base_mono_us() + DEVSTACKD_START_MS * INT64_C(1000);
	int i, left = 0, ready[DEVSTACKD_SERVERS] = { 0 }, tries[DEVSTACKD_SERVERS] = { 0 };
	struct stat st;

	if (devstackd_dir_open(d, err) != 0 || devstackd_leftovers_stop(d, err) != 0 ||
	    devstackd_socks_make(d, err) != 0)
		return -1;
	for (i = 0; i < DEVSTACKD_SERVERS; i++) {
		struct devstackd_server *s = &d->servers[i];

		if (!s->wanted)
			continue;
		s->socks = base_printf("%s%s", d->socks, strrchr(s->data, '/'));
		if (stat(s->log, &st) == 0 && st.st_size > DEVSTACKD_LOG_MAX)
			unlink(s->log);
		if (devstackd_user(&s->user, users[i], err) != 0 ||
		    devstackd_prepare(d, s, err) != 0 || devstackd_start(s, err) != 0)
			return -1;
		left++;
	}
	while (left > 0) {
		if (base_mono_us() > until || devstackd_wait(10)) {
			snprintf(err, DEVSTACKD_ERR, "%s; the logs are in %s/log",
			    stop ? "told to stop" : "a server does not get ready", d->dir);
			return -1;
		}
		reap(d);
		for (i = 0; i < DEVSTACKD_SERVERS; i++) {
			struct devstackd_server *s = &d->servers[i];

			if (!s->wanted || ready[i])
				continue;
			if (s->pid == 0) {
				/* The last backends of a killed PostgreSQL may need a moment to go;
				 * a port may have been taken in between. */
				if (++tries[i] > 8) {
					snprintf(err, DEVSTACKD_ERR, "%s does not start; see %s",
					    s->name, s->log);
					return -1;
				}
				if (devstackd_wait(200))
					continue;
				if ((s->id == DEVSTACKD_NATS &&
					devstackd_prepare(d, s, err) != 0) ||
				    devstackd_start(s, err) != 0)
					return -1;
			} else if (devstackd_probe(s)) {
				if (i == DEVSTACKD_PG && devstackd_pg_setup(s, err) != 0)
					return -1;
				ready[i] = 1;
				left--;
			}
		}
	}
	return 0;
}

static void
stop_all(struct devstackd *d)
{
	int64_t begin = base_mono_us(), ms;
	int i, stage, sent = 0;

	while (reap(d) > 0) {
		ms = (base_mono_us() - begin) / 1000;
		stage = ms < DEVSTACKD_STOP_MS ? 1 : ms < DEVSTACKD_STOP_MS + 3000 ? 2 : 3;
		for (i = 0; i < DEVSTACKD_SERVERS; i++)
			if (d->servers[i].pid != 0 && sent < stage)
				kill(d->servers[i].pid,
				    stage == 1       ? d->servers[i].stop_signal
					: stage == 2 ? d->servers[i].hard_signal
						     : SIGKILL);
		sent = stage;
		devstackd_wait(20);
	}
	devstackd_socks_remove(d);
}

static void
setup_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	ASSERT(signals >= 0);
	signal(SIGPIPE, SIG_IGN);
}

int
main(int argc, char **argv)
{
	/* Static: its strings last as long as the process. */
	static struct devstackd d;
	char err[DEVSTACKD_ERR] = "";
	int i, j;

	if (argc < 2) {
		fprintf(stderr,
		    "usage: insula-devstack DIR [--pg] [--nats] [--redis] [--host PID]\n"
		    "Runs until standard input ends.\n");
		return 2;
	}
	d.host = getppid();
	d.dir = argv[1];
	setsid();
	umask(022);
	setup_signals();
	setup(&d);
	for (i = 2; i < argc; i++) {
		if (strcmp(argv[i], "--host") == 0 && i + 1 < argc)
			d.host = atoi(argv[++i]);
		else if (strcmp(argv[i], "--pg") == 0)
			d.servers[DEVSTACKD_PG].wanted = 1;
		else if (strcmp(argv[i], "--nats") == 0)
			d.servers[DEVSTACKD_NATS].wanted = 1;
		else if (strcmp(argv[i], "--redis") == 0)
			d.servers[DEVSTACKD_REDIS].wanted = 1;
	}
	if (start_all(&d, err) != 0) {
		printf("error %s\n", err);
		fflush(stdout);
		stop_all(&d);
		return 1;
	}
	for (j = 0; j < DEVSTACKD_SERVERS; j++)
		if (d.servers[j].wanted)
			printf("%s %s\n",
			    j == DEVSTACKD_PG         ? "pg"
				: j == DEVSTACKD_NATS ? "nats"
						      : "redis",
			    d.servers[j].url);
	printf("ready\n");
	fflush(stdout);
	while (!devstackd_wait(revive(&d)))
		reap(&d);
	stop_all(&d);
	return 0;
}
