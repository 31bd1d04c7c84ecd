/*
 * co.c: stackful coroutines on Boost.Context's switch (contrib/adr/0001). One thread each.
 *
 * The struct co lies at the top of its own stack, so a coroutine is one mapping and nothing else.
 * Stacks are address space until touched; the page below each is a guard, so an overflow is a fault
 * at once and never a neighbour's memory. Stacks that are given back go to the thread's pool, last
 * in first out, where their first pages are still in the cache; what is over the pool's cap is
 * unmapped.
 */
#include "loop/co.h"

#include <sys/mman.h>
#include <unistd.h>

#define CO_MAGIC 0x434f524fu

#if BASE_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if BASE_TSAN
#include <sanitizer/tsan_interface.h>
#endif
#if defined(__has_include) && !BASE_ASAN && !BASE_TSAN
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif
#ifndef VALGRIND_STACK_REGISTER
#define VALGRIND_STACK_REGISTER(a, b) ((void)(a), (void)(b), 0u)
#define VALGRIND_STACK_DEREGISTER(id) ((void)(id))
#endif

/* Boost.Context's C symbols; its header is C++. */
typedef struct {
	void *fctx, *data;
} transfer_t;
extern transfer_t jump_fcontext(void *to, void *vp);
extern void *make_fcontext(void *sp, size_t size, void (*fn)(transfer_t));

/* A place that a switch leaves from or goes to: a coroutine or the thread's own stack. */
struct side {
	const void *stack;
	size_t size;
	void *fake;  /* AddressSanitizer's */
	void *fiber; /* ThreadSanitizer's */
};

struct co {
	uint32_t magic;
	int done;
	void (*fn)(void *);
	void *arg;
	void *fctx;        /* where it goes on */
	void *caller_fctx; /* where its resumer goes on */
	struct co *caller; /* the coroutine that resumed it, NULL = the thread's stack */
	struct co *next;   /* in the pool */
	struct side side;
	unsigned char *map;
	unsigned valgrind_id;
};

static __thread struct co *current;
static __thread struct side own; /* the thread's stack */
static __thread struct co *pool;
static __thread unsigned n_pool, n_live;

static struct side *
side_of(struct co *co)
{
	return co == NULL ? &own : &co->side;
}

/* The last thing before a switch. `last`: who leaves will not come back. Inlined, since
 * ThreadSanitizer would book this function's return on the other side's call stack. */
static inline __attribute__((always_inline)) void
leave(struct side *from, struct side *to, int last)
{
#if BASE_ASAN
	__sanitizer_start_switch_fiber(last ? NULL : &from->fake, to->stack, to->size);
#endif
#if BASE_TSAN
	if (from->fiber == NULL)
		from->fiber = __tsan_get_current_fiber();
	__tsan_switch_to_fiber(to->fiber, 0);
#endif
	(void)from;
	(void)to;
	(void)last;
}

/* The first thing after one; from is who left. */
static void
arrive(struct side *self, struct side *from)
{
#if BASE_ASAN
	__sanitizer_finish_switch_fiber(self->fake, &from->stack, &from->size);
#endif
	(void)self;
	(void)from;
}

static void
co_main(transfer_t t)
{
	struct co *co = t.data;

	arrive(&co->side, side_of(co->caller));
	co->caller_fctx = t.fctx;
	co->fn(co->arg);
	CHECK_OBJ(co, CO_MAGIC);
	co->done = 1;
	leave(&co->side, side_of(co->caller), 1);
	jump_fcontext(co->caller_fctx, NULL);
	abort(); /* nobody resumes what is done */
}

static void
stack_unmap(struct co *co)
{
	VALGRIND_STACK_DEREGISTER(co->valgrind_id);
	AZ(munmap(co->map, CO_STACK + (size_t)sysconf(_SC_PAGESIZE)));
}

static struct co *
stack_map(void)
{
	size_t guard = (size_t)sysconf(_SC_PAGESIZE);
	struct co *co;
	unsigned char *p, *top;

	p = mmap(NULL, CO_STACK + guard, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	if (mprotect(p, guard, PROT_NONE) != 0) {
		munmap(p, CO_STACK + guard);
		return NULL;
	}
	top = p + guard + CO_STACK - ((sizeof *co + 63) & ~(size_t)63);
	co = (struct co *)(void *)top;
	co->map = p;
	co->side.stack = p + guard;
	co->side.size = (size_t)(top - (p + guard));
	co->valgrind_id = VALGRIND_STACK_REGISTER(p + guard, top);
	return co;
}

struct co *
co_new(void (*fn)(void *), void *arg)
{
	struct co *co = pool;

	if (n_live == CO_LIVE_MAX)
		return NULL;
	if (co != NULL) {
		pool = co->next;
		n_pool--;
	} else if ((co = stack_map()) == NULL) {
		return NULL;
	}
	n_live++;
	co->magic = CO_MAGIC;
	co->done = 0;
	co->fn = fn;
	co->arg = arg;
	co->next = NULL;
	co->caller = NULL;
	co->side.fake = NULL;
#if BASE_TSAN
	co->side.fiber = __tsan_create_fiber(0);
#endif
	co->fctx = make_fcontext(
	    (unsigned char *)(uintptr_t)co->side.stack + co->side.size, co->side.size, co_main);
	return co;
}

static void
stack_give_back(struct co *co)
{
#if BASE_ASAN
	/* frames that never return leave their red zones behind */
	__asan_unpoison_memory_region(co->side.stack, co->side.size);
#endif
#if BASE_TSAN
	__tsan_destroy_fiber(co->side.fiber);
#endif
	co->magic = 0;
	n_live--;
	if (n_pool == CO_POOL_MAX) {
		stack_unmap(co);
		return;
	}
	co->next = pool;
	pool = co;
	n_pool++;
}

int
co_resume(struct co *co)
{
	transfer_t t;

	CHECK_OBJ(co, CO_MAGIC);
	ASSERT(co != current && !co->done);
	co->caller = current;
	leave(side_of(current), &co->side, 0);
	current = co;
	t = jump_fcontext(co->fctx, co);
	current = co->caller;
	arrive(side_of(current), &co->side);
	co->fctx = t.fctx;
	if (!co->done)
		return 0;
	stack_give_back(co);
	return 1;
}

void
co_yield(void)
{
	struct co *co = current;
	transfer_t t;

	CHECK_OBJ(co, CO_MAGIC);
	leave(&co->side, side_of(co->caller), 0);
	t = jump_fcontext(co->caller_fctx, NULL);
	/* whoever resumes next may be another than last time */
	arrive(&co->side, side_of(co->caller));
	co->caller_fctx = t.fctx;
}

struct co *
co_self(void)
{
	return current;
}

void
co_pool_fini(void)
{
	struct co *co;

	while ((co = pool) != NULL) {
		pool = co->next;
		stack_unmap(co);
	}
	n_pool = 0;
}
