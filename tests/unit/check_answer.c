/* check_answer.c: answers made of sentences. */
/* before check.h, whose macro fail() would change the SDK's table */
#include <insula/insula.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/model_extractive/extract.h"

static const char updates[] =
    "9.1. How can I keep my Debian system current?\n\nOne could visit an archive and fetch the "
    "files. Many people find this approach too time-consuming. Several packages are available for "
    "this purpose:\n\n- aptitude is the recommended package manager.\n- apt-get is a command-line "
    "tool.\n\nThe weather was fine that day.";
static const char kernel[] =
    "10.1. Can I build a kernel?\n\nYes, with the package kernel-package. It needs a compiler.";

static char answer[8192];
static struct extract_result x;

static int
ask(const char *question, struct extract_limits limits)
{
	struct extract_passage v[2] = { { ins_s(updates), ins_s("Keeping up to date"), .6 },
		{ ins_s(kernel), ins_s("Debian and the kernel"), .2 } };
	size_t i;
	int r = extract_answer(v, 2, ins_s(question), limits, &x);

	answer[0] = '\0';
	for (i = 0; i < x.n_pieces; i++)
		strcat(answer, x.pieces[i].text);
	return r;
}

static void
teardown(void)
{
	extract_free(&x);
}

START_TEST(what_stands_below_a_heading_like_the_question_is_the_answer)
{
	ck_assert_int_eq(
	    ask("How do I keep my Debian system current?", (struct extract_limits){ 0 }), 0);
	ck_assert_uint_gt(x.n_pieces, 0);
	ck_assert_ptr_nonnull(strstr(answer, "One could visit an archive"));
	ck_assert_uint_eq(x.cited[0], 0);
	ck_assert_ptr_nonnull(strstr(answer, "[1]"));
}
END_TEST

START_TEST(headings_are_never_part_of_an_answer)
{
	ask("How do I keep my Debian system current?", (struct extract_limits){ 12, 0 });
	ck_assert_ptr_null(strstr(answer, "9.1."));
}
END_TEST

START_TEST(a_colon_brings_its_list_along)
{
	ask("Which packages are available for this purpose?", (struct extract_limits){ 1, 0 });
	ck_assert_ptr_nonnull(strstr(answer, "for this purpose:\n\n- aptitude is"));
	ck_assert_ptr_nonnull(strstr(answer, "\n- apt-get is a command-line tool. [1]"));
}
END_TEST

START_TEST(a_question_that_no_passage_covers_gets_none)
{
	ck_assert_int_eq(ask("What is the capital of Mongolia?", (struct extract_limits){ 0 }), 0);
	ck_assert_uint_eq(x.n_pieces, 0);
	ck_assert(x.coverage < EXTRACT_COVERAGE_MIN);
}
END_TEST

START_TEST(a_question_of_stop_words_gets_none)
{
	ck_assert_int_eq(ask("what is this?", (struct extract_limits){ 0 }), 0);
	ck_assert_uint_eq(x.n_pieces, 0);
}
END_TEST

START_TEST(the_token_limit_ends_after_a_whole_sentence_with_its_marker)
{
	ask("How do I keep my Debian system current?", (struct extract_limits){ 6, 20 });
	ck_assert_int_eq(x.cut, 1);
	ck_assert_uint_ge(strlen(answer), 5);
	ck_assert_str_eq(answer + strlen(answer) - 3, "[1]");
	ck_assert_uint_le(extract_tokens(ins_s(answer)), 24);
}
END_TEST

START_TEST(a_tiny_limit_still_says_something)
{
	ask("How do I keep my Debian system current?", (struct extract_limits){ 6, 2 });
	ck_assert_int_eq(x.cut, 1);
	ck_assert_uint_eq(x.n_pieces, 1);
}
END_TEST

START_TEST(every_marker_names_a_cited_passage)
{
	char mark[32];
	size_t i;

	ask("kernel compiler package manager", (struct extract_limits){ 12, 0 });
	ck_assert_uint_gt(x.n_cited, 0);
	for (i = 1; i <= x.n_cited; i++) {
		snprintf(mark, sizeof mark, "[%zu]", i);
		ck_assert_ptr_nonnull(strstr(answer, mark));
	}
	snprintf(mark, sizeof mark, "[%zu]", x.n_cited + 1);
	ck_assert_ptr_null(strstr(answer, mark));
}
END_TEST

START_TEST(no_passages_no_answer)
{
	ck_assert_int_eq(
	    extract_answer(NULL, 0, ins_s("kernel"), (struct extract_limits){ 0 }, &x), 0);
	ck_assert_uint_eq(x.n_pieces, 0);
}
END_TEST

START_TEST(tokens_are_four_for_three_words)
{
	ck_assert_uint_eq(extract_tokens(ins_s("one two three")), 4);
	ck_assert_uint_eq(extract_tokens(ins_s("  ")), 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("answer");
	TCase *tc = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_test(tc, what_stands_below_a_heading_like_the_question_is_the_answer);
	tcase_add_test(tc, headings_are_never_part_of_an_answer);
	tcase_add_test(tc, a_colon_brings_its_list_along);
	tcase_add_test(tc, a_question_that_no_passage_covers_gets_none);
	tcase_add_test(tc, a_question_of_stop_words_gets_none);
	tcase_add_test(tc, the_token_limit_ends_after_a_whole_sentence_with_its_marker);
	tcase_add_test(tc, a_tiny_limit_still_says_something);
	tcase_add_test(tc, every_marker_names_a_cited_passage);
	tcase_add_test(tc, no_passages_no_answer);
	tcase_add_test(tc, tokens_are_four_for_three_words);
	suite_add_tcase(suite, tc);
	r = srunner_create(suite);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
