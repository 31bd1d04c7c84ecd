/* check_task.c: claims about the life of a task. Each runs on the control loop of its own process
 * (libcheck forks), so that order is the test's and not the scheduler's. */
#include "base/log.h"
#include "loop/task.h"

#include <check.h> /* last: it defines fail() */

static char trace[4096];
static int results[16], n_results, ended, awaited;

static void
say(const char *z)
{
	ck_assert_uint_lt(strlen(trace) + strlen(z) + 2, sizeof trace);
	strcat(trace, z);
	strcat(trace, " ");
}

static void
setup_loop(void)
{
	trace[0] = '\0';
	n_results = ended = awaited = 0;
	loop_init(1);
}

static void
teardown_loop(void)
{
	loop_stop_all();
}

static void
turn(void)
{
	uv_run(&loop_self()->uv, UV_RUN_NOWAIT);
}

/* on_end stops the loop: UV_RUN_ONCE runs timers and then still waits for more. */
static void
run_until_ended(int n)
{
	awaited = n;
	while (ended < n)
		uv_run(&loop_self()->uv, UV_RUN_DEFAULT);
}

static void
on_end(struct ins_ctx *ctx, int result)
{
	ck_assert_ptr_null(co_self());
	ck_assert_ptr_null(task_self());
	ck_assert_ptr_nonnull(arena_strdup(&ctx->arena, "the arena is still there"));
	results[n_results++] = result;
	if (++ended == awaited)
		uv_stop(&loop_self()->uv);
}

static int
returns_seven(struct ins_ctx *ctx, void *arg)
{
	ck_assert_ptr_eq(task_self(), ctx);
	ck_assert_ptr_nonnull(co_self());
	ck_assert_str_eq(ctx->name, "seven");
	say("fn");
	return 7;
}

static void
say_setup(struct ins_ctx *ctx, void *arg)
{
	say("setup");
	ck_assert_ptr_null(co_self());
}

START_TEST(a_task_runs_at_once_and_ends_with_its_result)
{
	ck_assert_ptr_nonnull(task_new("seven", returns_seven, NULL, say_setup, on_end));
	ck_assert_str_eq(trace, "setup fn ");
	ck_assert_int_eq(n_results, 1);
	ck_assert_int_eq(results[0], 7);
	ck_assert_uint_eq(loop_self()->n_tasks, 0);
}
END_TEST

START_TEST(a_later_task_starts_in_the_next_turn)
{
	ck_assert_ptr_nonnull(task_new_later("seven", returns_seven, NULL, say_setup, on_end));
	ck_assert_str_eq(trace, "setup ");
	turn();
	ck_assert_str_eq(trace, "setup fn ");
	ck_assert_int_eq(results[0], 7);
}
END_TEST

static int
makes_another(struct ins_ctx *ctx, void *arg)
{
	ck_assert_ptr_nonnull(task_new("seven", returns_seven, NULL, NULL, on_end));
	ck_assert_str_eq(trace, "");
	say("outer");
	return 0;
}

START_TEST(a_task_made_in_a_task_starts_in_the_next_turn)
{
	task_new("outer", makes_another, NULL, NULL, on_end);
	ck_assert_str_eq(trace, "outer ");
	run_until_ended(2);
	ck_assert_str_eq(trace, "outer fn ");
}
END_TEST

static void
no_wake_will_come(struct ins_ctx *ctx, void *arg)
{
	ck_assert_ptr_null(co_self());
	say("cancel");
}

static int
parks(struct ins_ctx *ctx, void *arg)
{
	int r;

	say("park");
	r = task_park(ctx, no_wake_will_come, NULL);
	say("on");
	return r;
}

static int
parks_deaf(struct ins_ctx *ctx, void *arg)
{
	int r;

	say("park");
	r = task_park(ctx, NULL, NULL);
	say("on");
	return r;
}

START_TEST(a_wake_from_the_loop_goes_on_at_once)
{
	struct ins_ctx *ctx = task_new("t", parks, NULL, NULL, on_end);

	ck_assert_str_eq(trace, "park ");
	task_wake(ctx, 42);
	ck_assert_str_eq(trace, "park on ");
	ck_assert_int_eq(results[0], 42);
}
END_TEST

static int
wakes(struct ins_ctx *ctx, void *arg)
{
	task_wake(arg, 5);
	say("woke");
	return 0;
}

START_TEST(a_wake_from_another_task_waits_for_the_next_turn)
{
	struct ins_ctx *ctx = task_new("t", parks, NULL, NULL, on_end);

	task_new("waker", wakes, ctx, NULL, on_end);
	ck_assert_str_eq(trace, "park woke ");
	run_until_ended(2);
	ck_assert_str_eq(trace, "park woke on ");
	ck_assert_int_eq(results[1], 5);
}
END_TEST

static int
wakes_itself_first(struct ins_ctx *ctx, void *arg)
{
	task_wake(ctx, 3);
	return task_park(ctx, no_wake_will_come, NULL);
}

START_TEST(a_wake_before_the_park_is_not_lost)
{
	task_new("t", wakes_itself_first, NULL, NULL, on_end);
	ck_assert_int_eq(ended, 1);
	ck_assert_int_eq(results[0], 3);
}
END_TEST

START_TEST(a_cancel_is_heard_in_the_next_turn_and_calls_the_adaptor_once)
{
	struct ins_ctx *ctx = task_new("t", parks, NULL, NULL, on_end);

	task_cancel(ctx, INS_ECANCELED);
	task_cancel(ctx, INS_ETIMEOUT);
	ck_assert_int_eq(ctx->cancel_reason, INS_ECANCELED);
	ck_assert_str_eq(trace, "park ");
	run_until_ended(1);
	ck_assert_str_eq(trace, "park cancel on ");
	ck_assert_int_eq(results[0], -INS_ECANCELED);
}
END_TEST

START_TEST(a_result_that_overtakes_a_cancel_is_delivered)
{
	struct ins_ctx *ctx = task_new("t", parks, NULL, NULL, on_end);

	task_cancel(ctx, INS_ECANCELED);
	task_wake(ctx, 9);
	run_until_ended(1);
	ck_assert_str_eq(trace, "park on ");
	ck_assert_int_eq(results[0], 9);
}
END_TEST

static int
parks_after_cancel(struct ins_ctx *ctx, void *arg)
{
	int r;

	task_cancel(ctx, INS_ETIMEOUT);
	say("first");
	r = task_park(ctx, no_wake_will_come, NULL);
	ck_assert_int_eq(r, -INS_ECANCELED);
	say("second");
	r = task_park(ctx, no_wake_will_come, NULL);
	return r;
}

START_TEST(every_park_after_a_cancel_ends_with_canceled)
{
	task_new("t", parks_after_cancel, NULL, NULL, on_end);
	run_until_ended(1);
	ck_assert_str_eq(trace, "first cancel second cancel ");
	ck_assert_int_eq(results[0], -INS_ECANCELED);
}
END_TEST

START_TEST(a_wait_without_cancel_ends_with_its_wake)
{
	struct ins_ctx *ctx = task_new("t", parks_deaf, NULL, NULL, on_end);

	task_cancel(ctx, INS_ECANCELED);
	turn();
	turn();
	ck_assert_str_eq(trace, "park ");
	task_wake(ctx, 1);
	ck_assert_str_eq(trace, "park on ");
	ck_assert_int_eq(results[0], 1);
}
END_TEST

START_TEST(a_task_cancelled_before_its_start_runs_and_sees_it)
{
	struct ins_ctx *ctx = task_new_later("t", parks, NULL, NULL, on_end);

	task_cancel(ctx, INS_ECANCELED);
	run_until_ended(1);
	ck_assert_str_eq(trace, "park cancel on ");
	ck_assert_int_eq(results[0], -INS_ECANCELED);
}
END_TEST

static void
cancels_at_end(struct ins_ctx *ctx, int result)
{
	task_cancel(ctx, INS_ECANCELED);
	ck_assert(!ctx->canceled);
	on_end(ctx, result);
}

START_TEST(a_task_that_returned_is_not_cancelled)
{
	task_new("seven", returns_seven, NULL, NULL, cancels_at_end);
	turn();
	ck_assert_int_eq(results[0], 7);
}
END_TEST

static int
deadline_task(struct ins_ctx *ctx, void *arg)
{
	int r;

	task_deadline(ctx, 5);
	task_deadline(ctx, 3600 * 1000); /* a later one does not replace it */
	r = task_sleep(ctx, 3600 * 1000);
	ck_assert_int_eq(ctx->cancel_reason, INS_ETIMEOUT);
	return r;
}

START_TEST(a_deadline_cuts_a_sleep_short)
{
	task_new("t", deadline_task, NULL, NULL, on_end);
	run_until_ended(1);
	ck_assert_int_eq(results[0], -INS_ECANCELED);
	ck_assert_uint_eq(loop_self()->n_timers, 0);
}
END_TEST

static int
has_far_deadline(struct ins_ctx *ctx, void *arg)
{
	task_deadline(ctx, 3600 * 1000);
	task_deadline(ctx, INT64_MAX);
	return 0;
}

START_TEST(the_end_of_a_task_stops_its_deadline)
{
	for (int i = 0; i < 100; i++)
		task_new("t", has_far_deadline, NULL, NULL, NULL);
	ck_assert_uint_eq(loop_self()->n_timers, 0);
}
END_TEST

static int
sleeps(struct ins_ctx *ctx, void *arg)
{
	int64_t t0 = base_mono_us(), ms = (intptr_t)arg;
	int r = task_sleep(ctx, ms);

	ck_assert_int_ge(base_mono_us() - t0, ms * 1000);
	return r;
}

START_TEST(a_sleep_is_never_too_short)
{
	for (intptr_t ms = 0; ms < 5; ms++)
		task_new("t", sleeps, (void *)ms, NULL, on_end);
	run_until_ended(5);
	ck_assert_int_eq(results[0], 0);
}
END_TEST

static int64_t fired_last;
static int n_fired;

static void
fired(struct timer *t)
{
	ck_assert_int_ge(t->at_us, fired_last);
	ck_assert_int_ge(base_mono_us(), t->at_us);
	ck_assert(!timer_active(t));
	fired_last = t->at_us;
	n_fired++;
	if (loop_self()->n_timers == 0)
		uv_stop(&loop_self()->uv);
}

START_TEST(timers_fire_in_the_order_of_their_times)
{
	static struct timer t[200];
	struct ins_loop *loop = loop_self();

	for (unsigned i = 0; i < NELEM(t); i++)
		timer_start(loop, &t[i], (i * 7919) % 23, fired);
	for (unsigned i = 0; i < NELEM(t); i += 3)
		timer_stop(loop, &t[i]);
	for (unsigned i = 1; i < NELEM(t); i += 6)
		timer_start(loop, &t[i], (i * 31) % 11, fired);
	while (loop->n_timers > 0)
		uv_run(&loop->uv, UV_RUN_DEFAULT);
	ck_assert_int_eq(n_fired, 133);
}
END_TEST

static void
square(void *arg)
{
	ck_assert_ptr_null(loop_self());
	*(int *)arg *= *(int *)arg;
}

static int
blocks(struct ins_ctx *ctx, void *arg)
{
	int v = 12, r;

	if (arg != NULL)
		task_cancel(ctx, INS_ECANCELED);
	r = task_blocking(ctx, square, &v);
	return r != 0 ? r : v;
}

START_TEST(blocking_work_runs_elsewhere_and_is_waited_for)
{
	task_new("t", blocks, NULL, NULL, on_end);
	ck_assert_int_eq(ended, 0);
	run_until_ended(1);
	ck_assert_int_eq(results[0], 144);
}
END_TEST

START_TEST(a_cancelled_task_starts_no_blocking_work)
{
	task_new("t", blocks, (void *)1, NULL, on_end);
	run_until_ended(1);
	ck_assert_int_eq(results[0], -INS_ECANCELED);
}
END_TEST

static struct ins_cond *cond;

static int
waits(struct ins_ctx *ctx, void *arg)
{
	int r = cond_wait(ctx, cond, (intptr_t)arg);

	say("on");
	return r;
}

START_TEST(a_broadcast_wakes_all_waiters_in_the_next_turn)
{
	cond = cond_new(loop_self());
	for (int i = 0; i < 3; i++)
		task_new("t", waits, (void *)(intptr_t)-1, NULL, on_end);
	cond_broadcast(cond);
	ck_assert_str_eq(trace, "");
	run_until_ended(3);
	ck_assert_str_eq(trace, "on on on ");
	ck_assert_int_eq(results[2], 0);
	cond_free(cond);
}
END_TEST

START_TEST(a_wait_times_out_and_forgets)
{
	cond = cond_new(loop_self());
	task_new("t", waits, (void *)2, NULL, on_end);
	run_until_ended(1);
	ck_assert_int_eq(results[0], -INS_ETIMEOUT);
	cond_broadcast(cond);
	cond_free(cond);
	turn();
}
END_TEST

START_TEST(a_cancelled_wait_forgets)
{
	struct ins_ctx *ctx;

	cond = cond_new(loop_self());
	ctx = task_new("t", waits, (void *)3600000, NULL, on_end);
	task_cancel(ctx, INS_ECANCELED);
	run_until_ended(1);
	ck_assert_int_eq(results[0], -INS_ECANCELED);
	cond_free(cond);
}
END_TEST

START_TEST(freeing_a_condition_wakes_its_waiters_with_canceled)
{
	cond = cond_new(loop_self());
	task_new("t", waits, (void *)(intptr_t)-1, NULL, on_end);
	cond_free(cond);
	run_until_ended(1);
	ck_assert_int_eq(results[0], -INS_ECANCELED);
}
END_TEST

static int
parks_silently(struct ins_ctx *ctx, void *arg)
{
	return task_park(ctx, NULL, NULL);
}

START_TEST(tasks_past_the_limit_are_refused)
{
	unsigned i;

	for (i = 0; i < TASKS_PER_LOOP; i++)
		if (task_new("t", parks_silently, NULL, NULL, NULL) == NULL)
			break;
	ck_assert_uint_eq(i, TASKS_PER_LOOP);
	ck_assert_ptr_null(task_new("t", parks, NULL, say_setup, on_end));
	ck_assert_ptr_null(task_new_later("t", parks, NULL, say_setup, on_end));
	while (!list_empty(&loop_self()->tasks))
		task_wake(LIST_FIRST(&loop_self()->tasks, struct ins_ctx, link), 0);
	ck_assert_int_eq(ended, 0);
	ck_assert_uint_eq(loop_self()->n_tasks, 0);
}
END_TEST

static int
fails(struct ins_ctx *ctx, void *arg)
{
	char big[64];

	snprintf(big, sizeof big, "%s", "of the stack");
	ck_assert_int_eq(task_fail(ctx, INS_ENOTFOUND, "no %s", big), -INS_ENOTFOUND);
	memset(big, 'x', sizeof big - 1);
	ck_assert_int_eq(task_fail(ctx, -INS_EINVAL, "second"), -INS_EINVAL);
	ck_assert_int_eq(ctx->err_code, INS_ENOTFOUND);
	ck_assert_str_eq(ctx->err_text, "no of the stack");
	task_clear_error(ctx);
	ck_assert_int_eq(ctx->err_code, 0);
	return task_fail(ctx, 0, "zero");
}

START_TEST(the_first_failure_wins_and_its_text_is_kept)
{
	task_new("t", fails, NULL, NULL, on_end);
	ck_assert_int_eq(results[0], -INS_EINTERNAL);
}
END_TEST

static int
logs(struct ins_ctx *ctx, void *arg)
{
	strcpy(ctx->request_id, "req_1");
	strcpy(ctx->tenant_id, "0190aaaa-0000-7000-8000-000000000001");
	strcpy(ctx->traceparent, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
	task_log(ctx, INS_LOG_INFO, "thing.done", json_pack("{s:i}", "n", 3));
	return 0;
}

START_TEST(a_log_line_of_a_task_carries_its_ids)
{
	FILE *f = tmpfile();
	char line[1024];
	json_t *j;

	log_init(fileno(f), INS_LOG_INFO, 0);
	task_new("t", logs, NULL, NULL, on_end);
	rewind(f);
	ck_assert_ptr_nonnull(fgets(line, sizeof line, f));
	j = json_loads(line, 0, NULL);
	ck_assert_str_eq(json_string_value(json_object_get(j, "event")), "thing.done");
	ck_assert_int_eq(json_integer_value(json_object_get(j, "n")), 3);
	ck_assert_str_eq(json_string_value(json_object_get(j, "request_id")), "req_1");
	ck_assert_str_eq(
	    json_string_value(json_object_get(j, "trace_id")), "0af7651916cd43dd8448eb211c80319c");
	ck_assert_str_eq(json_string_value(json_object_get(j, "tenant_id")),
	    "0190aaaa-0000-7000-8000-000000000001");
	json_decref(j);
	fclose(f);
	log_init(2, INS_LOG_INFO, 0);
}
END_TEST

static int
chatters(struct ins_ctx *ctx, void *arg)
{
	for (int i = 0; i < 200; i++) {
		int r = task_sleep(ctx, i % 3);

		if (r != 0)
			return r;
		if (arena_alloc(&ctx->arena, (size_t)(i * 7)) == NULL)
			return -INS_ENOMEM;
	}
	return 0;
}

START_TEST(many_tasks_take_turns)
{
	for (int i = 0; i < 10; i++)
		task_new("t", chatters, NULL, NULL, on_end);
	run_until_ended(10);
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(results[i], 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("task");
	TCase *tc = tcase_create("task");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup_loop, teardown_loop);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_task_runs_at_once_and_ends_with_its_result);
	tcase_add_test(tc, a_later_task_starts_in_the_next_turn);
	tcase_add_test(tc, a_task_made_in_a_task_starts_in_the_next_turn);
	tcase_add_test(tc, a_wake_from_the_loop_goes_on_at_once);
	tcase_add_test(tc, a_wake_from_another_task_waits_for_the_next_turn);
	tcase_add_test(tc, a_wake_before_the_park_is_not_lost);
	tcase_add_test(tc, a_cancel_is_heard_in_the_next_turn_and_calls_the_adaptor_once);
	tcase_add_test(tc, a_result_that_overtakes_a_cancel_is_delivered);
	tcase_add_test(tc, every_park_after_a_cancel_ends_with_canceled);
	tcase_add_test(tc, a_wait_without_cancel_ends_with_its_wake);
	tcase_add_test(tc, a_task_cancelled_before_its_start_runs_and_sees_it);
	tcase_add_test(tc, a_task_that_returned_is_not_cancelled);
	tcase_add_test(tc, a_deadline_cuts_a_sleep_short);
	tcase_add_test(tc, the_end_of_a_task_stops_its_deadline);
	tcase_add_test(tc, a_sleep_is_never_too_short);
	tcase_add_test(tc, timers_fire_in_the_order_of_their_times);
	tcase_add_test(tc, blocking_work_runs_elsewhere_and_is_waited_for);
	tcase_add_test(tc, a_cancelled_task_starts_no_blocking_work);
	tcase_add_test(tc, a_broadcast_wakes_all_waiters_in_the_next_turn);
	tcase_add_test(tc, a_wait_times_out_and_forgets);
	tcase_add_test(tc, a_cancelled_wait_forgets);
	tcase_add_test(tc, freeing_a_condition_wakes_its_waiters_with_canceled);
	if (!BASE_TSAN) /* its fibers take 800 KB each */
		tcase_add_test(tc, tasks_past_the_limit_are_refused);
	tcase_add_test(tc, the_first_failure_wins_and_its_text_is_kept);
	tcase_add_test(tc, a_log_line_of_a_task_carries_its_ids);
	tcase_add_test(tc, many_tasks_take_turns);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
