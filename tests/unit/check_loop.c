/* check_loop.c: claims about the loops' threads and mailboxes. */
#include "base/log.h"
#include "loop/task.h"

#include <check.h> /* last: it defines fail() */

#define N 3

static void
setup(void)
{
	loop_init(N);
}

static void
where_am_i(struct ins_loop *loop, void *arg)
{
	int *seen = arg;

	ck_assert_ptr_eq(loop, loop_self());
	ck_assert_ptr_null(co_self());
	ck_assert(pthread_equal(pthread_self(), loop->thread));
	__atomic_fetch_add(&seen[loop->index], 1, __ATOMIC_RELAXED);
}

START_TEST(every_loop_is_called_on_its_own_thread)
{
	int seen[N] = { 0 };

	loop_start();
	ck_assert_uint_eq(loop_count(), N);
	loop_call_all(where_am_i, seen);
	loop_call(loop_get(1), where_am_i, seen);
	for (int i = 0; i < N; i++)
		ck_assert_int_eq(seen[i], i == 1 ? 2 : 1);
	loop_stop_all();
	ck_assert_ptr_null(loop_self());
}
END_TEST

START_TEST(loops_that_never_started_are_stopped_too)
{
	int seen[N] = { 0 };

	loop_post(loop_get(0), where_am_i, seen);
	loop_get(0)->thread = pthread_self();
	loop_stop_all();
	ck_assert_int_eq(seen[0], 1);
}
END_TEST

static int got[20000], n_got;

static void
take(struct ins_loop *loop, void *arg)
{
	got[n_got++] = (int)(intptr_t)arg;
}

START_TEST(mail_comes_in_the_order_of_posting)
{
	loop_start();
	for (intptr_t i = 0; i < 20000; i++)
		loop_post(loop_get(2), take, (void *)i);
	loop_stop_all(); /* delivers what was posted before */
	ck_assert_int_eq(n_got, 20000);
	for (int i = 0; i < 20000; i++)
		ck_assert_int_eq(got[i], i);
}
END_TEST

static void
posts_to_itself(struct ins_loop *loop, void *arg)
{
	int before = n_got;

	loop_post(loop, take, (void *)(intptr_t)1);
	loop_post(loop, take, (void *)(intptr_t)2);
	ck_assert_int_eq(n_got, before);
}

START_TEST(mail_to_itself_is_delivered_after_the_call)
{
	posts_to_itself(loop_self(), NULL);
	uv_run(&loop_self()->uv, UV_RUN_NOWAIT);
	ck_assert_int_eq(n_got, 2);
	ck_assert_int_eq(got[0], 1);
	ck_assert_int_eq(got[1], 2);
	loop_stop_all();
}
END_TEST

static void
answers(struct ins_loop *loop, void *arg)
{
	loop_post(loop_get(LOOP_CONTROL), take, (void *)(intptr_t)loop->index);
}

START_TEST(loops_post_to_the_control_loop)
{
	loop_start();
	loop_call_all(answers, NULL);
	while (n_got < N)
		uv_run(&loop_self()->uv, UV_RUN_ONCE);
	ck_assert_int_eq(got[0] + got[1] + got[2], 0 + 1 + 2);
	loop_stop_all();
}
END_TEST

static void *
floods(void *arg)
{
	for (intptr_t i = 0; i < 5000; i++)
		loop_post(loop_get(0), take, (void *)i);
	return NULL;
}

START_TEST(many_threads_lose_no_mail)
{
	pthread_t t[3];

	loop_start();
	for (size_t i = 0; i < NELEM(t); i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, floods, NULL), 0);
	for (size_t i = 0; i < NELEM(t); i++)
		pthread_join(t[i], NULL);
	loop_stop_all();
	ck_assert_int_eq(n_got, 15000);
}
END_TEST

static int n_canceled;

static int
waits_for_ever(struct ins_ctx *ctx, void *arg)
{
	int r = task_sleep(ctx, INT64_MAX);

	if (r == -INS_ECANCELED)
		__atomic_fetch_add(&n_canceled, 1, __ATOMIC_RELAXED);
	return r;
}

static void
starts_tasks(struct ins_loop *loop, void *arg)
{
	for (int i = 0; i < 5; i++)
		ck_assert_ptr_nonnull(task_new("t", waits_for_ever, NULL, NULL, NULL));
	ck_assert_ptr_nonnull(task_new_later("t", waits_for_ever, NULL, NULL, NULL));
}

START_TEST(a_stop_cancels_the_tasks_that_are_left)
{
	loop_start();
	loop_call_all(starts_tasks, NULL);
	starts_tasks(loop_self(), NULL);
	loop_stop_all();
	ck_assert_int_eq(n_canceled, 6 * (N + 1));
}
END_TEST

static uv_loop_t *volatile left;

static void
opens_a_timer(struct ins_loop *loop, void *arg)
{
	uv_timer_init(&loop->uv, arg);
	left = base_alloc(sizeof *left);
	*left = loop->uv; /* it cannot be closed any more: what it holds stays known here */
}

START_TEST(a_handle_that_was_left_open_is_named)
{
	static uv_timer_t t;
	FILE *f = tmpfile();
	char line[512];

	log_init(fileno(f), INS_LOG_INFO, 0);
	loop_start();
	loop_call(loop_get(1), opens_a_timer, &t);
	loop_stop_all();
	rewind(f);
	ck_assert_ptr_nonnull(fgets(line, sizeof line, f));
	ck_assert_ptr_nonnull(strstr(line, "loop 1: a timer handle is still open"));
	fclose(f);
}
END_TEST

START_TEST(slots_are_numbered)
{
	int a = loop_slot_new(), b = loop_slot_new();

	ck_assert_int_ne(a, b);
	ck_assert_int_lt(b, LOOP_SLOTS_MAX);
	loop_stop_all();
}
END_TEST

static int
hops(struct ins_ctx *ctx, void *arg)
{
	for (int i = 0; i < 100; i++)
		if (task_sleep(ctx, 0) != 0)
			return -1;
	return 0;
}

static unsigned n_ended;

static void
count_end(struct ins_ctx *ctx, int result)
{
	ck_assert_int_eq(result, 0);
	__atomic_fetch_add(&n_ended, 1, __ATOMIC_RELEASE);
}

static void
starts_hops(struct ins_loop *loop, void *arg)
{
	for (int i = 0; i < 20; i++)
		ck_assert_ptr_nonnull(task_new("hop", hops, NULL, NULL, count_end));
}

START_TEST(tasks_of_all_loops_run_at_the_same_time)
{
	loop_start();
	loop_call_all(starts_hops, NULL);
	while (__atomic_load_n(&n_ended, __ATOMIC_ACQUIRE) < 20 * N)
		sched_yield();
	loop_stop_all();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("loop");
	TCase *tc = tcase_create("loop");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, every_loop_is_called_on_its_own_thread);
	tcase_add_test(tc, loops_that_never_started_are_stopped_too);
	tcase_add_test(tc, mail_comes_in_the_order_of_posting);
	tcase_add_test(tc, mail_to_itself_is_delivered_after_the_call);
	tcase_add_test(tc, loops_post_to_the_control_loop);
	tcase_add_test(tc, many_threads_lose_no_mail);
	tcase_add_test(tc, a_stop_cancels_the_tasks_that_are_left);
	tcase_add_test(tc, a_handle_that_was_left_open_is_named);
	tcase_add_test(tc, slots_are_numbered);
	tcase_add_test(tc, tasks_of_all_loops_run_at_the_same_time);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
