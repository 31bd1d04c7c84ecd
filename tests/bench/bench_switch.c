/*
 * bench_switch.c: what one await costs in switches (contrib/adr/0001): a resume and a yield through
 * co.c, through bare jump_fcontext, through an assembly switch of the smallest size, and through
 * swapcontext, which makes two system calls for the signal mask.
 */
#include <ucontext.h>

#include "loop/co.h"

typedef struct {
	void *fctx, *data;
} transfer_t;
extern transfer_t jump_fcontext(void *to, void *vp);
extern void *make_fcontext(void *sp, size_t size, void (*fn)(transfer_t));

#define STACK 65536

static void
co_loop(void *arg)
{
	while (*(volatile int *)arg)
		co_yield();
}

static double
bench_co(int n)
{
	int on = 1;
	struct co *co = co_new(co_loop, &on);
	int64_t t0 = base_mono_us();

	for (int i = 0; i < n; i++)
		co_resume(co);
	t0 = base_mono_us() - t0;
	on = 0;
	co_resume(co);
	return (double)t0 * 1000 / n;
}

static double
bench_create(int n)
{
	int off = 0;
	int64_t t0 = base_mono_us();

	for (int i = 0; i < n; i++)
		co_resume(co_new(co_loop, &off));
	return (double)(base_mono_us() - t0) * 1000 / n;
}

static void
fctx_loop(transfer_t t)
{
	for (;;)
		t = jump_fcontext(t.fctx, NULL);
}

static double
bench_fcontext(int n)
{
	unsigned char *stack = base_alloc(STACK);
	transfer_t t = { .fctx = make_fcontext(stack + STACK, STACK, fctx_loop) };
	int64_t t0 = base_mono_us();

	for (int i = 0; i < n; i++)
		t = jump_fcontext(t.fctx, NULL);
	t0 = base_mono_us() - t0;
	free(stack);
	return (double)t0 * 1000 / n;
}

static ucontext_t main_uc, co_uc;

static void
uc_loop(void)
{
	for (;;)
		swapcontext(&co_uc, &main_uc);
}

static double
bench_swapcontext(int n)
{
	unsigned char *stack = base_alloc(STACK);
	int64_t t0;

	AZ(getcontext(&co_uc));
	co_uc.uc_stack.ss_sp = stack;
	co_uc.uc_stack.ss_size = STACK;
	makecontext(&co_uc, uc_loop, 0);
	t0 = base_mono_us();
	for (int i = 0; i < n; i++)
		swapcontext(&main_uc, &co_uc);
	t0 = base_mono_us() - t0;
	free(stack);
	return (double)t0 * 1000 / n;
}

#ifdef __x86_64__
/* System V: rbx rbp r12..r15 and the stack pointer; neither MXCSR nor the x87 control word. */
void asm_switch(void **save_sp, void *to_sp);
__asm__(
    ".text\n.globl asm_switch\n.type asm_switch,@function\nasm_switch:\n"
    "	push %rbp\n	push %rbx\n	push %r12\n	push %r13\n	push %r14\n	push %r15\n"
    "	mov %rsp, (%rdi)\n	mov %rsi, %rsp\n"
    "	pop %r15\n	pop %r14\n	pop %r13\n	pop %r12\n	pop %rbx\n	pop %rbp\n"
    "	ret\n.size asm_switch,.-asm_switch\n");

static void *asm_main, *asm_co;

static void
asm_loop(void)
{
	for (;;)
		asm_switch(&asm_co, asm_main);
}

static double
bench_asm(int n)
{
	unsigned char *stack = base_alloc(STACK);
	void **sp = (void **)(void *)(stack + STACK - 64);
	int64_t t0;

	*--sp = NULL; /* the return address that asm_loop never uses; keeps the alignment */
	*--sp = (void *)asm_loop;
	sp -= 6;
	asm_co = sp;
	t0 = base_mono_us();
	for (int i = 0; i < n; i++)
		asm_switch(&asm_main, asm_co);
	t0 = base_mono_us() - t0;
	free(stack);
	return (double)t0 * 1000 / n;
}
#endif

static double
best(double (*fn)(int), int n)
{
	double b = fn(n), v;

	for (int i = 0; i < 4; i++) {
		v = fn(n);
		b = v < b ? v : b;
	}
	return b;
}

int
main(void)
{
	double co = best(bench_co, 2000000), fc = best(bench_fcontext, 2000000),
	       sw = best(bench_swapcontext, 200000);

	printf("switch  resume + yield pair: co.c %.1f ns, jump_fcontext %.1f ns", co, fc);
#ifdef __x86_64__
	printf(", assembly %.1f ns", best(bench_asm, 2000000));
#endif
	printf(", swapcontext %.0f ns (%.0f x jump_fcontext)\n", sw, sw / fc);
	printf("switch  a whole coroutine, stack from the pool: %.0f ns\n",
	    best(bench_create, 500000));
	co_pool_fini();
	return 0;
}
