/* check_route.c: which route a path gets. */
#include "net/route.h"

#include <check.h>

static struct route_table *t;

static void
start(void)
{
	t = route_new();
}

static void
stop(void)
{
	route_free(t);
}

static void
add(const char *method, const char *pattern, const char *data)
{
	const char *err = route_add(t, method, pattern, (void *)(uintptr_t)data);

	ck_assert_msg(err == NULL, "%s", err);
}

static const char *
get(const char *method, const char *path, struct route_match *m)
{
	static struct route_match dummy;
	char allow[64];

	m = m == NULL ? &dummy : m;
	switch (route_match(t, method, strlen(method), path, strlen(path), m, allow)) {
	case ROUTE_FOUND: return m->data;
	case ROUTE_NO_METHOD: return "no method";
	default: return "no path";
	}
}

static void
expect_param(const struct route_match *m, unsigned i, const char *name, const char *value)
{
	ck_assert_uint_lt(i, m->n_params);
	ck_assert_str_eq(m->params[i].name, name);
	ck_assert_uint_eq(m->params[i].n, strlen(value));
	ck_assert_mem_eq(m->params[i].p, value, strlen(value));
}

START_TEST(a_literal_beats_a_parameter_in_any_order)
{
	add("GET", "/v1/runs/{id}", "run");
	add("GET", "/v1/runs/latest", "latest");
	add("GET", "/v1/{kind}/latest", "kind");
	ck_assert_str_eq(get("GET", "/v1/runs/latest", NULL), "latest");
	ck_assert_str_eq(get("GET", "/v1/runs/7", NULL), "run");
	ck_assert_str_eq(get("GET", "/v1/jobs/latest", NULL), "kind");
	ck_assert_str_eq(get("GET", "/v1/jobs/8", NULL), "no path");
}
END_TEST

START_TEST(a_literal_that_leads_nowhere_is_left_again)
{
	struct route_match m;

	add("GET", "/a/b/d", "literal");
	add("GET", "/a/{x}/c", "param");
	ck_assert_str_eq(get("GET", "/a/b/c", &m), "param");
	ck_assert_uint_eq(m.n_params, 1);
	expect_param(&m, 0, "x", "b");
}
END_TEST

START_TEST(parameters_keep_their_names_per_method)
{
	struct route_match m;

	add("GET", "/t/{tenant}/k/{key}", "get");
	add("DELETE", "/t/{t}/k/{k}", "delete");
	ck_assert_str_eq(get("GET", "/t/1/k/2%20", &m), "get");
	expect_param(&m, 0, "tenant", "1");
	expect_param(&m, 1, "key", "2%20");
	ck_assert_str_eq(get("DELETE", "/t/1/k/2", &m), "delete");
	expect_param(&m, 0, "t", "1");
	expect_param(&m, 1, "k", "2");
}
END_TEST

START_TEST(a_rest_takes_all_that_follows)
{
	struct route_match m;

	add("GET", "/files/{rest*}", "rest");
	add("GET", "/files/{one}", "one");
	ck_assert_str_eq(get("GET", "/files/a/b/", &m), "rest");
	expect_param(&m, 0, "rest", "a/b/");
	ck_assert_str_eq(get("GET", "/files/a", NULL), "one");
	ck_assert_str_eq(get("GET", "/files/", NULL), "no path");
	ck_assert_str_eq(get("GET", "/files", NULL), "no path");
}
END_TEST

START_TEST(parts_are_compared_whole)
{
	add("GET", "/", "root");
	add("GET", "/a", "a");
	add("GET", "/a/", "a slash");
	ck_assert_str_eq(get("GET", "/", NULL), "root");
	ck_assert_str_eq(get("GET", "/a", NULL), "a");
	ck_assert_str_eq(get("GET", "/a/", NULL), "a slash");
	ck_assert_str_eq(get("GET", "/ab", NULL), "no path");
	ck_assert_str_eq(get("GET", "//a", NULL), "no path");
	ck_assert_str_eq(get("GET", "", NULL), "no path");
	ck_assert_str_eq(get("GET", "a", NULL), "no path");
}
END_TEST

START_TEST(an_empty_parameter_is_no_match)
{
	add("GET", "/v1/{a}/x", "x");
	ck_assert_str_eq(get("GET", "/v1//x", NULL), "no path");
}
END_TEST

START_TEST(the_wrong_method_learns_the_right_ones)
{
	struct route_match m;
	char allow[64];

	add("GET", "/v1/x", "get");
	add("POST", "/v1/x", "post");
	ck_assert_int_eq(route_match(t, "PUT", 3, "/v1/x", 5, &m, allow), ROUTE_NO_METHOD);
	ck_assert_str_eq(allow, "GET, POST");
	ck_assert_str_eq(get("get", "/v1/x", NULL), "no method");
}
END_TEST

START_TEST(head_falls_back_to_get)
{
	add("GET", "/a", "get");
	add("POST", "/b", "post");
	ck_assert_str_eq(get("HEAD", "/a", NULL), "get");
	ck_assert_str_eq(get("HEAD", "/b", NULL), "no method");
	add("HEAD", "/a", "head");
	ck_assert_str_eq(get("HEAD", "/a", NULL), "head");
}
END_TEST

/* Of two patterns that fit, the one with the method is taken. */
START_TEST(a_pattern_without_the_method_gives_way)
{
	add("GET", "/v1/models/default", "get default");
	add("DELETE", "/v1/models/{id}", "delete");
	ck_assert_str_eq(get("DELETE", "/v1/models/default", NULL), "delete");
	ck_assert_str_eq(get("PUT", "/v1/models/default", NULL), "no method");
}
END_TEST

static const struct {
	const char *method, *pattern, *why;
} bad[] = {
	{ "get", "/a", "not a method" },
	{ "", "/a", "not a method" },
	{ "GET", "a", "must begin with /" },
	{ "GET", "", "must begin with /" },
	{ "GET", "/a//b", "an empty part" },
	{ "GET", "/{}", "whole part" },
	{ "GET", "/{*}", "a name" },
	{ "GET", "/{a", "whole part" },
	{ "GET", "/x{a}", "character" },
	{ "GET", "/{a}x", "whole part" },
	{ "GET", "/{a}/{a}", "twice" },
	{ "GET", "/{a*}/b", "last part" },
	{ "GET", "/{A}", "a-z" },
	{ "GET", "/a?b", "character" },
	{ "GET", "/a b", "character" },
	{ "GET", "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}", "too many parameters" },
	{ "GET", "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17", "too many parts" },
	{ "GET", "/taken/{other}", "already" },
};

START_TEST(a_bad_pattern_is_refused_with_its_reason)
{
	const char *err;

	add("GET", "/taken/{name}", "taken");
	err = route_add(t, bad[_i].method, bad[_i].pattern, NULL);
	ck_assert_msg(err != NULL, "%s was accepted", bad[_i].pattern);
	ck_assert_msg(strstr(err, bad[_i].why) != NULL, "%s", err);
	ck_assert_str_eq(get("GET", "/taken/1", NULL), "taken");
}
END_TEST

START_TEST(the_table_has_a_limit)
{
	char pattern[32];
	int i;

	for (i = 0; i < ROUTES_MAX; i++) {
		snprintf(pattern, sizeof(pattern), "/p%d/{x}", i);
		add("GET", pattern, "x");
	}
	ck_assert_ptr_nonnull(strstr(route_add(t, "GET", "/one/more", NULL), "too many routes"));
	ck_assert_str_eq(get("GET", "/p2047/1", NULL), "x");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("route");
	TCase *c = tcase_create("route");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(c, start, stop);
	tcase_add_test(c, a_literal_beats_a_parameter_in_any_order);
	tcase_add_test(c, a_literal_that_leads_nowhere_is_left_again);
	tcase_add_test(c, parameters_keep_their_names_per_method);
	tcase_add_test(c, a_rest_takes_all_that_follows);
	tcase_add_test(c, parts_are_compared_whole);
	tcase_add_test(c, an_empty_parameter_is_no_match);
	tcase_add_test(c, the_wrong_method_learns_the_right_ones);
	tcase_add_test(c, head_falls_back_to_get);
	tcase_add_test(c, a_pattern_without_the_method_gives_way);
	tcase_add_loop_test(c, a_bad_pattern_is_refused_with_its_reason, 0, NELEM(bad));
	tcase_add_test(c, the_table_has_a_limit);
	suite_add_tcase(s, c);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
