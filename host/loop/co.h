/*
 * co.h: stackful coroutines. The only file pair that knows stacks, switches and sanitizer fibers.
 *
 * A coroutine belongs to the loop (thread) that made it. Stacks are 256 KiB of address space with a
 * guard page, taken from the thread's pool and given back when the function returns.
 */
#ifndef HOST_CO_H
#define HOST_CO_H

#include "base/base.h"

#define CO_STACK ((size_t)256 << 10) /* bytes; with the guard page one mapping */
#define CO_POOL_MAX 128u             /* stacks that a thread keeps for the next coroutine */
#define CO_LIVE_MAX 16384u           /* coroutines of one thread */

struct co;

/* NULL at the limit, or when the system gives no stack. */
struct co *co_new(void (*fn)(void *), void *arg);
/* Runs co until it yields or returns; not from inside co itself. Returns 1 when co has returned
 * (and is gone). */
int co_resume(struct co *);
/* Back to whoever resumed the current coroutine. */
void co_yield(void); /* clang-format takes the name for C++'s keyword */
/* The running coroutine, NULL on the loop's own stack. */
struct co *co_self(void);
/* Frees the pooled stacks of this thread. */
void co_pool_fini(void);

#endif
