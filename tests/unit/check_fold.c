/* check_fold.c: the pure core of a run, and the array literals of its commits. */
/* before check.h, whose macro fail() would change the SDK's table */
#include "runs_api.h"

#include <check.h>
#include <stdlib.h>

#include "plugins/runs/array.h"
#include "plugins/runs/fold.h"

static struct fold f;
static const struct fold_limits no_limits;

/* A workflow that does what the test says: the next commands, as JSON. */
static const char *next_commands;
static int advance_result;
static int calls;

static int
advance(ins_ctx *ctx, void *self, const json_t *state, const json_t *event, json_t **ret)
{
	(void)ctx;
	(void)self;
	(void)state;
	(void)event;
	calls++;
	if (advance_result != 0)
		return ins_fail(ctx, -advance_result, "the workflow says no");
	*ret = json_loads(next_commands, 0, NULL);
	return 0;
}

static const ins_workflow workflow = {
	.size = sizeof workflow, .name = "w", .version = "1", .advance = advance
};

/* Applies an event and what follows; returns the types of what followed, as "BudgetHit RunEnded".
 */
static const char *
record(enum event_type type, int32_t step, int32_t attempt, const char *data)
{
	static char followed[200];
	struct run_event *ev = run_event_new(type, step, attempt, "s", json_loads(data, 0, NULL));

	ck_assert_ptr_nonnull(ev);
	followed[0] = '\0';
	ev->ts_us = f.last_us + 1000;
	for (;;) {
		ev->seq = f.next_seq;
		ck_assert_int_eq(fold_apply(&f, NULL, &workflow, ev), 0);
		run_event_free(ev);
		ev = fold_derive(&f);
		if (ev == NULL)
			break;
		ev->ts_us = f.last_us;
		strcat(followed, followed[0] ? " " : "");
		strcat(followed, event_type_names[ev->type]);
	}
	return followed;
}

static const char *
begin(const char *commands)
{
	next_commands = commands;
	return record(EV_RUN_STARTED, -1, 0, "{\"input\": {\"q\": 1}}");
}

static const char *
end_status(void)
{
	return json_string_value(json_object_get(f.end, "status"));
}

static const char *
end_code(void)
{
	return json_string_value(json_object_get(json_object_get(f.end, "error"), "code"));
}

static void
setup(void)
{
	fold_init(&f, &no_limits);
	advance_result = calls = 0;
}

static void
teardown(void)
{
	fold_fini(&f);
}

#define STEP_A "{\"commands\": [{\"step\": \"a\", \"input\": {\"x\": 2}}]}"
#define DONE "{\"commands\": [{\"end\": \"completed\", \"output\": {\"y\": 3}}]}"

START_TEST(a_run_starts_steps_and_ends)
{
	ck_assert_str_eq(begin(STEP_A), "");
	ck_assert_uint_eq(f.n_open, 1);
	ck_assert_str_eq(f.open[0].name, "a");
	ck_assert_int_eq(f.open[0].class, STEP_IDEMPOTENT);
	ck_assert_int_eq(f.open[0].max_attempts, 3);
	next_commands = DONE;
	ck_assert_str_eq(record(EV_STEP_COMPLETED, 0, 1, "{\"output\": {}}"), "RunEnded");
	ck_assert_int_eq(f.ended, 1);
	ck_assert_str_eq(end_status(), "completed");
	ck_assert_int_eq(f.next_seq, 3);
}
END_TEST

START_TEST(an_effect_is_written_ahead)
{
	ck_assert_str_eq(
	    begin("{\"commands\": [{\"step\": \"pay\", \"class\": \"effect\"}]}"), "StepScheduled");
	ck_assert_int_eq(f.open[0].attempt, 1);
	ck_assert_int_eq(f.open[0].scheduled, 1);
}
END_TEST

START_TEST(a_finished_step_is_not_taken_twice)
{
	struct run_event *ev;

	begin("{\"commands\": [{\"step\": \"a\"}, {\"step\": \"b\"}]}");
	next_commands = "{\"commands\": []}";
	record(EV_STEP_COMPLETED, 0, 1, "{\"output\": {}}");
	ev = run_event_new(EV_STEP_COMPLETED, 0, 1, "a", json_object());
	ev->seq = f.next_seq;
	ck_assert_int_eq(fold_apply(&f, NULL, &workflow, ev), -INS_EINVAL);
	ck_assert_int_eq(f.next_seq, 2);
	run_event_free(ev);
}
END_TEST

START_TEST(events_out_of_order_are_refused)
{
	struct run_event *ev = run_event_new(EV_STEP_COMPLETED, 0, 1, "a", json_object());

	ck_assert_int_eq(fold_apply(&f, NULL, &workflow, ev), -INS_EINVAL);
	begin(STEP_A);
	ev->seq = 5;
	ck_assert_int_eq(fold_apply(&f, NULL, &workflow, ev), -INS_EINVAL);
	run_event_free(ev);
}
END_TEST

START_TEST(a_workflow_that_stops_without_an_end_fails_the_run)
{
	ck_assert_str_eq(begin("{\"commands\": []}"), "RunEnded");
	ck_assert_str_eq(end_code(), "workflow_error");
}
END_TEST

START_TEST(a_workflow_that_says_no_fails_the_run_with_its_words)
{
	advance_result = -INS_EINVAL;
	ck_assert_str_eq(begin(STEP_A), "RunEnded");
	ck_assert_ptr_nonnull(
	    strstr(json_string_value(json_object_get(json_object_get(f.end, "error"), "message")),
		"the workflow says no"));
}
END_TEST

START_TEST(a_wrong_command_fails_the_run)
{
	static const char *const wrong[] = { "{}", "{\"commands\": [{}]}", "{\"commands\": [7]}",
		"{\"commands\": [{\"step\": \"\"}]}", "{\"commands\": [{\"end\": \"maybe\"}]}",
		"{\"commands\": [{\"end\": \"failed\"}]}",
		"{\"commands\": [{\"step\": \"a\", \"class\": \"loud\"}]}", "[]" };
	size_t i;

	for (i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		ck_assert_str_eq(begin(wrong[i]), "RunEnded");
		ck_assert_str_eq(end_code(), "workflow_error");
		teardown();
		setup();
	}
}
END_TEST

START_TEST(too_many_steps_hit_the_budget)
{
	f.limits.steps = 2;
	begin(STEP_A);
	next_commands = STEP_A;
	ck_assert_str_eq(record(EV_STEP_COMPLETED, 0, 1, "{\"output\": {}}"), "");
	ck_assert_str_eq(record(EV_STEP_COMPLETED, 1, 1, "{\"output\": {}}"), "BudgetHit RunEnded");
	ck_assert_str_eq(f.hit, "steps");
	ck_assert_str_eq(end_code(), "budget_exceeded");
}
END_TEST

START_TEST(too_many_visits_hit_the_budget)
{
	f.limits.visits = 1;
	begin(STEP_A);
	ck_assert_str_eq(record(EV_STEP_COMPLETED, 0, 1, "{\"output\": {}}"), "BudgetHit RunEnded");
	ck_assert_str_eq(f.hit, "visits");
}
END_TEST

START_TEST(tokens_and_money_are_counted_and_held_to)
{
	f.limits.tokens = 100;
	begin(STEP_A);
	next_commands = STEP_A;
	ck_assert_str_eq(record(EV_STEP_COMPLETED, 0, 1,
			     "{\"output\": {\"usage\": {\"prompt_tokens\": 60, "
			     "\"completion_tokens\": 40, \"cost_nanos\": 5}}}"),
	    "");
	ck_assert_int_eq(f.cost_nanos, 5);
	ck_assert_str_eq(
	    record(EV_STEP_COMPLETED, 1, 1, "{\"output\": {\"usage\": {\"prompt_tokens\": 1}}}"),
	    "BudgetHit RunEnded");
	ck_assert_str_eq(f.hit, "tokens");
	ck_assert_int_eq(calls, 2); /* the workflow is not asked beyond its budget */
}
END_TEST

START_TEST(time_is_taken_from_the_events)
{
	f.limits.time_ms = 1;
	begin(STEP_A);
	next_commands = STEP_A;
	ck_assert_str_eq(record(EV_STEP_COMPLETED, 0, 1, "{\"output\": {}}"), "");
	ck_assert_str_eq(record(EV_STEP_COMPLETED, 1, 1, "{\"output\": {}}"), "BudgetHit RunEnded");
}
END_TEST

START_TEST(replaying_the_log_gives_the_same_state)
{
	struct fold again;
	struct run_event *log[8], *ev;
	size_t n = 0, i;

	fold_init(&again, &no_limits);
	next_commands =
	    "{\"state\": {\"n\": 1}, \"commands\": [{\"step\": \"p\", \"class\": \"effect\"}]}";
	log[n++] = run_event_new(EV_RUN_STARTED, -1, 0, NULL, json_pack("{s:{}}", "input"));
	for (i = 0; i < n; i++) {
		log[i]->seq = (int64_t)i;
		ck_assert_int_eq(fold_apply(&f, NULL, &workflow, log[i]), 0);
		if ((ev = fold_derive(&f)) != NULL)
			log[n++] = ev;
	}
	ck_assert_uint_eq(n, 2);
	for (i = 0; i < n; i++)
		ck_assert_int_eq(fold_apply(&again, NULL, &workflow, log[i]), 0);
	ck_assert(json_equal(f.state, again.state));
	ck_assert_uint_eq(f.n_open, again.n_open);
	ck_assert_int_eq(f.open[0].attempt, again.open[0].attempt);
	ck_assert_int_eq(f.next_seq, again.next_seq);
	for (i = 0; i < n; i++)
		run_event_free(log[i]);
	fold_fini(&again);
}
END_TEST

START_TEST(an_event_reads_as_json_with_its_data_beside)
{
	struct run_event *ev = run_event_new(
	    EV_STEP_COMPLETED, 3, 2, "search", json_pack("{s:i}", "output", 7));
	json_t *j;

	ev->seq = 4;
	ev->ts_us = 1000001;
	j = run_event_json(ev);
	ck_assert_int_eq(json_integer_value(json_object_get(j, "output")), 7);
	ck_assert_str_eq(
	    json_string_value(json_object_get(j, "ts")), "1970-01-01T00:00:01.000001Z");
	ck_assert_int_eq(json_integer_value(json_object_get(j, "step")), 3);
	json_decref(j);
	run_event_free(ev);
}
END_TEST

START_TEST(array_literals_quote_what_needs_it)
{
	struct array a = { 0 };
	json_t *j = json_pack("{s:s}", "k", "a\"b\\c");

	array_text_z(&a, "plain");
	array_text_z(&a, "q\"u\\o,{}");
	array_text_z(&a, NULL);
	array_int(&a, -5);
	array_json(&a, j);
	array_time(&a, 1500000);
	array_time(&a, 0);
	ck_assert_str_eq(array_arg(&a).p,
	    "{\"plain\",\"q\\\"u\\\\o,{}\",NULL,-5,"
	    "\"{\\\"k\\\":\\\"a\\\\\\\"b\\\\\\\\c\\\"}\",\"1970-01-01 00:00:01.500000+00\",NULL}");
	json_decref(j);
	array_free(&a);
}
END_TEST

START_TEST(an_empty_array_is_a_literal_too)
{
	struct array a = { 0 };

	ck_assert_str_eq(array_arg(&a).p, "{}");
	array_free(&a);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("fold");
	TCase *tc = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_run_starts_steps_and_ends);
	tcase_add_test(tc, an_effect_is_written_ahead);
	tcase_add_test(tc, a_finished_step_is_not_taken_twice);
	tcase_add_test(tc, events_out_of_order_are_refused);
	tcase_add_test(tc, a_workflow_that_stops_without_an_end_fails_the_run);
	tcase_add_test(tc, a_workflow_that_says_no_fails_the_run_with_its_words);
	tcase_add_test(tc, a_wrong_command_fails_the_run);
	tcase_add_test(tc, too_many_steps_hit_the_budget);
	tcase_add_test(tc, too_many_visits_hit_the_budget);
	tcase_add_test(tc, tokens_and_money_are_counted_and_held_to);
	tcase_add_test(tc, time_is_taken_from_the_events);
	tcase_add_test(tc, replaying_the_log_gives_the_same_state);
	tcase_add_test(tc, an_event_reads_as_json_with_its_data_beside);
	tcase_add_test(tc, array_literals_quote_what_needs_it);
	tcase_add_test(tc, an_empty_array_is_a_literal_too);
	suite_add_tcase(suite, tc);
	r = srunner_create(suite);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
