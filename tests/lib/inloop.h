/*
 * inloop.h: runs a test's function as a task on a loop of the host and waits for its end.
 *
 * The test's thread is the control thread. Per-loop services are started and stopped by the
 * functions given, on each loop.
 */
#ifndef TESTS_INLOOP_H
#define TESTS_INLOOP_H

#include "loop/task.h"

void inloop_start(unsigned n, void (*start)(struct ins_loop *));
/* The result of fn(ctx, arg) as a task on that loop. */
int inloop_run(unsigned loop, int (*fn)(struct ins_ctx *, void *), void *arg);
void inloop_stop(void (*stop)(struct ins_loop *));

#endif
