/* check_co.c: claims about coroutines. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "loop/co.h"

#include <check.h> /* last: it defines fail() */

static int steps;

static void
teardown(void)
{
	co_pool_fini();
}

static void
three_steps(void *arg)
{
	ck_assert_ptr_eq(arg, &steps);
	for (int i = 0; i < 3; i++) {
		ck_assert_ptr_nonnull(co_self());
		steps++;
		co_yield();
	}
}

START_TEST(a_coroutine_goes_on_where_it_yielded)
{
	struct co *co = co_new(three_steps, &steps);

	ck_assert_ptr_nonnull(co);
	ck_assert_int_eq(steps, 0);
	for (int i = 1; i <= 3; i++) {
		ck_assert_int_eq(co_resume(co), 0);
		ck_assert_int_eq(steps, i);
		ck_assert_ptr_null(co_self());
	}
	ck_assert_int_eq(co_resume(co), 1);
}
END_TEST

static void
inner(void *arg)
{
	steps = 10;
	co_yield();
	steps = 20;
}

static void
outer(void *arg)
{
	struct co *me = co_self(), *co = co_new(inner, NULL);

	ck_assert_int_eq(co_resume(co), 0);
	ck_assert_ptr_eq(co_self(), me);
	ck_assert_int_eq(steps, 10);
	co_yield();
	ck_assert_int_eq(co_resume(co), 1);
	ck_assert_int_eq(steps, 20);
}

START_TEST(a_coroutine_may_resume_another)
{
	struct co *co = co_new(outer, NULL);

	ck_assert_int_eq(co_resume(co), 0);
	ck_assert_int_eq(co_resume(co), 1);
	ck_assert_int_eq(steps, 20);
}
END_TEST

static __attribute__((noinline)) unsigned
dig(unsigned depth)
{
	volatile unsigned char page[1024];

	memset((void *)(uintptr_t)page, (int)depth, sizeof page);
	if (depth == 0)
		return page[7];
	return dig(depth - 1) + page[512];
}

static void
deep(void *arg)
{
	*(unsigned *)arg = dig(64);
	co_yield();
	*(unsigned *)arg += dig(64);
}

START_TEST(stacks_are_reused_after_deep_calls)
{
	unsigned r;

	for (int i = 0; i < 1000; i++) {
		struct co *co = co_new(deep, &r);

		ck_assert_int_eq(co_resume(co), 0);
		ck_assert_int_eq(co_resume(co), 1);
		ck_assert_uint_eq(r, 2 * (64 * 65 / 2));
	}
}
END_TEST

static void
counts(void *arg)
{
	for (;;) {
		++*(int *)arg;
		if (*(int *)arg == 20)
			return;
		co_yield();
	}
}

START_TEST(more_coroutines_than_the_pool_keeps_live_at_once)
{
	enum { N = 3 * CO_POOL_MAX };
	static struct co *co[N];
	static int n[N];

	for (int i = 0; i < N; i++)
		ck_assert_ptr_nonnull(co[i] = co_new(counts, &n[i]));
	for (int round = 1; round <= 20; round++)
		for (int i = 0; i < N; i++)
			ck_assert_int_eq(co_resume(co[i]), round == 20);
	for (int i = 0; i < N; i++)
		ck_assert_int_eq(n[i], 20);
}
END_TEST

static void
keeps_a_double(void *arg)
{
	double x = 1.5;

	co_yield();
	/* the switch keeps the callee-saved and floating point state */
	*(double *)arg = x * 2;
}

START_TEST(floating_point_state_survives)
{
	double r = 0;
	struct co *co = co_new(keeps_a_double, &r);

	co_resume(co);
	for (volatile double d = 0; d < 10; d += .1)
		r += d;
	co_resume(co);
	ck_assert_double_eq(r, 3.0);
}
END_TEST

#if !BASE_ASAN && !BASE_TSAN
static __attribute__((noinline)) unsigned
endless(unsigned n)
{
	volatile unsigned char page[512];

	page[n % 512] = 1;
	return n == UINT32_MAX ? 0 : endless(n + 1) + page[n % 512];
}

static void
overflows(void *arg)
{
	steps = (int)endless(0);
}

START_TEST(an_overflow_hits_the_guard_page)
{
	co_resume(co_new(overflows, NULL));
}
END_TEST
#endif

static void *
a_thread(void *arg)
{
	int n = 0;

	for (int i = 0; i < 200; i++) {
		struct co *co = co_new(counts, &n);

		n = 0;
		while (!co_resume(co))
			;
		ck_assert_int_eq(n, 20);
	}
	co_pool_fini();
	return NULL;
}

START_TEST(threads_have_their_own)
{
	pthread_t t[3];

	for (size_t i = 0; i < NELEM(t); i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, a_thread, NULL), 0);
	for (size_t i = 0; i < NELEM(t); i++)
		pthread_join(t[i], NULL);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("co");
	TCase *tc = tcase_create("co");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_coroutine_goes_on_where_it_yielded);
	tcase_add_test(tc, a_coroutine_may_resume_another);
	tcase_add_test(tc, stacks_are_reused_after_deep_calls);
	tcase_add_test(tc, more_coroutines_than_the_pool_keeps_live_at_once);
	tcase_add_test(tc, floating_point_state_survives);
#if !BASE_ASAN && !BASE_TSAN
	if (getenv("CK_FORK") == NULL || strcmp(getenv("CK_FORK"), "no") != 0)
		tcase_add_test_raise_signal(tc, an_overflow_hits_the_guard_page, SIGSEGV);
#endif
	tcase_add_test(tc, threads_have_their_own);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
