/* check_faq.c: the decisions of faq_workflow and its confidence. */
/* before check.h, whose macro fail() would change the SDK's table */
#include "runs_api.h"

#include <check.h>
#include <stdlib.h>

#include "plugins/workflow_faq/faq.h"

static struct faq faq = { .conf = { 6, 600, 60000 } };

/* The one command of advance(), as a borrowed object of *ret. */
static const json_t *
advance(const char *state, const char *event, json_t **ret)
{
	json_t *s = json_loads(state, JSON_DECODE_ANY, NULL), *e = json_loads(event, 0, NULL);

	ck_assert_ptr_nonnull(s);
	ck_assert_ptr_nonnull(e);
	ck_assert_int_eq(faq_advance(NULL, &faq, s, e, ret), 0);
	json_decref(s);
	json_decref(e);
	ck_assert_uint_eq(json_array_size(json_object_get(*ret, "commands")), 1);
	return json_array_get(json_object_get(*ret, "commands"), 0);
}

static const char *
text(const json_t *j, const char *key)
{
	const char *z = json_string_value(json_object_get(j, key));

	return z == NULL ? "" : z;
}

START_TEST(a_run_begins_with_a_search)
{
	json_t *out;
	const json_t *c = advance(
	    "null", "{\"type\": \"RunStarted\", \"input\": {\"question\": \"Why?\"}}", &out);

	ck_assert_str_eq(text(c, "step"), "search");
	ck_assert_str_eq(text(json_object_get(c, "input"), "question"), "Why?");
	json_decref(out);
}
END_TEST

START_TEST(the_question_may_be_the_last_message_of_the_user)
{
	json_t *out;
	const json_t *c = advance("null",
	    "{\"type\": \"RunStarted\", \"input\": {\"messages\": [{\"role\": \"user\", "
	    "\"content\": \"one\"}, {\"role\": \"user\", \"content\": [{\"type\": \"text\", "
	    "\"text\": \"two\"}]}, {\"role\": \"assistant\", \"content\": \"three\"}]}}",
	    &out);

	ck_assert_str_eq(text(json_object_get(c, "input"), "question"), "two");
	json_decref(out);
}
END_TEST

START_TEST(no_question_fails_the_run_with_a_reason)
{
	static const char *const inputs[] = { "{}", "{\"question\": \"\"}", "{\"messages\": 7}",
		"{\"messages\": [{\"role\": \"user\", \"content\": null}]}" };
	char event[300];
	size_t i;
	json_t *out;

	for (i = 0; i < sizeof inputs / sizeof *inputs; i++) {
		const json_t *c;

		snprintf(
		    event, sizeof event, "{\"type\": \"RunStarted\", \"input\": %s}", inputs[i]);
		c = advance("null", event, &out);
		ck_assert_str_eq(text(c, "end"), "failed");
		ck_assert_str_eq(text(json_object_get(c, "error"), "code"), "invalid_request");
		json_decref(out);
	}
}
END_TEST

static const json_t *
after_search(double confidence, json_t **ret)
{
	char event[300];

	snprintf(event, sizeof event,
	    "{\"type\": \"StepCompleted\", \"step\": 0, \"name\": \"search\", \"output\": "
	    "{\"confidence\": %.2f, \"passages\": [{\"content\": \"x\"}]}}",
	    confidence);
	return advance("{\"question\": \"Why?\", \"tier\": \"LLM\"}", event, ret);
}

START_TEST(little_confidence_is_a_refusal)
{
	json_t *out;

	ck_assert_str_eq(text(after_search(.49, &out), "step"), "refuse");
	json_decref(out);
}
END_TEST

START_TEST(enough_confidence_goes_to_the_policy)
{
	json_t *out;
	const json_t *c = after_search(.5, &out), *in = json_object_get(c, "input");

	ck_assert_str_eq(text(c, "step"), "route");
	ck_assert_str_eq(text(c, "class"), "local");
	ck_assert_double_eq(json_number_value(json_object_get(in, "confidence")), .5);
	ck_assert_str_eq(text(in, "tier"), "LLM");
	json_decref(out);
}
END_TEST

START_TEST(the_route_brings_tiers_to_the_answer)
{
	json_t *out;
	const json_t *c = advance("{\"question\": \"Why?\", \"confidence\": 0.9, \"passages\": []}",
	    "{\"type\": \"StepCompleted\", \"step\": 1, \"name\": \"route\", \"output\": "
	    "{\"tiers\": [\"SLM_A\"]}}",
	    &out);

	ck_assert_str_eq(text(c, "step"), "answer");
	ck_assert_uint_eq(
	    json_array_size(json_object_get(json_object_get(c, "input"), "tiers")), 1);
	json_decref(out);
}
END_TEST

START_TEST(the_answer_is_the_output_with_its_confidence)
{
	json_t *out;
	const json_t *c = advance("{\"question\": \"Why?\", \"confidence\": 0.9}",
	    "{\"type\": \"StepCompleted\", \"step\": 2, \"name\": \"answer\", \"output\": "
	    "{\"answer\": \"So.\"}}",
	    &out);

	ck_assert_str_eq(text(c, "end"), "completed");
	ck_assert_str_eq(text(json_object_get(c, "output"), "answer"), "So.");
	ck_assert_double_eq(
	    json_number_value(json_object_get(json_object_get(c, "output"), "confidence")), .9);
	json_decref(out);
}
END_TEST

START_TEST(a_step_that_failed_fails_the_run_with_its_error)
{
	json_t *out;
	const json_t *c = advance("{}",
	    "{\"type\": \"StepFailed\", \"step\": 0, \"name\": \"search\", \"error\": {\"code\": "
	    "\"timeout\", \"message\": \"late\"}}",
	    &out);

	ck_assert_str_eq(text(json_object_get(c, "error"), "code"), "timeout");
	json_decref(out);
}
END_TEST

static double
confidence(const char *question, const char *found)
{
	json_t *j = json_loads(found, 0, NULL);
	struct confidence c;
	ins_str q = { question, strlen(question) };

	ck_assert_ptr_nonnull(j);
	ck_assert_int_eq(confidence_measure(q, j, &c), 0);
	json_decref(j);
	return confidence_value(&c);
}

#define RECORD(content, score) \
	"{\"content\": \"" content "\", \"title\": \"\", \"score\": " score "}"
#define STATS                                                                                   \
	"\"stats\": {\"terms\": [{\"term\": \"debian\", \"idf\": 0.5}, {\"term\": \"system\", " \
	"\"idf\": 1.5}, {\"term\": \"current\", \"idf\": 4.0}, {\"term\": \"mongolia\", "       \
	"\"idf\": 6.5}, {\"term\": \"capital\", \"idf\": 5.5}]}"

START_TEST(a_passage_that_asks_the_same_is_trusted)
{
	ck_assert_double_gt(
	    confidence("How do I keep my Debian system current?",
		"{\"records\": [" RECORD("How can I keep my Debian system current? With apt.",
		    "0.7") ", " RECORD("The kernel.", "0.2") "], " STATS "}"),
	    CONFIDENCE_ANSWER);
}
END_TEST

START_TEST(a_passage_that_shares_one_word_is_not)
{
	ck_assert_double_lt(confidence("What is the capital of Mongolia?",
				"{\"records\": [" RECORD("Capital letters stand first in names.",
				    "0.25") "], " STATS "}"),
	    CONFIDENCE_LOW);
}
END_TEST

START_TEST(nothing_found_is_no_confidence)
{
	ck_assert_double_eq(confidence("Why?", "{\"records\": []}"), 0);
	ck_assert_double_eq(confidence("debian", "{\"records\": []}"), 0);
	ck_assert_double_eq(confidence("debian", "{}"), 0);
	ck_assert_double_eq(
	    confidence("debian", "{\"records\": [" RECORD("Another subject.", "0.1") "]}"), 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("faq");
	TCase *tc = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_test(tc, a_run_begins_with_a_search);
	tcase_add_test(tc, the_question_may_be_the_last_message_of_the_user);
	tcase_add_test(tc, no_question_fails_the_run_with_a_reason);
	tcase_add_test(tc, little_confidence_is_a_refusal);
	tcase_add_test(tc, enough_confidence_goes_to_the_policy);
	tcase_add_test(tc, the_route_brings_tiers_to_the_answer);
	tcase_add_test(tc, the_answer_is_the_output_with_its_confidence);
	tcase_add_test(tc, a_step_that_failed_fails_the_run_with_its_error);
	tcase_add_test(tc, a_passage_that_asks_the_same_is_trusted);
	tcase_add_test(tc, a_passage_that_shares_one_word_is_not);
	tcase_add_test(tc, nothing_found_is_no_confidence);
	suite_add_tcase(suite, tc);
	r = srunner_create(suite);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
