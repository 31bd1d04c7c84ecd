/* check_json.c: claims about JSON that others wrote. */
#include "base/json.h"

#include <check.h> /* last: it defines fail() */

static char err[JSON_ERR_MAX];

static void
refused(const char *p, size_t n, const char *why)
{
	json_t *j = json_parse(p, n, err);

	ck_assert_msg(j == NULL, "accepted: %.60s", p);
	ck_assert_msg(strstr(err, why) != NULL, "\"%s\" does not say \"%s\"", err, why);
	ck_assert_msg(strncmp(err, "line ", 5) == 0, "no place in \"%s\"", err);
}

static void
accepted(const char *z)
{
	json_t *j = json_parse(z, strlen(z), err);

	ck_assert_msg(j != NULL, "refused: %.60s: %s", z, err);
	ck_assert_str_eq(err, "");
	json_decref(j);
}

START_TEST(valid_texts_are_accepted)
{
	accepted("{}");
	accepted("[]");
	accepted(" \t\r\n{\"a\": [1, 2.5, -3e2, true, false, null, \"x\"]} ");
	accepted("\"a string\"");
	accepted("17");
	accepted("{\"\\u00e4\": \"\xf0\x9f\x98\x80 \\ud83d\\ude00 [[[{{{ \\\" \\\\\"}");
}
END_TEST

START_TEST(broken_texts_are_refused_with_a_place)
{
	refused("", 0, "empty");
	refused(NULL, 0, "empty");
	refused("{\"a\":}", 6, "line 1");
	refused("{\"a\": 1,\n \"b\": }", 16, "line 2");
	refused("{\"a\": 1", 7, "line 1");
	refused("{\"a\": 1} x", 10, "end of file");
	refused("]", 1, "line 1");
	refused("{]", 2, "line 1");
	refused("\"abc", 4, "line 1");
	refused("\"abc\\", 5, "line 1");
	refused("[1,]", 4, "line 1");
	refused("nul", 3, "line 1");
	refused("{\"a\":99999999999999999999999}", 29, "too big");
	refused("[1e999]", 7, "overflow");
}
END_TEST

START_TEST(duplicate_keys_are_refused)
{
	refused("{\"role\": \"user\", \"role\": \"system\"}", 34, "duplicate");
}
END_TEST

START_TEST(nul_is_refused_raw_and_escaped)
{
	refused("{\"a\": \"x\\u0000y\"}", 17, "\\u0000");
	refused("{\"a\": \"x\0y\"}", 12, "line 1");
	refused("{}\0", 3, "line 1");
}
END_TEST

START_TEST(invalid_utf8_is_refused_where_it_stands)
{
	refused("{\n\"a\": \"\xff\"}", 11, "line 2 column 7: the text is not valid UTF-8");
	refused("\"\xed\xa0\x80\"", 5, "UTF-8");
	refused("\"\xc0\xaf\"", 4, "UTF-8");
	refused("\"\xe2\x82", 3, "UTF-8");
	refused("\"\\\xff\"", 4, "line 1");
	refused("\"\\ud83d\"", 8, "line 1");
}
END_TEST

static char *
nested(size_t depth, const char *open, const char *close)
{
	char *z = base_alloc(depth * (strlen(open) + strlen(close)) + 8);
	char *p = z;

	for (size_t i = 0; i < depth; i++)
		p += sprintf(p, "%s", open);
	p += sprintf(p, "1");
	for (size_t i = 0; i < depth; i++)
		p += sprintf(p, "%s", close);
	return z;
}

START_TEST(depth_is_allowed_up_to_the_limit_exactly)
{
	char *z = nested(JSON_DEPTH_MAX, "[", "]");

	accepted(z);
	free(z);
	z = nested(JSON_DEPTH_MAX + 1, "{\"a\":", "}");
	refused(z, strlen(z), "nested deeper than 128 levels");
	free(z);
}
END_TEST

START_TEST(very_deep_texts_get_a_clear_error)
{
	static const size_t depths[] = { 2000, 1000000 };

	for (size_t i = 0; i < NELEM(depths); i++) {
		char *z = nested(depths[i], "[", "]");

		refused(z, strlen(z), "line 1 column 129: nested deeper than 128 levels");
		free(z);
	}
}
END_TEST

START_TEST(brackets_in_strings_are_no_depth)
{
	char z[600];

	memset(z, '[', sizeof z);
	z[0] = z[sizeof z - 2] = '"';
	z[sizeof z - 1] = '\0';
	accepted(z);
}
END_TEST

START_TEST(utf8_is_judged_like_unicode_does)
{
	static const struct {
		const char *z;
		int valid;
	} cases[] = {
		{ "", 1 },
		{ "plain ascii that is longer than a word", 1 },
		{ "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf",
		    1 },
		{ "\xed\x9f\xbf\xee\x80\x80", 1 },
		{ "\x80", 0 },
		{ "12345678\xbf", 0 },
		{ "\xc1\xbf", 0 },
		{ "\xe0\x9f\xbf", 0 },
		{ "\xed\xa0\x80", 0 },
		{ "\xf0\x8f\xbf\xbf", 0 },
		{ "\xf4\x90\x80\x80", 0 },
		{ "\xf5\x80\x80\x80", 0 },
		{ "\xc3", 0 },
		{ "\xe2\x82", 0 },
		{ "\xf0\x9f\x98", 0 },
		{ "\xc3(", 0 },
	};

	for (size_t i = 0; i < NELEM(cases); i++)
		ck_assert_msg(json_utf8_valid(cases[i].z, strlen(cases[i].z)) == cases[i].valid,
		    "case %zu", i);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("json");
	TCase *tc = tcase_create("json");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_test(tc, valid_texts_are_accepted);
	tcase_add_test(tc, broken_texts_are_refused_with_a_place);
	tcase_add_test(tc, duplicate_keys_are_refused);
	tcase_add_test(tc, nul_is_refused_raw_and_escaped);
	tcase_add_test(tc, invalid_utf8_is_refused_where_it_stands);
	tcase_add_test(tc, depth_is_allowed_up_to_the_limit_exactly);
	tcase_add_test(tc, very_deep_texts_get_a_clear_error);
	tcase_add_test(tc, brackets_in_strings_are_no_depth);
	tcase_add_test(tc, utf8_is_judged_like_unicode_does);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
