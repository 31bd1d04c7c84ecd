/*
 * devstackd_dir.c: the directories of the private servers, the lock on them, and what an earlier
 * life left behind.
 *
 * DIR           0711 as root, so that the servers' users can reach their folders; else 0700
 * DIR/lock      held for as long as the supervisor lives; "<host's pid>"
 * DIR/sockets   the path of the socket directory, to clean up after a kill -9
 * DIR/{pg,nats,redis}   0700, owned by the server's user
 * DIR/log       the servers' output
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/devstackd.h"

static int
fail(char err[DEVSTACKD_ERR], const char *path)
{
	snprintf(err, DEVSTACKD_ERR, "%s: %s", path, strerror(errno));
	return -1;
}

/* mkdir -p */
static int
make_path(const char *path, mode_t mode, char err[DEVSTACKD_ERR])
{
	char *p = base_strdup(path), *slash;
	int r = 0;

	for (slash = strchr(p + 1, '/'); r == 0; slash = strchr(slash + 1, '/')) {
		if (slash != NULL)
			*slash = '\0';
		if (mkdir(p, slash == NULL ? mode : 0755) != 0 && errno != EEXIST)
			r = fail(err, p);
		if (slash == NULL)
			break;
		*slash = '/';
	}
	free(p);
	return r;
}

/* As root the servers run as other users, who must be able to walk down to their folder. */
static int
check_walk(const char *dir, char err[DEVSTACKD_ERR])
{
	char *p = base_strdup(dir), *slash;
	struct stat st;
	int r = 0;

	for (slash = strrchr(p, '/'); slash != NULL && slash != p && r == 0;
	     slash = strrchr(p, '/')) {
		*slash = '\0';
		if (stat(p, &st) != 0)
			r = fail(err, p);
		else if ((st.st_mode & S_IXOTH) == 0) {
			snprintf(err, DEVSTACKD_ERR,
			    "as root the servers run as users of their own, who cannot enter %s: "
			    "choose another state directory than %s",
			    p, dir);
			r = -1;
		}
	}
	free(p);
	return r;
}

int
devstackd_own(
    const char *path, mode_t mode, const struct devstackd_user *u, char err[DEVSTACKD_ERR])
{
	if (mkdir(path, mode) != 0 && errno != EEXIST)
		return fail(err, path);
	if (u->name != NULL && lchown(path, u->uid, u->gid) != 0)
		return fail(err, path);
	return chmod(path, mode) == 0 ? 0 : fail(err, path);
}

int
devstackd_write(
    const char *path, const char *text, const struct devstackd_user *u, char err[DEVSTACKD_ERR])
{
	size_t n = strlen(text);
	int fd, ok;

	/* The folder belongs to the server's user: what stands there is replaced, not followed. */
	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fail(err, path);
	ok = write(fd, text, n) == (ssize_t)n &&
	    (u == NULL || u->name == NULL || fchown(fd, u->uid, u->gid) == 0);
	close(fd);
	return ok ? 0 : fail(err, path);
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	remove(path);
	return 0;
}

void
devstackd_remove_tree(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static ssize_t
read_file(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = read(fd, buf, size - 1);
	close(fd);
	buf[n < 0 ? 0 : n] = '\0';
	return n;
}

/* One supervisor per directory. One whose host is gone is on its way out: wait for that. */
static int
lock_take(struct devstackd *d, char err[DEVSTACKD_ERR])
{
	char *path = base_printf("%s/lock", d->dir), text[32];
	int64_t until = base_mono_us() + (DEVSTACKD_STOP_MS + 5000) * INT64_C(1000);
	int host, r = -1;

	d->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (d->lock < 0) {
		fail(err, path);
		free(path);
		return -1;
	}
	for (;;) {
		if (flock(d->lock, LOCK_EX | LOCK_NB) == 0) {
			int n = snprintf(text, sizeof text, "%d\n", (int)d->host);

			r = ftruncate(d->lock, 0) == 0 && pwrite(d->lock, text, (size_t)n, 0) == n
			    ? 0
			    : fail(err, path);
			break;
		}
		host = read_file(path, text, sizeof text) > 0 ? atoi(text) : 0;
		if (host > 0 && !devstackd_dead(host)) {
			snprintf(err, DEVSTACKD_ERR,
			    "%s is in use by process %d: stop that one, or choose another state "
			    "directory",
			    d->dir, host);
			break;
		}
		if (base_mono_us() > until || devstackd_wait(50)) {
			snprintf(
			    err, DEVSTACKD_ERR, "%s is locked by servers that do not stop", d->dir);
			break;
		}
	}
	free(path);
	return r;
}

int
devstackd_dir_open(struct devstackd *d, char err[DEVSTACKD_ERR])
{
	mode_t mode = geteuid() == 0 ? 0711 : 0700;
	struct stat st;
	const char *c;
	char *log;
	int r;

	/* The servers' configuration files quote paths, each in its own way. */
	for (c = d->dir; *c != '\0' && (unsigned char)*c >= ' ' && strchr("\"'\\", *c) == NULL; c++)
		;
	if (d->dir[0] != '/' || *c != '\0') {
		snprintf(err, DEVSTACKD_ERR,
		    "%s: not an absolute path without quotes and control characters", d->dir);
		return -1;
	}
	if (make_path(d->dir, mode, err) != 0)
		return -1;
	if (lstat(d->dir, &st) != 0)
		return fail(err, d->dir);
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid()) {
		snprintf(err, DEVSTACKD_ERR, "%s: not a directory of ours", d->dir);
		return -1;
	}
	if (chmod(d->dir, mode) != 0)
		return fail(err, d->dir);
	if (geteuid() == 0 && check_walk(d->dir, err) != 0)
		return -1;
	log = base_printf("%s/log", d->dir);
	r = mkdir(log, 0700) == 0 || errno == EEXIST ? 0 : fail(err, log);
	free(log);
	return r == 0 ? lock_take(d, err) : r;
}

/* What devstackd_socks_make() may have made, and nothing else, is removed as a stale one. */
static int
ours(const char *path)
{
	const char *base = strrchr(path, '/');
	struct stat st;

	return path[0] == '/' && base != NULL && strncmp(base, "/insula-", 8) == 0 &&
	    strstr(path, "/../") == NULL && lstat(path, &st) == 0 && S_ISDIR(st.st_mode) &&
	    st.st_uid == geteuid();
}

int
devstackd_socks_make(struct devstackd *d, char err[DEVSTACKD_ERR])
{
	const char *run = getenv("XDG_RUNTIME_DIR"), *parents[3] = { NULL };
	char *record = base_printf("%s/sockets", d->dir), old[256];
	struct stat st;
	size_t i;
	int r = -1;

	if (read_file(record, old, sizeof old) > 0 && ours(old))
		devstackd_remove_tree(old);
	if (geteuid() == 0)
		parents[0] = "/run";
	else if (run != NULL && run[0] == '/' && strlen(run) < 64 &&
	    strspn(run, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-") ==
		strlen(run) &&
	    stat(run, &st) == 0 && st.st_uid == geteuid())
		parents[0] = run;
	parents[parents[0] != NULL] = "/tmp";
	for (i = 0; parents[i] != NULL && r != 0; i++) {
		free(d->socks);
		d->socks = base_printf("%s/insula-XXXXXX", parents[i]);
		r = mkdtemp(d->socks) != NULL ? 0 : fail(err, d->socks);
	}
	if (r == 0)
		r = devstackd_write(record, d->socks, NULL, err);
	if (r == 0 && geteuid() == 0 && chmod(d->socks, 0711) != 0)
		r = fail(err, d->socks);
	free(record);
	return r;
}

void
devstackd_socks_remove(struct devstackd *d)
{
	char *record = base_printf("%s/sockets", d->dir);

	if (d->socks != NULL && ours(d->socks))
		devstackd_remove_tree(d->socks);
	unlink(record);
	free(record);
}

pid_t
devstackd_leftover(const struct devstackd *d, const struct devstackd_server *s)
{
	char buf[4096], path[64], *arg, *base;
	size_t dir_n = strlen(d->dir);
	ssize_t n;
	int pid;

	if (read_file(s->pidfile, buf, sizeof buf) <= 0 || (pid = atoi(buf)) <= 1)
		return 0;
	/* A process id is used again sooner or later: it counts only with the name of the server
	 * and our directory on its command line. (Which anyone may read; /proc/PID/exe of another
	 * user is closed even to root in a container.) */
	snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
	n = read_file(path, buf, sizeof buf);
	if (n <= 0)
		return 0;
	base = strrchr(buf, '/');
	if (strcmp(base == NULL ? buf : base + 1, s->name) != 0)
		return 0;
	for (arg = buf; arg < buf + n; arg += strlen(arg) + 1)
		if (strncmp(arg, d->dir, dir_n) == 0 && arg[dir_n] == '/')
			return pid;
	return 0;
}

int
devstackd_leftovers_stop(struct devstackd *d, char err[DEVSTACKD_ERR])
{
	int64_t begin = base_mono_us(), ms;
	pid_t pids[DEVSTACKD_SERVERS];
	int i, left, sent[DEVSTACKD_SERVERS] = { 0 };

	for (i = 0; i < DEVSTACKD_SERVERS; i++)
		pids[i] = devstackd_leftover(d, &d->servers[i]);
	for (;;) {
		left = 0;
		ms = (base_mono_us() - begin) / 1000;
		for (i = 0; i < DEVSTACKD_SERVERS; i++) {
			struct devstackd_server *s = &d->servers[i];
			int stage = ms < DEVSTACKD_STOP_MS  ? 1
			    : ms < DEVSTACKD_STOP_MS + 3000 ? 2
							    : 3;

			if (pids[i] == 0 || devstackd_dead(pids[i]))
				continue;
			left++;
			if (sent[i] == 0)
				fprintf(stderr, "insula: stopping a %s that was left behind\n",
				    s->name);
			if (sent[i] < stage)
				kill(pids[i],
				    stage == 1       ? s->stop_signal
					: stage == 2 ? s->hard_signal
						     : SIGKILL);
			sent[i] = stage;
		}
		if (left == 0)
			return 0;
		if (ms > DEVSTACKD_STOP_MS + 6000 || devstackd_wait(20)) {
			snprintf(err, DEVSTACKD_ERR,
			    "servers of an earlier start in %s do not stop", d->dir);
			return -1;
		}
	}
}
