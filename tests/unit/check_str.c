/* check_str.c: claims about buffers, errors, and the small things of base.c. */
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"

#include <check.h> /* last: it defines fail() */

static struct str s;

START_TEST(what_is_added_is_there_and_terminated)
{
	str_init(&s, 100000);
	ck_assert_ptr_null(s.p);
	for (int i = 0; i < 1000; i++)
		str_addf(&s, "%d,", i);
	ck_assert_uint_eq(s.n, 3890);
	ck_assert_uint_eq(strlen(s.p), s.n);
	ck_assert_str_eq(s.p + s.n - 8, "998,999,");
	str_reset(&s);
	ck_assert_uint_eq(s.n, 0);
	ck_assert_str_eq(s.p, "");
	str_fini(&s);
}
END_TEST

START_TEST(what_does_not_fit_is_refused_whole)
{
	str_init(&s, 10);
	str_addz(&s, "12345");
	str_addf(&s, "%s", "678901");
	ck_assert_int_eq(s.overflow, 1);
	ck_assert_str_eq(s.p, "12345");
	str_addz(&s, "6");
	ck_assert_str_eq(s.p, "12345");
	str_reset(&s);
	str_addz(&s, "1234567890");
	ck_assert_int_eq(s.overflow, 0);
	ck_assert_str_eq(s.p, "1234567890");
	str_add(&s, "", 0);
	ck_assert_int_eq(s.overflow, 0);
	str_add(&s, "x", SIZE_MAX);
	ck_assert_int_eq(s.overflow, 1);
	str_fini(&s);
}
END_TEST

START_TEST(json_strings_are_escaped)
{
	static const char in[] = "a\"b\\c\n\x01\x7f\xc3\xa4\xff\xed\xa0\x80 e\0z";

	str_init(&s, 1000);
	str_add_json(&s, in, sizeof in - 1);
	ck_assert_str_eq(s.p,
	    "\"a\\\"b\\\\c\\n\\u0001\\u007f\xc3\xa4\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
	    "\xef\xbf\xbd e\\u0000z\"");
	str_fini(&s);
}
END_TEST

START_TEST(any_bytes_become_a_json_string_that_parses)
{
	unsigned char in[64];
	json_t *j;

	str_init(&s, 10000);
	for (int round = 0; round < 2000; round++) {
		base_random(in, sizeof in);
		str_reset(&s);
		str_add_json(&s, (char *)in, sizeof in);
		j = json_loadb(s.p, s.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
		ck_assert_msg(j != NULL, "round %d: %s", round, s.p);
		json_decref(j);
	}
	str_fini(&s);
}
END_TEST

START_TEST(error_codes_of_either_sign_are_known)
{
	ck_assert_int_eq(err_info(-INS_ENOTFOUND)->http_status, 404);
	ck_assert_str_eq(err_info(INS_ELIMIT)->name, "ELIMIT");
	ck_assert_int_eq(err_info(INS_ELIMIT)->retryable, 1);
	ck_assert_ptr_null(err_info(INS_EINVAL)->openai_code);
	ck_assert_str_eq(err_info(INS_EMODEL)->openai_code, "model_not_found");
	ck_assert_int_eq(err_info(12345)->code, INS_EINTERNAL);
	ck_assert_int_eq(err_info(INT32_MIN)->code, INS_EINTERNAL);
	ck_assert_int_eq(err_info(0)->code, INS_EINTERNAL);
}
END_TEST

START_TEST(uuids_are_version_7_and_sort_in_the_order_they_were_made)
{
	char last[37] = "", u[37];

	for (int i = 0; i < 2000; i++) {
		base_uuid7(u);
		ck_assert_uint_eq(strlen(u), 36);
		ck_assert_int_eq(u[14], '7');
		ck_assert(strchr("89ab", u[19]) != NULL);
		ck_assert_uint_eq(strspn(u, "0123456789abcdef-"), 36);
		ck_assert(u[8] == '-' && u[13] == '-' && u[18] == '-' && u[23] == '-');
		ck_assert_msg(strcmp(last, u) < 0, "%s then %s", last, u);
		strcpy(last, u);
	}
}
END_TEST

START_TEST(a_uuid_holds_the_time)
{
	int64_t before = base_now_us() / 1000, ms;
	char u[37], hex[13];

	base_uuid7(u);
	snprintf(hex, sizeof hex, "%.8s%.4s", u, u + 9);
	ms = (int64_t)strtoull(hex, NULL, 16);
	ck_assert_int_ge(ms, before);
	ck_assert_int_le(ms, base_now_us() / 1000);
}
END_TEST

START_TEST(clocks_go_forward)
{
	int64_t a = base_mono_us(), b = base_mono_us();

	ck_assert_int_le(a, b);
	ck_assert_int_gt(base_now_us(), INT64_C(1700000000) * 1000000);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("str");
	TCase *tc = tcase_create("str");
	SRunner *sr = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, what_is_added_is_there_and_terminated);
	tcase_add_test(tc, what_does_not_fit_is_refused_whole);
	tcase_add_test(tc, json_strings_are_escaped);
	tcase_add_test(tc, any_bytes_become_a_json_string_that_parses);
	tcase_add_test(tc, error_codes_of_either_sign_are_known);
	tcase_add_test(tc, uuids_are_version_7_and_sort_in_the_order_they_were_made);
	tcase_add_test(tc, a_uuid_holds_the_time);
	tcase_add_test(tc, clocks_go_forward);
	suite_add_tcase(suite, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
