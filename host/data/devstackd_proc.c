/*
 * devstackd_proc.c: runs the servers' programs as their users.
 *
 * A child gets its user, an empty signal mask, its log as standard output and error, and a death
 * signal: should the supervisor itself be killed, the kernel tells the server to stop. Nothing
 * else is inherited.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data/devstackd.h"

int
devstackd_user(struct devstackd_user *u, const char *const *names, char err[DEVSTACKD_ERR])
{
	const char *const *n;
	struct passwd *pw;

	u->name = NULL;
	u->uid = geteuid();
	u->gid = getegid();
	if (u->uid != 0)
		return 0;
	for (n = names; *n != NULL; n++) {
		pw = getpwnam(*n);
		if (pw == NULL || pw->pw_uid == 0)
			continue;
		u->name = *n;
		u->uid = pw->pw_uid;
		u->gid = pw->pw_gid;
		return 0;
	}
	snprintf(err, DEVSTACKD_ERR,
	    "there is no user %s to run the server as: it does not run as root", names[0]);
	return -1;
}

char *
devstackd_find(const char *program)
{
	static const char *const folders[] = { "/usr/sbin", "/usr/bin", "/usr/local/sbin",
		"/usr/local/bin" };
	char *path;
	size_t i;

	for (i = 0; i < NELEM(folders); i++) {
		path = base_printf("%s/%s", folders[i], program);
		if (access(path, X_OK) == 0)
			return path;
		free(path);
	}
	return NULL;
}

/* In the child: never returns. Only system calls from here on. */
static void
become(const struct devstackd_server *s, const char *const *argv, int log, pid_t parent)
{
	static char *const empty[] = { (char *)(uintptr_t) "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
		(char *)(uintptr_t) "LC_ALL=C", (char *)(uintptr_t) "TZ=UTC", NULL };
	sigset_t none;
	int null;

	if (s->user.name != NULL &&
	    (setgroups(1, &s->user.gid) != 0 || setgid(s->user.gid) != 0 ||
		setuid(s->user.uid) != 0))
		_exit(126);
	/* After setuid, which clears it. */
	if (prctl(PR_SET_PDEATHSIG, s->stop_signal) != 0 || getppid() != parent)
		_exit(126);
	null = open("/dev/null", O_RDONLY);
	if (chdir(s->data) != 0 || null < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 ||
	    dup2(log, 2) < 0)
		_exit(126);
	close_range(3, ~0U, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	umask(077);
	execve(argv[0], (char *const *)(uintptr_t)argv, empty);
	_exit(127);
}

pid_t
devstackd_spawn(const struct devstackd_server *s, const char *const *argv, char err[DEVSTACKD_ERR])
{
	pid_t pid, self = getpid();
	int log;

	log = open(s->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (log < 0) {
		snprintf(err, DEVSTACKD_ERR, "%s: %s", s->log, strerror(errno));
		return -1;
	}
	pid = fork();
	if (pid == 0)
		become(s, argv, log, self);
	close(log);
	if (pid < 0)
		snprintf(err, DEVSTACKD_ERR, "fork: %s", strerror(errno));
	return pid;
}

int
devstackd_run(const struct devstackd_server *s, const char *const *argv, char err[DEVSTACKD_ERR])
{
	pid_t pid = devstackd_spawn(s, argv, err), r;
	int status;

	if (pid < 0)
		return -1;
	while ((r = waitpid(pid, &status, WNOHANG)) == 0) {
		if (devstackd_wait(50)) {
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			snprintf(err, DEVSTACKD_ERR, "told to stop");
			return -1;
		}
	}
	if (r != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		snprintf(err, DEVSTACKD_ERR, "%s failed; see %s", argv[0], s->log);
		return -1;
	}
	return 0;
}

int
devstackd_dead(pid_t pid)
{
	char path[64], buf[512], *p;
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 1;
	n = read(fd, buf, sizeof buf - 1);
	close(fd);
	if (n <= 0)
		return 1;
	buf[n] = '\0';
	/* "pid (name) state": the name may hold anything, so from its last bracket. */
	p = strrchr(buf, ')');
	return p == NULL || p[1] != ' ' || p[2] == 'Z' || p[2] == 'X';
}
