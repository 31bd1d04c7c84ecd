/*
 * mock_loop.c: one loop without an operating system: a clock that the test moves, coroutines on
 * ucontext, and the few functions of libuv that the host's timers and tasks call.
 *
 * The clock stands still while anything can run, and jumps to the next timer when nothing can, so a
 * test never waits and always sees the same order. ucontext, and not the host's own switch, because
 * every sanitizer that an author may build with knows it, and speed is no matter here.
 */
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>
#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#define MOCK_VALGRIND 1
#endif
#endif

#include "sdk/mock/mock_impl.h"

struct ins_loop mock_loop;

static int64_t mono_us, now_us;
static uv_timer_cb timer_cb;

/* ---- the clock: the linker puts these in the place of base_mono_us() and base_now_us() ---- */

int64_t __wrap_base_mono_us(void);
int64_t __wrap_base_now_us(void);
int64_t __real_base_now_us(void);

int64_t
__wrap_base_mono_us(void)
{
	return mono_us;
}

int64_t
__wrap_base_now_us(void)
{
	return now_us;
}

static void
move_to(int64_t at_us)
{
	if (at_us <= mono_us)
		return;
	now_us += at_us - mono_us;
	mono_us = at_us;
}

/* ---- libuv ---- */

int
uv_timer_init(uv_loop_t *uv, uv_timer_t *t)
{
	return 0;
}

int
uv_timer_start(uv_timer_t *t, uv_timer_cb cb, uint64_t ms, uint64_t repeat)
{
	timer_cb = cb;
	return 0;
}

void
uv_update_time(uv_loop_t *uv)
{
}

void
uv_stop(uv_loop_t *uv)
{
}

void
uv_close(uv_handle_t *h, uv_close_cb cb)
{
}

/* At once: the task has not parked yet, and hears of the end when it does. */
int
uv_queue_work(uv_loop_t *uv, uv_work_t *req, uv_work_cb work, uv_after_work_cb after)
{
	work(req);
	after(req, 0);
	return 0;
}

/* ---- loop.h ---- */

struct mock_mail {
	struct mock_mail *next;
	void (*fn)(struct ins_loop *, void *);
	void *arg;
};
static struct mock_mail *mail, **mail_tail = &mail;

unsigned
loop_count(void)
{
	return 1;
}

struct ins_loop *
loop_get(int index)
{
	return &mock_loop;
}

struct ins_loop *
loop_self(void)
{
	return &mock_loop;
}

void
loop_post(struct ins_loop *loop, void (*fn)(struct ins_loop *, void *), void *arg)
{
	struct mock_mail *m = base_alloc(sizeof *m);

	m->fn = fn;
	m->arg = arg;
	*mail_tail = m;
	mail_tail = &m->next;
}

void
loop_call(struct ins_loop *loop, void (*fn)(struct ins_loop *, void *), void *arg)
{
	fn(loop, arg);
}

void
loop_call_all(void (*fn)(struct ins_loop *, void *), void *arg)
{
	fn(&mock_loop, arg);
}

void
loop_turn(struct ins_loop *loop)
{
}

void
mock_loop_init(void)
{
	memset(&mock_loop, 0, sizeof mock_loop);
	mock_loop.magic = LOOP_MAGIC;
	list_init(&mock_loop.tasks);
	list_init(&mock_loop.ready);
	timer_loop_init(&mock_loop);
	mono_us = 1000000;
	now_us = __real_base_now_us();
}

void
mock_loop_fini(void)
{
	timer_loop_fini(&mock_loop);
	task_pool_fini();
}

/* 1 if something ran. */
static int
step(void)
{
	struct mock_mail *m = mail;

	if (m != NULL) {
		mail = m->next;
		if (mail == NULL)
			mail_tail = &mail;
		m->fn(&mock_loop, m->arg);
		free(m);
		return 1;
	}
	if (!list_empty(&mock_loop.ready)) {
		task_run_ready(&mock_loop);
		return 1;
	}
	if (mock_loop.n_timers != 0 && mock_loop.heap[1]->at_us <= mono_us) {
		timer_cb(&mock_loop.timer);
		return 1;
	}
	return 0;
}

void
mock_settle(void)
{
	while (step())
		;
}

void
mock_run_until(const int *done, int64_t until_us)
{
	for (;;) {
		while ((done == NULL || !*done) && step())
			;
		if (done != NULL && *done)
			return;
		if (mock_loop.n_timers == 0 || mock_loop.heap[1]->at_us > until_us)
			break;
		move_to(mock_loop.heap[1]->at_us);
	}
	if (until_us != INT64_MAX)
		move_to(until_us);
}

/* ---- co.h ---- */

struct co {
	ucontext_t here, back;
	void (*fn)(void *);
	void *arg, *map;
	int returned;
	unsigned valgrind;
};
static struct co *current;

static void
co_main(void)
{
	struct co *co = current;

	co->fn(co->arg);
	co->returned = 1;
}

struct co *
co_new(void (*fn)(void *), void *arg)
{
	size_t guard = (size_t)sysconf(_SC_PAGESIZE);
	struct co *co = base_alloc(sizeof *co);

	co->fn = fn;
	co->arg = arg;
	co->map = mmap(NULL, guard + CO_STACK, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (co->map == MAP_FAILED || mprotect(co->map, guard, PROT_NONE) != 0 ||
	    getcontext(&co->here) != 0) {
		if (co->map != MAP_FAILED)
			munmap(co->map, guard + CO_STACK);
		free(co);
		return NULL;
	}
	co->here.uc_stack.ss_sp = (char *)co->map + guard;
	co->here.uc_stack.ss_size = CO_STACK;
	co->here.uc_link = &co->back;
	makecontext(&co->here, co_main, 0);
#ifdef MOCK_VALGRIND
	co->valgrind = VALGRIND_STACK_REGISTER(
	    (char *)co->map + guard, (char *)co->map + guard + CO_STACK);
#endif
	return co;
}

int
co_resume(struct co *co)
{
	ASSERT(current == NULL);
	current = co;
	AZ(swapcontext(&co->back, &co->here));
	current = NULL;
	if (!co->returned)
		return 0;
#ifdef MOCK_VALGRIND
	VALGRIND_STACK_DEREGISTER(co->valgrind);
#endif
	munmap(co->map, (size_t)sysconf(_SC_PAGESIZE) + CO_STACK);
	free(co);
	return 1;
}

/* clang-format off: it takes the name for C++'s keyword */
void
co_yield(void)
{
	struct co *co = current;

	AN(co);
	AZ(swapcontext(&co->here, &co->back));
}
/* clang-format on */

struct co *
co_self(void)
{
	return current;
}
