/* check_log.c: claims about log lines. */
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"

#include <check.h> /* last: it defines fail() */

static FILE *f;

static void
setup(void)
{
	f = tmpfile();
	ck_assert_ptr_nonnull(f);
	log_init(fileno(f), INS_LOG_INFO, 0);
}

static void
teardown(void)
{
	log_init(STDERR_FILENO, INS_LOG_INFO, 0);
	fclose(f);
}

static json_t *
line(void)
{
	static char buf[LOG_LINE_MAX + 16];
	json_t *j;

	if (fgets(buf, sizeof buf, f) == NULL)
		return NULL;
	j = json_loads(buf, 0, NULL);
	ck_assert_msg(j != NULL, "not JSON: %s", buf);
	return j;
}

static const char *
field(json_t *j, const char *key)
{
	const char *z = json_string_value(json_object_get(j, key));

	return z == NULL ? "" : z;
}

START_TEST(a_line_is_one_json_object_with_ts_level_and_event)
{
	int y, mo, d, h, mi, s, us, n = 0;
	json_t *j;

	log_event(INS_LOG_WARN, "pg.lost",
	    json_pack("{s:s, s:i, s:[i,i], s:n}", "reason", "a\n\"b\"", "tries", 3, "list", 1, 2,
		"nothing"));
	rewind(f);
	j = line();
	ck_assert_int_eq(sscanf(field(j, "ts"), "%4d-%2d-%2dT%2d:%2d:%2d.%6dZ%n", &y, &mo, &d, &h,
			     &mi, &s, &us, &n),
	    7);
	ck_assert_int_eq(n, 27);
	ck_assert_str_eq(field(j, "level"), "warn");
	ck_assert_str_eq(field(j, "event"), "pg.lost");
	ck_assert_str_eq(field(j, "reason"), "a\n\"b\"");
	ck_assert_int_eq(json_integer_value(json_object_get(j, "tries")), 3);
	ck_assert_uint_eq(json_array_size(json_object_get(j, "list")), 2);
	ck_assert(json_is_null(json_object_get(j, "nothing")));
	json_decref(j);
	ck_assert_ptr_null(line());
}
END_TEST

START_TEST(levels_below_the_least_are_not_written)
{
	struct log_line l;
	json_t *j;

	log_msg(INS_LOG_DEBUG, "a", "x");
	log_event(INS_LOG_DEBUG, "b", json_object());
	ck_assert_int_eq(log_begin(&l, INS_LOG_DEBUG, "c"), 0);
	log_level_set(INS_LOG_DEBUG);
	log_msg(INS_LOG_DEBUG, "d", "%d %s", 7, "bottles");
	rewind(f);
	j = line();
	ck_assert_str_eq(field(j, "event"), "d");
	ck_assert_str_eq(field(j, "msg"), "7 bottles");
	json_decref(j);
	ck_assert_ptr_null(line());
}
END_TEST

START_TEST(a_line_built_in_place_holds_its_fields)
{
	struct log_line l;
	json_t *j;

	ck_assert_int_eq(log_begin(&l, INS_LOG_INFO, "http.request"), 1);
	log_str(&l, "path", "/\xff\"");
	log_str(&l, "empty", "");
	log_str(&l, "null", NULL);
	log_int(&l, "status", -200);
	log_num(&l, "seconds", 0.12345, 3);
	log_num(&l, "nan", 0.0 / 0.0, 3);
	log_end(&l);
	rewind(f);
	j = line();
	ck_assert_uint_eq(json_object_size(j), 7);
	ck_assert_str_eq(field(j, "path"), "/\xef\xbf\xbd\"");
	ck_assert_int_eq(json_integer_value(json_object_get(j, "status")), -200);
	ck_assert(json_real_value(json_object_get(j, "seconds")) == 0.123);
	ck_assert(json_is_null(json_object_get(j, "nan")));
	json_decref(j);
}
END_TEST

START_TEST(a_line_that_is_too_long_is_cut_to_valid_json)
{
	struct log_line l;
	json_t *j;
	char *big = base_alloc(2 * LOG_LINE_MAX);

	memset(big, '\x01', 2 * LOG_LINE_MAX - 1);
	log_begin(&l, INS_LOG_ERROR, "big");
	log_str(&l, "text", big);
	log_end(&l);
	log_msg(INS_LOG_ERROR, "big", "%s", big);
	rewind(f);
	{
		j = line();
		ck_assert_str_eq(field(j, "event"), "big");
		ck_assert(json_is_true(json_object_get(j, "truncated")));
		json_decref(j);
	}
	j = line();
	ck_assert_str_eq(field(j, "event"), "big");
	json_decref(j);
	free(big);
}
END_TEST

START_TEST(pretty_lines_are_short_text)
{
	char buf[256];

	log_init(fileno(f), INS_LOG_INFO, 1);
	log_msg(INS_LOG_INFO, "host.ready", "listening on %s", "127.0.0.1:8080");
	log_event(INS_LOG_ERROR, "x", json_pack("{s:i, s:s}", "n", 1, "msg", "\x1b[2J"));
	rewind(f);
	ck_assert_ptr_nonnull(fgets(buf, sizeof buf, f));
	ck_assert_str_eq(buf + 12, " info  host.ready: listening on 127.0.0.1:8080\n");
	ck_assert_ptr_nonnull(fgets(buf, sizeof buf, f));
	ck_assert_str_eq(buf + 12, " error x n=1 msg=\"\\u001b[2J\"\n");
}
END_TEST

START_TEST(a_full_pipe_loses_lines_and_counts_them)
{
	int p[2];
	uint64_t before = log_dropped();

	ck_assert_int_eq(pipe2(p, O_NONBLOCK), 0);
	log_init(p[1], INS_LOG_INFO, 0);
	for (int i = 0; i < 100000 && log_dropped() == before; i++)
		log_msg(INS_LOG_INFO, "fill", "%d", i);
	ck_assert_uint_gt(log_dropped(), before);
	close(p[0]);
	close(p[1]);
}
END_TEST

static void *
writes_lines(void *arg)
{
	for (int i = 0; i < 500; i++)
		log_msg(INS_LOG_INFO, "thread", "the same text");
	return NULL;
}

START_TEST(lines_of_several_threads_do_not_mix)
{
	pthread_t t[3];
	char path[] = "/tmp/check_log.XXXXXX";
	json_t *j;
	int fd = mkostemp(path, O_APPEND), n = 0;

	ck_assert_int_ge(fd, 0);
	unlink(path);
	fclose(f);
	f = fdopen(fd, "r+");
	log_init(fd, INS_LOG_INFO, 0);
	for (size_t i = 0; i < NELEM(t); i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, writes_lines, NULL), 0);
	for (size_t i = 0; i < NELEM(t); i++)
		pthread_join(t[i], NULL);
	rewind(f);
	while ((j = line()) != NULL) {
		ck_assert_str_eq(field(j, "msg"), "the same text");
		json_decref(j);
		n++;
	}
	ck_assert_int_eq(n, 1500);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("log");
	TCase *tc = tcase_create("log");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_line_is_one_json_object_with_ts_level_and_event);
	tcase_add_test(tc, levels_below_the_least_are_not_written);
	tcase_add_test(tc, a_line_built_in_place_holds_its_fields);
	tcase_add_test(tc, a_line_that_is_too_long_is_cut_to_valid_json);
	tcase_add_test(tc, pretty_lines_are_short_text);
	tcase_add_test(tc, a_full_pipe_loses_lines_and_counts_them);
	tcase_add_test(tc, lines_of_several_threads_do_not_mix);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
