/*
 * devstack.c: the host's end of the private servers: starts their supervisor and reads what it
 * says.
 *
 * The supervisor's standard input is a pipe whose other end only we hold. Whatever ends us closes
 * it, and that is its order to stop the servers.
 */
#include "data/devstack.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"

#define DEVSTACK_MAGIC 0x44455653u

struct devstack {
	uint32_t magic;
	pid_t pid;
	int control; /* the pipe whose end means stop */
	char *dir, *pg, *nats, *redis;
};

extern char **environ;

static char *
default_dir(void)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

	if (geteuid() == 0)
		return base_strdup("/var/lib/insula-dev");
	if (state != NULL && state[0] == '/')
		return base_printf("%s/insula", state);
	return base_printf(
	    "%s/.local/state/insula", home != NULL && home[0] == '/' ? home : "/tmp");
}

/* Beside the host in a build tree, from a test program of that tree, or where it is installed. */
static char *
find_program(void)
{
	static const char *const below[] = { "insula-devstack", "../../host/insula-devstack",
		"../libexec/insula/insula-devstack" };
	char exe[PATH_MAX], *slash, *path;
	ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
	size_t i;

	if (n > 0) {
		exe[n] = '\0';
		slash = strrchr(exe, '/');
		if (slash != NULL)
			*slash = '\0';
		for (i = 0; i < NELEM(below); i++) {
			path = base_printf("%s/%s", exe, below[i]);
			if (access(path, X_OK) == 0)
				return path;
			free(path);
		}
	}
	return base_strdup(LIBEXECDIR "/insula-devstack");
}

/* Returns the reading end of the supervisor's standard output, or -1. */
static int
spawn(struct devstack *d, const struct devstack_conf *c, char err[512])
{
	char *program = find_program(), host[16];
	const char *argv[8] = { "insula-devstack", d->dir, "--host", host };
	int n = 4, control[2] = { -1, -1 }, status[2] = { -1, -1 }, r;
	posix_spawn_file_actions_t fa;

	snprintf(host, sizeof host, "%d", (int)getpid());
	if (c->want_pg)
		argv[n++] = "--pg";
	if (c->want_nats)
		argv[n++] = "--nats";
	if (c->want_redis)
		argv[n++] = "--redis";
	if (pipe2(control, O_CLOEXEC) != 0 || pipe2(status, O_CLOEXEC) != 0) {
		snprintf(err, 512, "pipe: %s", strerror(errno));
		r = -1;
	} else {
		posix_spawn_file_actions_init(&fa);
		posix_spawn_file_actions_adddup2(&fa, control[0], 0);
		posix_spawn_file_actions_adddup2(&fa, status[1], 1);
		posix_spawn_file_actions_addclosefrom_np(&fa, 3);
		r = posix_spawn(
		    &d->pid, program, &fa, NULL, (char *const *)(uintptr_t)argv, environ);
		posix_spawn_file_actions_destroy(&fa);
		if (r != 0)
			snprintf(err, 512, "%s: %s", program, strerror(r));
	}
	if (control[0] >= 0)
		close(control[0]);
	if (status[1] >= 0)
		close(status[1]);
	d->control = control[1];
	free(program);
	if (r != 0) {
		d->pid = 0;
		if (status[0] >= 0)
			close(status[0]);
		return -1;
	}
	return status[0];
}

/* 0 once it said "ready". */
static int
listen_to(struct devstack *d, int fd, char err[512])
{
	FILE *f = fdopen(fd, "re");
	char *line = NULL, *value;
	size_t cap = 0;
	int r = -1;

	ASSERT(f != NULL);
	snprintf(err, 512, "the servers' supervisor ended without a word");
	while (r != 0 && getline(&line, &cap, f) > 0) {
		line[strcspn(line, "\n")] = '\0';
		value = strchr(line, ' ');
		if (value != NULL)
			*value++ = '\0';
		else
			value = line + strlen(line);
		if (strcmp(line, "ready") == 0)
			r = 0;
		else if (strcmp(line, "error") == 0)
			snprintf(err, 512, "%s", value);
		else if (strcmp(line, "pg") == 0)
			d->pg = base_strdup(value);
		else if (strcmp(line, "nats") == 0)
			d->nats = base_strdup(value);
		else if (strcmp(line, "redis") == 0)
			d->redis = base_strdup(value);
	}
	free(line);
	fclose(f);
	return r;
}

struct devstack *
devstack_start(const struct devstack_conf *c, char err[512])
{
	struct devstack *d = base_alloc(sizeof *d);
	int fd;

	d->magic = DEVSTACK_MAGIC;
	d->dir = c->dir == NULL ? default_dir() : base_strdup(c->dir);
	fd = spawn(d, c, err);
	if (fd >= 0 && listen_to(d, fd, err) == 0)
		return d;
	devstack_stop(d);
	return NULL;
}

const char *
devstack_pg_url(const struct devstack *d)
{
	CHECK_OBJ(d, DEVSTACK_MAGIC);
	return d->pg;
}

const char *
devstack_nats_url(const struct devstack *d)
{
	CHECK_OBJ(d, DEVSTACK_MAGIC);
	return d->nats;
}

const char *
devstack_redis_url(const struct devstack *d)
{
	CHECK_OBJ(d, DEVSTACK_MAGIC);
	return d->redis;
}

const char *
devstack_dir(const struct devstack *d)
{
	CHECK_OBJ(d, DEVSTACK_MAGIC);
	return d->dir;
}

void
devstack_stop(struct devstack *d)
{
	int status;

	if (d == NULL)
		return;
	CHECK_OBJ(d, DEVSTACK_MAGIC);
	if (d->control >= 0)
		close(d->control);
	/* It stops the servers, the hard way when they take too long, and then ends. */
	if (d->pid > 0)
		while (waitpid(d->pid, &status, 0) < 0 && errno == EINTR)
			;
	free(d->dir);
	free(d->pg);
	free(d->nats);
	free(d->redis);
	d->magic = 0;
	free(d);
}
