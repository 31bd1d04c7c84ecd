/* check_hist.c: the histogram of the load tools. */
#include <stdlib.h>

#include "tests/bench/hist.h"

#include <check.h>

static int
by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

START_TEST(percentiles_are_those_of_the_sorted_values_within_a_128th)
{
	static const double shares[] = { 0.001, 0.25, 0.5, 0.9, 0.99, 0.999, 0.9999 };
	static uint64_t v[20000];
	struct hist *h = calloc(1, sizeof *h);
	size_t i, n = sizeof v / sizeof *v, at;
	uint64_t x = 88172645463325252ull, got;

	for (i = 0; i < n; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		v[i] = x >> (x % 60); /* all magnitudes */
		hist_add(h, v[i]);
	}
	qsort(v, n, sizeof *v, by_value);
	for (i = 0; i < sizeof shares / sizeof *shares; i++) {
		at = (size_t)(shares[i] * (double)n);
		at -= (double)at == shares[i] * (double)n;
		got = hist_at(h, shares[i]);
		ck_assert_msg(got >= v[at] && got - v[at] <= v[at] / 128, "%g: %llu, not %llu",
		    shares[i], (unsigned long long)got, (unsigned long long)v[at]);
	}
	ck_assert_uint_eq(hist_at(h, 1), v[n - 1]);
	free(h);
}
END_TEST

START_TEST(small_values_are_exact)
{
	struct hist *h = calloc(1, sizeof *h);
	uint64_t i;

	ck_assert_uint_eq(hist_at(h, 0.5), 0);
	for (i = 1; i <= 200; i++)
		hist_add(h, i);
	for (i = 1; i <= 200; i++)
		ck_assert_uint_eq(hist_at(h, (double)i / 200), i);
	ck_assert_uint_eq(h->sum, 20100);
	free(h);
}
END_TEST

START_TEST(the_ends_of_the_range_fit)
{
	struct hist *h = calloc(1, sizeof *h), *more = calloc(1, sizeof *more);

	hist_add(h, 0);
	hist_add(more, UINT64_MAX);
	hist_merge(h, more);
	ck_assert_uint_eq(h->n, 2);
	ck_assert_uint_eq(hist_at(h, 0.5), 0);
	ck_assert_uint_eq(hist_at(h, 1), UINT64_MAX);
	free(h);
	free(more);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("hist");
	TCase *t = tcase_create("all");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_test(t, percentiles_are_those_of_the_sorted_values_within_a_128th);
	tcase_add_test(t, small_values_are_exact);
	tcase_add_test(t, the_ends_of_the_range_fit);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
