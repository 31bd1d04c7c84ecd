/*
 * child.h: sandboxed helper processes. The host execs a program of its own
 * (libexec/insula/insula-extract), never forks from threads: uv_spawn with three pipes and nothing
 * else open; the child sets its rlimits (CPU, address space, no files, no processes) and a seccomp
 * filter before it reads the first byte of the document. Time, output and input are bounded.
 */
#ifndef HOST_CHILD_H
#define HOST_CHILD_H

#include <insula/insula.h>

#include "loop/task.h"

#define CHILD_OUTPUT_MAX (64u << 20)
#define CHILDREN_PER_LOOP 4 /* more wait */

/*
 * Runs tool ("extract") with one argument (the media type) and gives it input on its standard
 * input; ret: its standard output, in the ctx's arena (malloc with cleanup, not counted).
 * -INS_EINVAL with the tool's own sentence when it refuses the input, -INS_ETIMEOUT, -INS_EINTERNAL
 * when it crashed or was killed by its sandbox (the document is at fault; the text says so).
 */
int child_run(struct ins_ctx *, const char *tool, const char *arg, ins_str input,
    int64_t timeout_ms, ins_str *ret);
void child_loop_stop(struct ins_loop *);

#endif
