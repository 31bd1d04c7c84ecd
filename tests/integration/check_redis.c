/* check_redis.c: claims about Redis for tasks, on a real one. */
#include "data/redis.h"

#include <signal.h>
#include <unistd.h>

#include "tests/lib/inloop.h"
#include "tests/lib/servers.h"

#include <check.h> /* last: it defines fail() */

static void
begin(void)
{
	char err[160];

	loop_init(2);
	ck_assert_msg(redis_init(servers_redis_url(), err) == 0, "%s", err);
	inloop_start(2, redis_loop_start);
	while (!redis_up())
		;
}

static void
end(void)
{
	inloop_stop(redis_loop_stop);
	redis_fini();
}

static int
speak(struct ins_ctx *ctx, void *arg)
{
	const char *set[] = { "SET", "k", "a\0b" }, *get[] = { "GET", "k" };
	const char *none[] = { "GET", "nothing" }, *wrong[] = { "LPUSH", "k", "x" };
	const char *push[] = { "RPUSH", "l", "1", "2" }, *range[] = { "LRANGE", "l", "0", "-1" };
	const char *del[] = { "DEL", "l" };
	size_t lens[] = { 3, 1, 3 };
	struct redis_reply r;

	ck_assert_int_eq(redis_command(ctx, &r, 3, set, lens), 0);
	ck_assert_str_eq(r.p, "OK");
	ck_assert_int_eq(redis_command(ctx, &r, 2, get, NULL), 0);
	ck_assert_uint_eq(r.n, 3);
	ck_assert_int_eq(memcmp(r.p, "a\0b", 3), 0);
	ck_assert_int_eq(redis_command(ctx, &r, 2, none, NULL), 0);
	ck_assert_int_eq(r.type, REDIS_NIL);
	ck_assert_int_eq(redis_command(ctx, &r, 2, del, NULL), 0);
	ck_assert_int_eq(redis_command(ctx, &r, 4, push, NULL), 0);
	ck_assert_int_eq(r.type, REDIS_INTEGER);
	ck_assert_int_eq(r.integer, 2);
	ck_assert_int_eq(redis_command(ctx, &r, 4, range, NULL), 0);
	ck_assert_int_eq(r.type, REDIS_ARRAY);
	ck_assert_uint_eq(r.n_elements, 2);
	ck_assert_str_eq(r.elements[1].p, "2");
	ck_assert_int_eq(redis_command(ctx, &r, 3, wrong, NULL), -INS_EINTERNAL);
	ck_assert_ptr_nonnull(strstr(ctx->err_detail, "WRONGTYPE"));
	task_clear_error(ctx);
	ck_assert_int_eq(redis_ready(ctx), 0);
	return 0;
}

START_TEST(every_kind_of_reply_reaches_the_task)
{
	begin();
	ck_assert_int_eq(inloop_run(0, speak, NULL), 0);
	ck_assert_int_eq(inloop_run(1, speak, NULL), 0);
	end();
}
END_TEST

static int
ping(struct ins_ctx *ctx, void *arg)
{
	return redis_ready(ctx);
}

static int
block(struct ins_ctx *ctx, void *arg)
{
	const char *argv[] = { "BLPOP", "nothing", "0" };
	struct redis_reply r;

	if (arg != NULL)
		task_deadline(ctx, 20);
	return redis_command(ctx, &r, 3, argv, NULL);
}

START_TEST(a_command_without_an_answer_in_time_fails_as_unavailable)
{
	begin();
	ck_assert_int_eq(inloop_run(0, block, NULL), -INS_EUNAVAILABLE);
	while (!redis_up())
		;
	ck_assert_int_eq(inloop_run(0, ping, NULL), 0);
	end();
}
END_TEST

START_TEST(a_cancelled_task_leaves_its_command_behind)
{
	begin();
	ck_assert_int_eq(inloop_run(0, block, (void *)1), -INS_ECANCELED);
	end(); /* with the command still in flight */
}
END_TEST

START_TEST(while_redis_is_away_commands_fail_at_once_and_it_is_found_again)
{
	pid_t pid = servers_pid(servers_dir(), "redis-server");

	begin();
	ck_assert_int_gt(pid, 0);
	ck_assert_int_eq(kill(pid, SIGKILL), 0); /* its supervisor starts it again */
	while (redis_up())
		;
	ck_assert_int_eq(inloop_run(0, ping, NULL), -INS_EUNAVAILABLE);
	while (!redis_up())
		;
	ck_assert_int_eq(inloop_run(0, ping, NULL), 0);
	end();
}
END_TEST

START_TEST(nobody_there_is_no_error_at_start)
{
	char err[160];

	loop_init(1);
	ck_assert_int_eq(redis_init("redis://127.0.0.1:1/2", err), 0);
	inloop_start(1, redis_loop_start);
	ck_assert_int_eq(inloop_run(0, ping, NULL), -INS_EUNAVAILABLE);
	ck_assert_int_eq(redis_up(), 0);
	end();
}
END_TEST

START_TEST(a_url_that_cannot_work_is_refused_with_a_reason)
{
	static const char *const bad[] = { "rediss://host", "redis://", "redis://h:0",
		"redis://h:99999", "redis://h/x", "redis://secret@h", "unix:relative", "http://h",
		"" };
	static const char *const good[] = { "redis://h", "redis://:pw@h:1/3", "redis://u:p@[h",
		"unix:/s", "unix:///s" };
	char err[160];
	size_t i;

	loop_init(1);
	for (i = 0; i < NELEM(bad); i++) {
		err[0] = '\0';
		ck_assert_msg(redis_init(bad[i], err) == -1, "%s", bad[i]);
		ck_assert_str_ne(err, "");
	}
	for (i = 0; i < NELEM(good); i++)
		ck_assert_msg(redis_init(good[i], err) == 0, "%s: %s", good[i], err);
	redis_fini();
	loop_stop_all();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("redis");
	TCase *t = tcase_create("redis");
	SRunner *r;
	int failed;

	servers_start(SERVERS_REDIS);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, every_kind_of_reply_reaches_the_task);
	tcase_add_test(t, a_command_without_an_answer_in_time_fails_as_unavailable);
	tcase_add_test(t, a_cancelled_task_leaves_its_command_behind);
	tcase_add_test(t, while_redis_is_away_commands_fail_at_once_and_it_is_found_again);
	tcase_add_test(t, nobody_there_is_no_error_at_start);
	tcase_add_test(t, a_url_that_cannot_work_is_refused_with_a_reason);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	servers_stop();
	return failed != 0;
}
