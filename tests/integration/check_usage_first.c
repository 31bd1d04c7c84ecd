/* check_usage_first.c: with `meter_first`, no answer that went out is unmetered, whatever happens
 * to the host after it. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "tests/integration/usage.h"

#define ROUNDS 5
#define CHAT(more)                                        \
	"{\"model\": \"up-echo\", " more "\"messages\": " \
	"[{\"role\": \"user\", \"content\": \"good day to you\"}]}"

/* How often the completion of this answer was counted; its id stands in every form of answer. */
static long long
counted(const char *body)
{
	const char *at = body == NULL ? NULL : strstr(body, "chatcmpl-");
	char query[300];

	ck_assert_ptr_nonnull(at);
	snprintf(query, sizeof query,
	    "SELECT count(*) FROM usage_events WHERE id = '%.*s' AND prompt_tokens > 0 AND "
	    "completion_tokens > 0",
	    (int)strcspn(at, "\""), at);
	return sql_number(query);
}

/* Nothing is waited for: what is not counted when the host is dead never will be. */
static void
kill_after(const char *request, const char *last)
{
	char answer[4096];
	long long n;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		snprintf(answer, sizeof answer, "%s",
		    client_post_until(c, "/v1/chat/completions", request, last)->body);
		house_kill(SIGKILL);
		n = counted(answer);
		house_again();
		client_free(c);
		c = house_client(0);
		ck_assert_ptr_nonnull(strstr(answer, last));
		ck_assert_int_eq(n, 1);
		ck_assert_int_eq(counted(answer), 1);
	}
}

START_TEST(a_whole_answer_is_counted_before_it_goes_out)
{
	kill_after(CHAT(""), "\"usage\"");
}
END_TEST

START_TEST(a_stream_is_counted_before_its_end_goes_out)
{
	kill_after(CHAT("\"stream\": true, "), "[DONE]");
}
END_TEST

START_TEST(the_sums_hold_what_was_counted)
{
	const struct reply *r = client_post(c, "/v1/usage/recompute", "{}");

	ck_assert_msg(r->status == 200, "%d %s", r->status, r->body);
	ck_assert(json_is_true(json_object_get(r->json, "equal")));
	ck_assert_int_ge(
	    sql_number("SELECT sum(events) FROM usage_rollups WHERE kind = 'completion'"),
	    (long long)ROUNDS * 2);
}
END_TEST

static void
add(TCase *t)
{
	tcase_add_test(t, a_whole_answer_is_counted_before_it_goes_out);
	tcase_add_test(t, a_stream_is_counted_before_its_end_goes_out);
	tcase_add_test(t, the_sums_hold_what_was_counted);
}

int
main(void)
{
	return usage_main("usage first", "config: {meter_first: true}", add);
}
