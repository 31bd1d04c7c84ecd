/*
 * sandbox.c: limits first, then the filter, since the filter forbids setting limits. The list is of
 * what is allowed: a system call that a later kernel adds is refused without our doing.
 *
 * Kill, not an errno: a parser that opens a file is no longer our program, and the host's log
 * should say so.
 */
#include "child/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define NOBODY 65534

static int
limit(int what, rlim_t n)
{
	struct rlimit r = { n, n };

	if (what == RLIMIT_CPU)
		r.rlim_max++; /* at the hard limit comes SIGKILL, at the soft one SIGXCPU, which
				 says why */

	return setrlimit((__rlimit_resource_t)what, &r);
}

static int
limits(void)
{
#ifndef SANDBOX_SANITIZER /* their shadow memory is terabytes of address space */
	if (limit(RLIMIT_AS, SANDBOX_ADDRESS_SPACE) != 0)
		return -1;
#endif
	if (limit(RLIMIT_CPU, SANDBOX_CPU_S) != 0 || limit(RLIMIT_FSIZE, SANDBOX_FILE_SIZE) != 0 ||
	    limit(RLIMIT_CORE, 0) != 0 || limit(RLIMIT_NOFILE, 3) != 0 ||
	    limit(RLIMIT_NPROC, 0) != 0)
		return -1;
	return 0;
}

static int
filter(void)
{
	static const int allowed[] = {
		SCMP_SYS(read),
		SCMP_SYS(write),
		SCMP_SYS(brk),
		SCMP_SYS(munmap),
		SCMP_SYS(mremap),
		SCMP_SYS(madvise),
		SCMP_SYS(futex),
		SCMP_SYS(exit),
		SCMP_SYS(exit_group),
		SCMP_SYS(rt_sigreturn),
		SCMP_SYS(rt_sigprocmask),
		SCMP_SYS(clock_gettime),
		SCMP_SYS(gettimeofday),
		SCMP_SYS(getrandom),
		SCMP_SYS(fstat),
		SCMP_SYS(restart_syscall),
#ifdef SANDBOX_SANITIZER /* their runtimes' own threads, clocks and signal stacks */
		SCMP_SYS(sched_yield),
		SCMP_SYS(sigaltstack),
		SCMP_SYS(clock_nanosleep),
		SCMP_SYS(nanosleep),
		SCMP_SYS(gettid),
		SCMP_SYS(getpid),
		SCMP_SYS(rt_sigaction),
		SCMP_SYS(prctl),
#endif
	};
	scmp_filter_ctx f;
	size_t i;
	int r = 0;

	f = seccomp_init(SCMP_ACT_KILL_PROCESS);
	if (f == NULL)
		return -1;
	for (i = 0; i < sizeof allowed / sizeof allowed[0] && r == 0; i++)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, allowed[i], 0);
	/* memory, but never memory that can be run */
	if (r == 0)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
		    SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (r == 0)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
		    SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (r == 0)
		r = seccomp_load(f);
	seccomp_release(f);
	errno = -r;
	return r == 0 ? 0 : -1;
}

/* Root in the host must not be root in a parser. */
static int
drop_root(void)
{
	if (geteuid() != 0)
		return 0;
	return setgroups(0, NULL) != 0 || setresgid(NOBODY, NOBODY, NOBODY) != 0 ||
		setresuid(NOBODY, NOBODY, NOBODY) != 0
	    ? -1
	    : 0;
}

int
sandbox_enter(void)
{
	if (drop_root() != 0 || close_range(3, ~0u, 0) != 0 || prctl(PR_SET_DUMPABLE, 0) != 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 ||
	    limits() != 0 || filter() != 0) {
		dprintf(2, "the sandbox cannot be entered: %s\n", strerror(errno));
		return -1;
	}
	return 0;
}
