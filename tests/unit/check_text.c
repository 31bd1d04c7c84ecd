/* check_text.c: cutting passages into sentences, and words into terms. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/text/sentence.h"
#include "plugins/text/terms.h"

static struct sentence s[64];

static size_t
split(const char *z)
{
	memset(s, 0, sizeof s);
	return sentence_split(z, strlen(z), s, 64);
}

static void
is(const char *z, size_t i, int kind, const char *want)
{
	ck_assert_int_eq(s[i].kind, kind);
	ck_assert_uint_eq(s[i].end - s[i].begin, strlen(want));
	ck_assert_int_eq(memcmp(z + s[i].begin, want, strlen(want)), 0);
}

START_TEST(full_stops_end_sentences)
{
	const char *z = "One thing. Another thing! A third? The end";

	ck_assert_uint_eq(split(z), 4);
	is(z, 0, SENTENCE_PROSE, "One thing.");
	is(z, 1, SENTENCE_PROSE, "Another thing!");
	is(z, 2, SENTENCE_PROSE, "A third?");
	is(z, 3, SENTENCE_PROSE, "The end");
}
END_TEST

START_TEST(abbreviations_numbers_and_file_names_do_not)
{
	const char *z = "Use a tool, e.g. Apt, version 3.1 or later, from sources.list. See Dr. "
			"Smith, J. Doe etc. about it.";

	ck_assert_uint_eq(split(z), 2);
	is(z, 0, SENTENCE_PROSE, "Use a tool, e.g. Apt, version 3.1 or later, from sources.list.");
}
END_TEST

START_TEST(a_full_stop_that_stands_alone_ends_a_sentence)
{
	const char *z = "the flow was measured . the results agree .";

	ck_assert_uint_eq(split(z), 2);
	is(z, 1, SENTENCE_PROSE, "the results agree .");
}
END_TEST

START_TEST(closing_quotes_belong_to_the_sentence)
{
	const char *z = "He said \"stop.\" Then he left.";

	ck_assert_uint_eq(split(z), 2);
	is(z, 0, SENTENCE_PROSE, "He said \"stop.\"");
}
END_TEST

START_TEST(wrapped_lines_are_one_sentence)
{
	const char *z = "This sentence goes\nover two lines. And this\none too.";

	ck_assert_uint_eq(split(z), 2);
	is(z, 1, SENTENCE_PROSE, "And this\none too.");
}
END_TEST

START_TEST(headings_items_and_code_are_told_apart)
{
	const char *z =
	    "9.1. How can I keep it current?\n\nThere are two ways:\n\n- apt-get. It is "
	    "old.\n- aptitude\n\n    aptitude update\n    aptitude full-upgrade\n";

	ck_assert_uint_eq(split(z), 7);
	is(z, 0, SENTENCE_HEADING, "9.1. How can I keep it current?");
	is(z, 1, SENTENCE_PROSE, "There are two ways:");
	is(z, 2, SENTENCE_ITEM, "apt-get.");
	is(z, 3, SENTENCE_PROSE, "It is old.");
	is(z, 4, SENTENCE_ITEM, "aptitude");
	is(z, 5, SENTENCE_CODE, "aptitude update");
	is(z, 6, SENTENCE_CODE, "aptitude full-upgrade");
	ck_assert_uint_eq(s[2].paragraph, s[3].paragraph);
	ck_assert_uint_ne(s[3].paragraph, s[4].paragraph);
}
END_TEST

START_TEST(markdown_headings_and_fences_are_known)
{
	const char *z = "## Updating\nRun this.\n```\n# not a heading\n```\n";

	ck_assert_uint_eq(split(z), 3);
	is(z, 0, SENTENCE_HEADING, "Updating");
	is(z, 1, SENTENCE_PROSE, "Run this.");
	is(z, 2, SENTENCE_CODE, "# not a heading");
}
END_TEST

START_TEST(a_numbered_heading_may_be_long_and_end_with_a_mark)
{
	const char *z =
	    "9.4. How can I keep a log of the packages? I'd like to know when upgrades and "
	    "removals have occurred and on which packages!\n\nPass the option.";

	ck_assert_uint_eq(split(z), 2);
	ck_assert_int_eq(s[0].kind, SENTENCE_HEADING);
	is(z, 1, SENTENCE_PROSE, "Pass the option.");
}
END_TEST

START_TEST(a_bracket_that_was_left_behind_opens_no_sentence)
{
	const char *z = "Pass an option (e.g.\n\n    --log\n\n) Then wait.";

	ck_assert_uint_eq(split(z), 3);
	is(z, 2, SENTENCE_PROSE, "Then wait.");
}
END_TEST

START_TEST(empty_and_blank_texts_have_no_sentences)
{
	ck_assert_uint_eq(split(""), 0);
	ck_assert_uint_eq(split(" \n\n\t \n"), 0);
	ck_assert_uint_eq(split("- \n* \n"), 0);
}
END_TEST

START_TEST(no_more_than_asked_for_are_stored)
{
	ck_assert_uint_eq(sentence_split("A. B1. C1. D1.", 14, s, 2), 2);
}
END_TEST

START_TEST(inflections_share_a_term_and_stop_words_are_marked)
{
	struct terms_stemmer *st = terms_stemmer_new();
	struct term t[8];
	const char *z = "The upgrades of upgraded packages";

	ck_assert_ptr_nonnull(st);
	ck_assert_uint_eq(terms_scan(st, z, strlen(z), t, 8), 5);
	ck_assert_int_eq((int)t[0].stop, 1);
	ck_assert_int_eq((int)t[1].stop, 0);
	ck_assert(t[1].hash == t[3].hash);
	ck_assert(t[1].hash != t[4].hash);
	terms_stemmer_free(st);
}
END_TEST

START_TEST(compound_words_are_one_term)
{
	struct terms_stemmer *st = terms_stemmer_new();
	struct term t[8];
	const char *z = "apt-get reads sources.list. Ende";

	ck_assert_uint_eq(terms_scan(st, z, strlen(z), t, 8), 4);
	ck_assert_uint_eq(t[0].end - t[0].begin, 7);
	ck_assert_uint_eq(t[2].end - t[2].begin, 12);
	terms_stemmer_free(st);
}
END_TEST

START_TEST(a_very_long_word_is_cut_and_not_overrun)
{
	struct terms_stemmer *st = terms_stemmer_new();
	char z[1001];
	struct term t[2];

	memset(z, 'a', 1000);
	z[1000] = '\0';
	ck_assert_uint_eq(terms_scan(st, z, 1000, t, 2), 1);
	ck_assert_uint_eq(t[0].end, 1000);
	terms_stemmer_free(st);
}
END_TEST

START_TEST(sets_are_sorted_and_searched)
{
	uint64_t h[] = { 9, 3, 9, 1, 3 };

	ck_assert_uint_eq(terms_unique(h, 5), 3);
	ck_assert(terms_has(h, 3, 1) && terms_has(h, 3, 3) && terms_has(h, 3, 9));
	ck_assert(!terms_has(h, 3, 2) && !terms_has(h, 0, 1));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("text");
	TCase *tc = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_test(tc, full_stops_end_sentences);
	tcase_add_test(tc, abbreviations_numbers_and_file_names_do_not);
	tcase_add_test(tc, a_full_stop_that_stands_alone_ends_a_sentence);
	tcase_add_test(tc, closing_quotes_belong_to_the_sentence);
	tcase_add_test(tc, wrapped_lines_are_one_sentence);
	tcase_add_test(tc, headings_items_and_code_are_told_apart);
	tcase_add_test(tc, markdown_headings_and_fences_are_known);
	tcase_add_test(tc, a_numbered_heading_may_be_long_and_end_with_a_mark);
	tcase_add_test(tc, a_bracket_that_was_left_behind_opens_no_sentence);
	tcase_add_test(tc, empty_and_blank_texts_have_no_sentences);
	tcase_add_test(tc, no_more_than_asked_for_are_stored);
	tcase_add_test(tc, inflections_share_a_term_and_stop_words_are_marked);
	tcase_add_test(tc, compound_words_are_one_term);
	tcase_add_test(tc, a_very_long_word_is_cut_and_not_overrun);
	tcase_add_test(tc, sets_are_sorted_and_searched);
	suite_add_tcase(suite, tc);
	r = srunner_create(suite);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
