/* check_chunk: passages of documents. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/knowledge/chunk.h"

#define BLOCKS_MAX 64

static struct chunks got;
static struct chunk_block blocks[BLOCKS_MAX];
static size_t n_blocks;
static char *text;
static size_t text_n;
static uint32_t text_cp;

static void
setup(void)
{
	text = calloc(1, 1 << 20);
	text_n = n_blocks = 0;
	text_cp = 0;
	memset(&got, 0, sizeof got);
}

static void
teardown(void)
{
	chunks_fini(&got);
	free(text);
}

static uint32_t
count(const char *p, size_t n)
{
	uint32_t c = 0;
	size_t i;

	for (i = 0; i < n; i++)
		c += ((unsigned char)p[i] & 0xc0) != 0x80;
	return c;
}

static void
block(int type, int level, const char *z)
{
	size_t n = strlen(z);

	if (text_n > 0) {
		memcpy(text + text_n, "\n\n", 2);
		text_n += 2;
		text_cp += 2;
	}
	memcpy(text + text_n, z, n);
	blocks[n_blocks] = (struct chunk_block){ text_cp, text_cp + count(z, n), 0, (uint8_t)type,
		(uint8_t)level };
	text_n += n;
	text_cp = blocks[n_blocks++].end;
}

/* n sentences of ten words and a full stop. */
static const char *
prose(unsigned n, char mark)
{
	static char z[1 << 18];
	size_t at = 0;
	unsigned i;

	for (i = 0; i < n; i++)
		at += (size_t)snprintf(z + at, sizeof z - at,
		    "%sSentence %c%u has ten short words in it so.", i == 0 ? "" : " ", mark, i);
	return z;
}

static void
split(void)
{
	const char *why;
	size_t i;

	ck_assert_int_eq(chunk_split(text, text_n, blocks, n_blocks, &got, &why), 0);
	for (i = 0; i < got.n; i++) { /* what holds of every passage */
		const struct chunk *c = &got.p[i];

		ck_assert_uint_eq(count(text, c->at), c->start);
		ck_assert_uint_eq(count(text + c->at, c->n), c->end - c->start);
		ck_assert_uint_gt(c->n, 0);
		ck_assert_uint_le(c->tokens, CHUNK_TOKENS_HARD);
	}
}

static void
is_chunk(size_t i, const char *section, const char *content)
{
	ck_assert_uint_lt(i, got.n);
	ck_assert_str_eq(got.p[i].section, section);
	ck_assert_uint_eq(got.p[i].n, strlen(content));
	ck_assert_int_eq(memcmp(text + got.p[i].at, content, got.p[i].n), 0);
}

START_TEST(headings_begin_passages)
{
	block(CHUNK_HEADING, 1, "Guide");
	block(CHUNK_HEADING, 2, "First");
	block(CHUNK_PARAGRAPH, 0, "One.");
	block(CHUNK_LIST_ITEM, 0, "two");
	block(CHUNK_HEADING, 2, "Second \xc3\xa9");
	block(CHUNK_PARAGRAPH, 0, "Three \xf0\x9f\x98\x80.");
	block(CHUNK_HEADING, 1, "End");
	split();
	ck_assert_uint_eq(got.n, 3);
	is_chunk(0, "Guide > First", "Guide\n\nFirst\n\nOne.\n\ntwo");
	is_chunk(1, "Guide > Second \xc3\xa9", "Second \xc3\xa9\n\nThree \xf0\x9f\x98\x80.");
	is_chunk(2, "End", "End");
}
END_TEST

START_TEST(long_paragraphs_are_cut_between_sentences_with_some_repetition)
{
	size_t i;

	block(CHUNK_HEADING, 1, "H");
	block(CHUNK_PARAGRAPH, 0, prose(100, 'a'));
	split();
	ck_assert_uint_gt(got.n, 2);
	for (i = 0; i < got.n; i++) {
		ck_assert_uint_le(got.p[i].tokens, CHUNK_TOKENS);
		ck_assert_int_eq(text[got.p[i].at + got.p[i].n - 1], '.');
		if (i > 0) {
			ck_assert_int_eq(strncmp(text + got.p[i].at, "Sentence ", 9), 0);
			ck_assert_uint_lt(got.p[i].start, got.p[i - 1].end);
			ck_assert_uint_le(chunk_tokens(text + got.p[i].at,
					      got.p[i - 1].at + got.p[i - 1].n - got.p[i].at),
			    CHUNK_OVERLAP);
		}
	}
	ck_assert_uint_eq(got.p[got.n - 1].end, text_cp);
}
END_TEST

START_TEST(a_paragraph_that_fits_is_not_cut)
{
	block(CHUNK_PARAGRAPH, 0, prose(20, 'a'));
	block(CHUNK_PARAGRAPH, 0, prose(20, 'b'));
	split();
	ck_assert_uint_eq(got.n, 2);
	ck_assert_uint_eq(got.p[0].end, blocks[0].end);
	ck_assert_uint_le(got.p[1].start, blocks[1].start);
	ck_assert_uint_eq(got.p[1].end, blocks[1].end);
}
END_TEST

START_TEST(tables_and_code_stay_whole)
{
	static char table[8192];
	size_t at = 0;
	unsigned i;

	for (i = 0; i < 200; i++)
		at += (size_t)snprintf(table + at, sizeof table - at, "cell %u | value | x\n", i);
	table[at - 1] = '\0';
	ck_assert_uint_gt(chunk_tokens(table, at), CHUNK_TOKENS);
	block(CHUNK_PARAGRAPH, 0, "Before.");
	block(CHUNK_TABLE, 0, table);
	block(CHUNK_PARAGRAPH, 0, "After.");
	split();
	ck_assert_uint_eq(got.n, 3);
	is_chunk(1, "", table);
	is_chunk(2, "", "After.");
}
END_TEST

START_TEST(endless_code_is_cut_between_lines)
{
	static char code[60000];
	size_t at = 0, i;

	for (i = 0; at < 59000; i++)
		at += (size_t)snprintf(
		    code + at, sizeof code - at, "call %zu with arguments;\n", i);
	code[at - 1] = '\0';
	block(CHUNK_CODE, 0, code);
	split();
	ck_assert_uint_gt(got.n, 5);
	for (i = 0; i < got.n; i++)
		ck_assert_int_eq(strncmp(text + got.p[i].at, "call ", 5), 0);
}
END_TEST

START_TEST(text_without_gaps_is_cut_between_characters)
{
	size_t i;
	char *z = malloc(90001);

	for (i = 0; i < 90000; i += 3)
		memcpy(z + i, "\xe4\xb8\xad", 3);
	z[90000] = '\0';
	block(CHUNK_PARAGRAPH, 0, z);
	free(z);
	split();
	ck_assert_uint_gt(got.n, 50);
	for (i = 0; i < got.n; i++)
		ck_assert_uint_eq(got.p[i].n % 3, 0);
	ck_assert_uint_eq(got.p[got.n - 1].end, 30000);
}
END_TEST

START_TEST(blocks_that_do_not_fit_the_text_are_refused)
{
	const char *why;

	block(CHUNK_PARAGRAPH, 0, "abc");
	blocks[0].end = 4;
	ck_assert_int_eq(chunk_split(text, text_n, blocks, 1, &got, &why), -1);
	ck_assert_str_eq(why, "its blocks lie outside its text");
	blocks[0].end = 2;
	blocks[1] = (struct chunk_block){ 1, 3, 0, CHUNK_PARAGRAPH, 0 };
	ck_assert_int_eq(chunk_split(text, text_n, blocks, 2, &got, &why), -1);
	ck_assert_str_eq(why, "its blocks overlap");
	ck_assert_int_eq(chunk_split("", 0, blocks, 0, &got, &why), 0);
	ck_assert_uint_eq(got.n, 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("chunk");
	TCase *t = tcase_create("passages");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, headings_begin_passages);
	tcase_add_test(t, long_paragraphs_are_cut_between_sentences_with_some_repetition);
	tcase_add_test(t, a_paragraph_that_fits_is_not_cut);
	tcase_add_test(t, tables_and_code_stay_whole);
	tcase_add_test(t, endless_code_is_cut_between_lines);
	tcase_add_test(t, text_without_gaps_is_cut_between_characters);
	tcase_add_test(t, blocks_that_do_not_fit_the_text_are_refused);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
