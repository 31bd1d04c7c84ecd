/*
 * watch.c: the parent of `insula serve`: starts the host again when it crashes.
 *
 * It is a process without threads that waits and counts. A child that exits by itself (drained, or
 * a configuration that is wrong) is the end; one that a signal killed is started again, after 100
 * ms and twice as long each time up to 10 s, from the beginning once it lived for a minute. Signals
 * to the parent go on to the child, which has a process group of its own so that a Ctrl-C reaches
 * it once.
 *
 * A dying child writes the name of the plugin whose task was running down a pipe. Three crashes of
 * one plugin within 60 s put it into quarantine: the next child leaves it out if the configuration
 * says required: false, and otherwise the host is started with it as before, since required plugins
 * fail closed. Each crash is a line of crashes.log in the state directory.
 */
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "loop/task.h"
#include "plugin/plugin.h"

#define WATCH_BACKOFF_MS 100
#define WATCH_BACKOFF_MAX_MS 10000
#define WATCH_HEALTHY_US (60 * 1000000LL)
#define QUARANTINE_CRASHES 3
#define QUARANTINE_WINDOW_US (60 * 1000000LL)
#define CRASHES_KEPT 32

static int crash_fd = -1;     /* child: the pipe */
static char quarantine[1024]; /* names, each with a space behind */
static volatile sig_atomic_t child_pid, stopping;

static struct {
	char plugin[64];
	int64_t us;
} crashes[CRASHES_KEPT];
static unsigned n_crashes;

int
watch_quarantined(const char *plugin)
{
	const char *p = quarantine;
	size_t n = strlen(plugin);

	while ((p = strstr(p, plugin)) != NULL) {
		if ((p == quarantine || p[-1] == ' ') && p[n] == ' ')
			return 1;
		p += n;
	}
	return 0;
}

/* Only async-signal-safe calls; the structs read here are those of this thread. */
static void
watch_died(int signum)
{
	struct ins_ctx *ctx = task_self();

	if (crash_fd >= 0 && ctx != NULL && ctx->inst != NULL &&
	    write(crash_fd, ctx->inst->name, strlen(ctx->inst->name)) < 0)
		crash_fd = -1;
	signal(signum, SIG_DFL);
	raise(signum);
}

/* Sanitizers have handlers of their own, which say more. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WATCH_HANDLERS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define WATCH_HANDLERS 0
#endif
#endif
#ifndef WATCH_HANDLERS
#define WATCH_HANDLERS 1
#endif

void
watch_child_init(void)
{
	static const int deadly[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };
	struct sigaction sa = { .sa_handler = watch_died, .sa_flags = SA_NODEFER };
	size_t i;

	for (i = 0; WATCH_HANDLERS && crash_fd >= 0 && i < NELEM(deadly); i++)
		sigaction(deadly[i], &sa, NULL);
}

static void
watch_pass_on(int signum)
{
	if (signum != SIGHUP)
		stopping = 1;
	if (child_pid > 0)
		kill((pid_t)child_pid, signum);
}

static void
watch_ledger(const char *dir, const char *plugin, int signum)
{
	char when[32], *path;
	time_t now = time(NULL);
	FILE *f;

	if (dir == NULL)
		return;
	path = base_printf("%s/crashes.log", dir);
	f = fopen(path, "ae");
	if (f != NULL) {
		strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
		fprintf(f, "%s signal=%d plugin=%s\n", when, signum, *plugin ? plugin : "-");
		fclose(f);
	}
	free(path);
}

/* Counts the crash; puts the plugin into quarantine at the third. */
static void
watch_count(const char *plugin)
{
	int64_t now = base_mono_us();
	unsigned i, recent = 0;
	size_t n = strlen(quarantine);

	snprintf(crashes[n_crashes % CRASHES_KEPT].plugin, 64, "%s", plugin);
	crashes[n_crashes % CRASHES_KEPT].us = now;
	n_crashes++;
	for (i = 0; i < CRASHES_KEPT && i < n_crashes; i++)
		recent += strcmp(crashes[i].plugin, plugin) == 0 &&
		    now - crashes[i].us < QUARANTINE_WINDOW_US;
	if (*plugin == '\0' || recent < QUARANTINE_CRASHES || watch_quarantined(plugin))
		return;
	snprintf(quarantine + n, sizeof quarantine - n, "%s ", plugin);
	log_msg(INS_LOG_ERROR, "watch.quarantine", "%s crashed %d times in %lld s", plugin,
	    QUARANTINE_CRASHES, QUARANTINE_WINDOW_US / 1000000);
}

/* Runs one child to its end. Returns its wait status and the plugin at fault. */
static int
watch_once(int (*child)(void *), void *arg, char plugin[64])
{
	pid_t parent = getpid(), pid;
	int fds[2], status = 0;
	ssize_t n;

	AZ(pipe2(fds, O_CLOEXEC));
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		close(fds[0]);
		crash_fd = fds[1];
		setpgid(0, 0);
		signal(SIGTERM, SIG_DFL);
		signal(SIGINT, SIG_DFL);
		signal(SIGHUP, SIG_DFL);
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (getppid() != parent)
			_exit(1);
		exit(child(arg));
	}
	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		log_msg(INS_LOG_ERROR, "watch.fork", "%s", strerror(errno));
		return -1;
	}
	child_pid = pid;
	if (stopping) /* came while there was nobody to pass it on to */
		kill(pid, SIGTERM);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	child_pid = 0;
	n = read(fds[0], plugin, 63);
	plugin[n > 0 ? n : 0] = '\0';
	close(fds[0]);
	return status;
}

int
watch_run(int (*child)(void *), void *arg, const char *dir)
{
	static const int numbers[] = { SIGTERM, SIGINT, SIGHUP };
	struct sigaction sa = { .sa_handler = watch_pass_on };
	struct timespec wait;
	int64_t began, ms = WATCH_BACKOFF_MS;
	char plugin[64];
	int status;
	size_t i;

	for (i = 0; i < NELEM(numbers); i++)
		sigaction(numbers[i], &sa, NULL);
	for (;;) {
		began = base_mono_us();
		status = watch_once(child, arg, plugin);
		if (status >= 0 && WIFEXITED(status))
			return WEXITSTATUS(status);
		/* SIGTERM is somebody's wish, not a crash of ours. */
		if (status >= 0 && WTERMSIG(status) == SIGTERM)
			return 0;
		if (status >= 0) {
			watch_ledger(dir, plugin, WTERMSIG(status));
			log_event(INS_LOG_ERROR, "watch.crashed",
			    json_pack("{s:i, s:s, s:I}", "signal", WTERMSIG(status), "plugin",
				plugin, "restart_ms", (json_int_t)ms));
			watch_count(plugin);
		}
		if (base_mono_us() - began > WATCH_HEALTHY_US)
			ms = WATCH_BACKOFF_MS;
		wait.tv_sec = ms / 1000;
		wait.tv_nsec = ms % 1000 * 1000000;
		nanosleep(&wait, NULL); /* a signal cuts it short */
		if (stopping)
			return 0;
		ms = ms * 2 > WATCH_BACKOFF_MAX_MS ? WATCH_BACKOFF_MAX_MS : ms * 2;
	}
}
