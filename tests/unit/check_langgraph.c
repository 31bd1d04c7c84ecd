/* check_langgraph.c: ids of the LangGraph API: uuids, checkpoints, places in a stream, namespaces.
 */
#include "plugins/langgraph/langgraph_id.h"

#include <check.h>
#include <string.h>

#define RUN "01a20e14-1998-731f-b1c7-8314e9e6e726"

START_TEST(a_workflows_id_is_the_one_that_langgraph_computes)
{
	char id[37];

	lg_uuid_of_name("echo", id);
	ck_assert_str_eq(id, "046b5dc7-2108-582c-9c6c-31d556d138f0");
	lg_uuid_of_name("approve", id);
	ck_assert_str_eq(id, "0f93e4f8-aa09-5743-a468-fb8bb808e8c5");
}
END_TEST

START_TEST(a_uuid_is_36_characters_and_becomes_lower_case)
{
	static const char *const bad[] = { "", "x", "01a20e14-1998-731f-b1c7-8314e9e6e72",
		"01a20e14-1998-731f-b1c7-8314e9e6e7266", "01a20e14+1998-731f-b1c7-8314e9e6e726",
		"01a20e14-1998-731f-b1c7-8314e9e6e72g", "../../../../../../../../../../etc/pas" };
	char id[37];
	size_t i;

	ck_assert_int_eq(lg_uuid("01A20E14-1998-731F-B1C7-8314E9E6E726", id), 1);
	ck_assert_str_eq(id, RUN);
	ck_assert_int_eq(lg_uuid(NULL, id), 0);
	for (i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_msg(lg_uuid(bad[i], id) == 0, "%s", bad[i]);
}
END_TEST

START_TEST(a_checkpoint_is_a_run_and_an_event)
{
	static const char *const bad[] = { "", RUN, RUN ":", RUN ":-1", RUN ":1x", RUN ":01",
		RUN ":2147483648", RUN ":99999999999999999999", RUN " :1", "x:1",
		"1f1e8180-5015-6ab0-ffff-e4719989590" };
	struct lg_checkpoint at;
	size_t i;

	ck_assert_int_eq(lg_checkpoint_parse(RUN ":0", strlen(RUN) + 2, &at), 1);
	ck_assert_str_eq(at.run_id, RUN);
	ck_assert_int_eq(at.seq, 0);
	ck_assert_int_eq(lg_checkpoint_parse(RUN ":2147483647", strlen(RUN) + 11, &at), 1);
	ck_assert_int_eq(at.seq, 2147483647);
	for (i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_msg(lg_checkpoint_parse(bad[i], strlen(bad[i]), &at) == 0, "%s", bad[i]);
}
END_TEST

static void
place(const char *z, int64_t after, uint32_t frames)
{
	struct lg_place at;

	ck_assert_msg(lg_place_parse(z, strlen(z), &at) == 1, "%s", z);
	ck_assert_msg(at.after == after && at.frames == frames, "%s: %lld %u", z,
	    (long long)at.after, at.frames);
}

START_TEST(an_event_id_says_where_a_stream_goes_on)
{
	static const char *const bad[] = { "", "-2", "-", "x", "1.", "1-", "1.x", "1-2-3", "1.2.3",
		"1 ", "00", "2147483648", "1.2147483648" };
	struct lg_place at;
	size_t i;

	place("-1", -1, 0);
	place("0", 0, 0);
	place("7", 7, 0);
	place("7.12", 7, 0);
	place("7-2", 6, 2);
	place("0-1", -1, 1);
	for (i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_msg(lg_place_parse(bad[i], strlen(bad[i]), &at) == 0, "%s", bad[i]);
}
END_TEST

START_TEST(a_place_in_a_thread_names_its_run)
{
#define RUN "01a20e14-1998-731f-b1c7-8314e9e6e726"
	static const char *const bad[] = { "", ":", RUN, RUN ":", RUN ":x", RUN ":ende", RUN ":en",
		RUN ":7-", RUN "-7", "7", "-1", "01a20e14-1998-731f-b1c7-8314e9e6e72g:7" };
	char id[LG_UUID_LEN + 1];
	struct lg_place at;
	size_t i;
	int end;

	ck_assert_int_eq(lg_thread_place_parse(RUN ":7-2", strlen(RUN) + 4, id, &at, &end), 1);
	ck_assert_str_eq(id, RUN);
	ck_assert_int_eq(at.after, 6);
	ck_assert_uint_eq(at.frames, 2);
	ck_assert_int_eq(end, 0);
	ck_assert_int_eq(lg_thread_place_parse(RUN ":-1", strlen(RUN) + 3, id, &at, &end), 1);
	ck_assert_int_eq(at.after, -1);
	ck_assert_int_eq(end, 0);
	ck_assert_int_eq(lg_thread_place_parse(RUN ":end", strlen(RUN) + 4, id, &at, &end), 1);
	ck_assert_int_eq(end, 1);
	for (i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_msg(lg_thread_place_parse(bad[i], strlen(bad[i]), id, &at, &end) == 0,
		    "%s", bad[i]);
#undef RUN
}
END_TEST

static int
fault(const char *json, size_t at_least, int wild)
{
	json_t *j = json_loads(json, 0, NULL);
	const char *why;

	ck_assert_msg(j != NULL, "%s", json);
	why = lg_namespace_fault(j, at_least, wild);
	json_decref(j);
	return why != NULL;
}

START_TEST(a_namespace_has_labels_without_dots)
{
	ck_assert(!fault("[\"users\", \"7\"]", 1, 0));
	ck_assert(!fault("[]", 0, 0));
	ck_assert(!fault("[\"*\", \"x\"]", 1, 1));
	ck_assert(fault("[]", 1, 0));
	ck_assert(fault("[\"*\"]", 1, 0));
	ck_assert(fault("[\"\"]", 1, 0));
	ck_assert(fault("[\"a.b\"]", 1, 0));
	ck_assert(fault("[\"a\\u0001\"]", 1, 0));
	ck_assert(fault("[1]", 1, 0));
	ck_assert(fault("{}", 1, 0));
	ck_assert(
	    fault("[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\",\"10\",\"11\",\"12\","
		  "\"13\",\"14\",\"15\",\"16\",\"17\"]",
		1, 0));
}
END_TEST

START_TEST(a_namespace_may_be_written_with_dots)
{
	json_t *j = lg_namespace_parse("users.7.notes");

	ck_assert_uint_eq(json_array_size(j), 3);
	ck_assert_str_eq(json_string_value(json_array_get(j, 2)), "notes");
	json_decref(j);
	ck_assert_ptr_null(lg_namespace_parse(""));
	ck_assert_ptr_null(lg_namespace_parse("a..b"));
	ck_assert_ptr_null(lg_namespace_parse("a."));
	ck_assert_ptr_null(lg_namespace_parse("1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17"));
	ck_assert_ptr_null(lg_namespace_parse("\xff"));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("langgraph");
	TCase *t = tcase_create("ids");
	SRunner *runner;
	int failed;

	tcase_add_test(t, a_workflows_id_is_the_one_that_langgraph_computes);
	tcase_add_test(t, a_uuid_is_36_characters_and_becomes_lower_case);
	tcase_add_test(t, a_checkpoint_is_a_run_and_an_event);
	tcase_add_test(t, an_event_id_says_where_a_stream_goes_on);
	tcase_add_test(t, a_place_in_a_thread_names_its_run);
	tcase_add_test(t, a_namespace_has_labels_without_dots);
	tcase_add_test(t, a_namespace_may_be_written_with_dots);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
