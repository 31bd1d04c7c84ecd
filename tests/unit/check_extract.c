/* check_extract: what the extraction program makes of documents, in process and without its
 * sandbox. */
#include <check.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "child/doc.h"

static struct doc doc;

static void
setup(void)
{
	doc_init(&doc);
}

static void
teardown(void)
{
	doc_fini(&doc);
}

static int
extract(const char *type, const char *z)
{
	return extract_document(&doc, type, z, strlen(z));
}

static size_t
offset_of(uint32_t cp)
{
	size_t i = 0;

	while (cp > 0) {
		i++;
		while (i < doc.text.n && ((unsigned char)doc.text.p[i] & 0xc0) == 0x80)
			i++;
		cp--;
	}
	return i;
}

static const char *
block_text(uint32_t i)
{
	static char z[4096];
	size_t from = offset_of(doc.blocks[i].start), to = offset_of(doc.blocks[i].end);

	ck_assert_uint_lt(to - from, sizeof z);
	memcpy(z, doc.text.p + from, to - from);
	z[to - from] = '\0';
	return z;
}

static void
is_block(uint32_t i, int type, int level, const char *text)
{
	ck_assert_uint_lt(i, doc.n_blocks);
	ck_assert_int_eq(doc.blocks[i].type, type);
	ck_assert_int_eq(doc.blocks[i].level, level);
	ck_assert_str_eq(block_text(i), text);
}

START_TEST(html_becomes_blocks_in_reading_order)
{
	ck_assert_int_eq(
	    extract("text/html",
		"<html><head><title> A  page\n</title><style>p{}</style></head><body>"
		"<h1>Top</h1><p>One <b>bold</b>\n word.<p>Two<ul><li>first<li><p>second</p></ul>"
		"<pre>  a\n    b</pre><script>var x = '<p>no</p>';</script></body></html>"),
	    0);
	ck_assert_uint_eq(doc.n_blocks, 6);
	ck_assert_int_eq(strncmp(doc.title.p, "A page", doc.title.n), 0);
	is_block(0, DOC_HEADING, 1, "Top");
	is_block(1, DOC_PARAGRAPH, 0, "One bold word.");
	is_block(2, DOC_PARAGRAPH, 0, "Two");
	is_block(3, DOC_LIST_ITEM, 0, "first");
	is_block(4, DOC_LIST_ITEM, 0, "second");
	is_block(5, DOC_CODE, 0, "  a\n    b");
}
END_TEST

START_TEST(chrome_of_a_page_is_left_out)
{
	ck_assert_int_eq(
	    extract("text/html",
		"<body><header>Banner</header><nav>Menu</nav><div class='navheader'>Prev "
		"<table><tr><td>x"
		"</table></div><div class=\"x toc\">Contents</div><div role=navigation>r</div>"
		"<article><header><h1>Real title</h1></header><p>Body</p></article>"
		"<footer>Imprint</footer><div class=navfooter>Next</div></body>"),
	    0);
	ck_assert_uint_eq(doc.n_blocks, 2);
	is_block(0, DOC_HEADING, 1, "Real title");
	is_block(1, DOC_PARAGRAPH, 0, "Body");
	ck_assert_int_eq(strncmp(doc.title.p, "Real title", doc.title.n), 0);
}
END_TEST

START_TEST(data_tables_stay_whole_and_layout_tables_do_not)
{
	ck_assert_int_eq(extract("text/html",
			     "<table><tr><th>Name</th><th>Size</th></tr><tr><td>apt</td><td><p>4 "
			     "MB</p></td></tr></table>"
			     "<table><tr><td><h2>Left</h2><p>text</p></td><td><ul><li>right</ul></"
			     "td></tr></table>"),
	    0);
	ck_assert_uint_eq(doc.n_blocks, 4);
	is_block(0, DOC_TABLE, 0, "Name | Size\napt | 4 MB");
	is_block(1, DOC_HEADING, 2, "Left");
	is_block(2, DOC_PARAGRAPH, 0, "text");
	is_block(3, DOC_LIST_ITEM, 0, "right");
}
END_TEST

START_TEST(offsets_count_code_points)
{
	ck_assert_int_eq(extract("text/html; charset=utf-8",
			     "<p>na\xc3\xafve \xf0\x9f\x98\x80</p><p>e\xcc\x81t\xc3\xa9</p>"),
	    0);
	ck_assert_uint_eq(doc.blocks[0].end, 7);
	ck_assert_uint_eq(doc.blocks[1].start, 9);
	is_block(1, DOC_PARAGRAPH, 0, "\xc3\xa9t\xc3\xa9"); /* normal form C */
	ck_assert_uint_eq(doc.chars, 12);
}
END_TEST

START_TEST(declared_charsets_are_decoded)
{
	ck_assert_int_eq(extract("text/html", "<meta charset=\"ISO-8859-1\"><p>caf\xe9 \x80"), 0);
	is_block(0, DOC_PARAGRAPH, 0, "caf\xc3\xa9 \xe2\x82\xac");
	doc_fini(&doc);
	ck_assert_int_eq(extract("text/plain; charset=koi8-r", "\xd4\xc5\xd3\xd4"), 0);
	is_block(0, DOC_PARAGRAPH, 0, "\xd1\x82\xd0\xb5\xd1\x81\xd1\x82");
	doc_fini(&doc);
	ck_assert_int_eq(
	    extract("text/html", "<p>caf\xe9"), 0); /* nothing declared: as browsers read it */
	is_block(0, DOC_PARAGRAPH, 0, "caf\xc3\xa9");
}
END_TEST

static const struct {
	const char *type, *text, *error;
} refused[] = {
	{ "text/plain", "abc\xff", "byte 3 of the document is not valid UTF-8" },
	{ "text/markdown", "# a\xc0\x80", "byte 3 of the document is not valid UTF-8" },
	{ "text/html", "<meta charset=utf-8><p>\xe9",
	    "byte 23 of the document is not valid UTF-8" },
	{ "text/plain", "", "the document holds no text" },
	{ "text/plain", " \n\t\r\n \xc2\xa0", "the document holds no text" },
	{ "text/html", "<html><body><script>x</script></body></html>",
	    "the document holds no text" },
	{ "text/markdown", "---\n", "the document holds no text" },
	{ "application/pdf", "x", "documents of the media type application/pdf cannot be read" },
	{ "text/plain; charset=nonsense", "x", "the charset nonsense is not known" },
	{ "text/plain; charset=euc-jp", "x\xa4", "byte 1 of the document is not valid EUC-JP" },
};

START_TEST(bad_documents_are_refused_with_a_sentence)
{
	ck_assert_int_eq(extract(refused[_i].type, refused[_i].text), -1);
	ck_assert_str_eq(doc.error, refused[_i].error);
}
END_TEST

START_TEST(markdown_becomes_blocks)
{
	ck_assert_int_eq(
	    extract("text/markdown",
		"# Guide\n\nSome *text*\nhere with `code`.\n\n- one\n- two\n\n```sh\nls  "
		"-l\n\n\tx\n```\n\n"
		"| a | b |\n|---|---|\n| 1 | 2 |\n\n## Part\n\n<div><p>html</p></div>\n"),
	    0);
	ck_assert_uint_eq(doc.n_blocks, 8);
	is_block(0, DOC_HEADING, 1, "Guide");
	is_block(1, DOC_PARAGRAPH, 0, "Some text here with code.");
	is_block(2, DOC_LIST_ITEM, 0, "one");
	is_block(3, DOC_LIST_ITEM, 0, "two");
	is_block(4, DOC_CODE, 0, "ls  -l\n\n\tx");
	is_block(5, DOC_TABLE, 0, "| a | b |\n|---|---|\n| 1 | 2 |");
	is_block(6, DOC_HEADING, 2, "Part");
	is_block(7, DOC_PARAGRAPH, 0, "html");
	ck_assert_uint_eq(doc.title.n, 5);
}
END_TEST

START_TEST(plain_text_has_paragraphs_and_pages)
{
	ck_assert_int_eq(extract("text/plain", "one\r\nline\r\n\r\ntwo\n\fthree\n\n\n"), 0);
	ck_assert_uint_eq(doc.n_blocks, 3);
	is_block(0, DOC_PARAGRAPH, 0, "one\nline");
	is_block(1, DOC_PARAGRAPH, 0, "two");
	is_block(2, DOC_PARAGRAPH, 0, "three");
	ck_assert_uint_eq(doc.blocks[1].page, 1);
	ck_assert_uint_eq(doc.blocks[2].page, 2);
}
END_TEST

START_TEST(deep_nesting_is_refused_and_costs_no_stack)
{
	enum { N = 200000 };
	char *p = malloc(N * 5 + 2);
	int i;

	for (i = 0; i < N; i++)
		memcpy(p + i * 5, "<div>", 5);
	memcpy(p + N * 5, "x", 2);
	ck_assert_int_eq(extract("text/html", p), -1);
	ck_assert_str_eq(doc.error, "its elements are nested deeper than 2000");
	doc_fini(&doc);
	memset(p, '>', N);
	p[N] = 'x';
	p[N + 1] = '\0';
	ck_assert_int_eq(extract("text/markdown", p), 0);
	free(p);
}
END_TEST

START_TEST(more_text_than_allowed_is_refused)
{
	size_t n = DOC_TEXT_MAX + 10;
	char *p = malloc(n);

	memset(p, 'a', n);
	ck_assert_int_eq(extract_document(&doc, "text/plain", p, n), -1);
	ck_assert_str_eq(doc.error, "the document holds more than 24 MiB of text");
	free(p);
}
END_TEST

START_TEST(past_the_block_limit_paragraphs_are_joined)
{
	size_t n = (DOC_BLOCKS_MAX + 100) * 3;
	char *p = malloc(n);
	size_t i;

	for (i = 0; i < n; i += 3)
		memcpy(p + i, "a\n\n", 3);
	ck_assert_int_eq(extract_document(&doc, "text/plain", p, n), 0);
	ck_assert_uint_eq(doc.n_blocks, DOC_BLOCKS_MAX);
	ck_assert_uint_eq(doc.blocks[doc.n_blocks - 1].end, doc.chars);
	free(p);
}
END_TEST

struct sink {
	char p[1024];
	size_t n;
};

static int
sink_put(void *arg, const char *p, size_t n)
{
	struct sink *s = arg;

	ck_assert_uint_le(s->n + n, sizeof s->p);
	memcpy(s->p + s->n, p, n);
	s->n += n;
	return 0;
}

START_TEST(the_answer_is_json)
{
	struct sink s = { .n = 0 };
	json_t *j, *b;

	ck_assert_int_eq(
	    extract("text/html", "<title>\"Q\" \\ x</title><h2>A</h2><pre>b\tc\n\"d\"</pre>"), 0);
	ck_assert_int_eq(doc_json(&doc, sink_put, &s), 0);
	j = json_loadb(s.p, s.n, 0, NULL);
	ck_assert_ptr_nonnull(j);
	ck_assert_str_eq(json_string_value(json_object_get(j, "title")), "\"Q\" \\ x");
	ck_assert_str_eq(json_string_value(json_object_get(j, "text")), "A\n\nb\tc\n\"d\"");
	ck_assert_int_eq(json_integer_value(json_object_get(j, "characters")), 10);
	b = json_array_get(json_object_get(j, "blocks"), 0);
	ck_assert_str_eq(json_string_value(json_object_get(b, "type")), "heading");
	ck_assert_int_eq(json_integer_value(json_object_get(b, "level")), 2);
	json_decref(j);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("extract");
	TCase *t = tcase_create("documents");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, html_becomes_blocks_in_reading_order);
	tcase_add_test(t, chrome_of_a_page_is_left_out);
	tcase_add_test(t, data_tables_stay_whole_and_layout_tables_do_not);
	tcase_add_test(t, offsets_count_code_points);
	tcase_add_test(t, declared_charsets_are_decoded);
	tcase_add_loop_test(
	    t, bad_documents_are_refused_with_a_sentence, 0, sizeof refused / sizeof refused[0]);
	tcase_add_test(t, markdown_becomes_blocks);
	tcase_add_test(t, plain_text_has_paragraphs_and_pages);
	tcase_add_test(t, deep_nesting_is_refused_and_costs_no_stack);
	tcase_add_test(t, more_text_than_allowed_is_refused);
	tcase_add_test(t, past_the_block_limit_paragraphs_are_joined);
	tcase_add_test(t, the_answer_is_json);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
