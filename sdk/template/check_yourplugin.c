/* check_yourplugin.c: what yourplugin promises, on the mock host. */
#include <insula/mock.h>

#include <check.h>

static ins_mock *m;

static void
start(const char *options)
{
	m = ins_mock_new(ins_plugin_entry);
	ck_assert_msg(ins_mock_start(m, options) == 0, "%s", ins_mock_error(m));
}

static void
end(void)
{
	ck_assert_msg(ins_mock_stop(m) == 0, "%s", ins_mock_error(m));
	ins_mock_free(m);
}

static const char *
text(const ins_mock_answer *a, const char *key)
{
	const char *z = json_string_value(json_object_get(a->json, key));

	return z != NULL ? z : "";
}

START_TEST(a_name_is_greeted)
{
	const ins_mock_answer *a;

	start("greeting: Salve");
	a = ins_mock_request(m, "GET", "/v1/yourplugin/Marcus", NULL, NULL);
	ck_assert_int_eq(a->status, 200);
	ck_assert_str_eq(text(a, "greeting"), "Salve");
	ck_assert_str_eq(text(a, "name"), "Marcus");
	ck_assert(ins_mock_metric(m, "yourplugin_greetings_total") == 1);
	end();
}
END_TEST

START_TEST(a_long_name_is_refused)
{
	const ins_mock_answer *a;

	start("longest: 3");
	a = ins_mock_request(m, "GET", "/v1/yourplugin/Marcus", NULL, NULL);
	ck_assert_int_eq(a->status, 400);
	end();
}
END_TEST

START_TEST(the_permission_is_needed)
{
	const ins_mock_answer *a;

	start(NULL);
	ins_mock_caller(m, INS_MOCK_TENANT, "someone", NULL, "other:read");
	a = ins_mock_request(m, "GET", "/v1/yourplugin/Marcus", NULL, NULL);
	ck_assert_int_eq(a->status, 403);
	end();
}
END_TEST

START_TEST(an_unknown_option_is_refused)
{
	m = ins_mock_new(ins_plugin_entry);
	ck_assert_int_eq(ins_mock_start(m, "greting: Salve"), -1);
	ck_assert_ptr_nonnull(strstr(ins_mock_error(m), "did you mean greeting?"));
	ins_mock_free(m);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("yourplugin");
	TCase *c = tcase_create("yourplugin");
	SRunner *r;
	int failed;

	tcase_add_test(c, a_name_is_greeted);
	tcase_add_test(c, a_long_name_is_refused);
	tcase_add_test(c, the_permission_is_needed);
	tcase_add_test(c, an_unknown_option_is_refused);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
