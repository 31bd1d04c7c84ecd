/* check_sse: the events of a byte stream, however its bytes are split and its lines end. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/model_openai/model_openai_sse.h"

#define MAX 4096

/* All events of text, fed in pieces of `step` bytes, as "type|data" joined by ";". "!" at the end
 * when the stream was lost. */
static char *
events(const char *text, size_t n, size_t step, size_t max)
{
	struct sse s;
	struct buf out;
	enum sse_result r = SSE_MORE;
	size_t at, used, piece;

	sse_init(&s, max);
	buf_init(&out, 1 << 20);
	buf_add(&out, "", 0);
	for (at = 0; at < n && r != SSE_TOO_LONG; at += used) {
		piece = n - at < step ? n - at : step;
		r = sse_feed(&s, text + at, piece, &used);
		ck_assert_uint_le(used, piece);
		ck_assert(used > 0);
		if (r == SSE_EVENT) {
			buf_add(&out, s.event, strlen(s.event));
			buf_add(&out, "|", 1);
			buf_add(&out, s.data.p, s.data.n);
			buf_add(&out, ";", 1);
		}
	}
	if (r != SSE_TOO_LONG && (r = sse_end(&s)) == SSE_EVENT) {
		buf_add(&out, s.event, strlen(s.event));
		buf_add(&out, "|", 1);
		buf_add(&out, s.data.p, s.data.n);
		buf_add(&out, ";", 1);
	}
	if (r == SSE_TOO_LONG)
		buf_add(&out, "!", 1);
	sse_fini(&s);
	return out.p;
}

static void
expect(const char *text, const char *want)
{
	size_t n = strlen(text), step;
	char *got;

	for (step = 1; step <= n + 1; step++) {
		got = events(text, n, step, MAX);
		ck_assert_msg(
		    strcmp(got, want) == 0, "in steps of %zu: %s, not %s", step, got, want);
		free(got);
	}
}

START_TEST(lines_end_in_lf_crlf_or_cr)
{
	expect("data: a\n\ndata: b\n\n", "|a;|b;");
	expect("data: a\r\n\r\ndata: b\r\n\r\n", "|a;|b;");
	expect("data: a\r\rdata: b\r\r", "|a;|b;");
	expect("data: a\r\n\ndata: b\r\r\n", "|a;|b;");
}
END_TEST

START_TEST(a_bom_may_lead_and_only_there)
{
	expect("\xef\xbb\xbf"
	       "data: a\n\n",
	    "|a;");
	expect("data: a\n\n\xef\xbb\xbf"
	       "data: b\n\n",
	    "|a;");
}
END_TEST

START_TEST(comments_and_unknown_fields_are_skipped)
{
	expect(": ping\n\ndata: a\n: ping\nretry: 5\nid: 7\nfoo\n\n: bye\n\n", "|a;");
}
END_TEST

START_TEST(data_lines_join_with_lf)
{
	expect("data: a\ndata\ndata:b\n\n", "|a\n\nb;");
}
END_TEST

START_TEST(one_blank_after_the_colon_is_no_data)
{
	expect("data:a\n\ndata: a\n\ndata:  a\n\n", "|a;|a;| a;");
}
END_TEST

START_TEST(an_event_has_a_type_and_forgets_it)
{
	expect("event: error\ndata: a\n\ndata: b\n\nevent: lost\n\ndata: c\n\n", "error|a;|b;|c;");
}
END_TEST

START_TEST(a_last_event_without_its_blank_line_counts)
{
	expect("data: a\n\ndata: b\n", "|a;|b;");
	expect("data: a\n\ndata: b", "|a;|b;");
	expect("data: a\n\ndata: b\r", "|a;|b;");
	expect("data: a\n\nevent: x", "|a;");
	expect("", "");
}
END_TEST

START_TEST(a_line_past_the_cap_loses_the_stream)
{
	char text[200];
	size_t step;
	char *got;

	memset(text, 'x', sizeof text);
	memcpy(text, "data: ", 6);
	for (step = 1; step <= sizeof text; step++) {
		got = events(text, sizeof text, step, 100);
		ck_assert_str_eq(got, "!");
		free(got);
	}
	text[199] = '\n';
	got = events(text, sizeof text, sizeof text, 100);
	ck_assert_str_eq(got, "!");
	free(got);
}
END_TEST

START_TEST(an_event_of_many_lines_past_the_cap_loses_the_stream)
{
	char text[40 * 10 + 1] = "";
	char *got;
	int i;

	for (i = 0; i < 40; i++)
		strcat(text, "data: 123\n");
	got = events(text, strlen(text), 7, 100);
	ck_assert_str_eq(got, "!");
	free(got);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("sse");
	TCase *t = tcase_create("sse");
	SRunner *runner;
	int failed;

	tcase_add_test(t, lines_end_in_lf_crlf_or_cr);
	tcase_add_test(t, a_bom_may_lead_and_only_there);
	tcase_add_test(t, comments_and_unknown_fields_are_skipped);
	tcase_add_test(t, data_lines_join_with_lf);
	tcase_add_test(t, one_blank_after_the_colon_is_no_data);
	tcase_add_test(t, an_event_has_a_type_and_forgets_it);
	tcase_add_test(t, a_last_event_without_its_blank_line_counts);
	tcase_add_test(t, a_line_past_the_cap_loses_the_stream);
	tcase_add_test(t, an_event_of_many_lines_past_the_cap_loses_the_stream);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
