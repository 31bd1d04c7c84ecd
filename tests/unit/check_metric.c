/* check_metric.c: claims about metrics and their text. */
#include <pthread.h>
#include <unistd.h>

#include "base/metric.h"

#include <check.h> /* last: it defines fail() */

static struct str text;

static const char *
rendered(void)
{
	str_fini(&text);
	str_init(&text, 1 << 20);
	metric_render(&text);
	ck_assert_int_eq(text.overflow, 0);
	return text.p;
}

static void
has(const char *sample)
{
	const char *p = strstr(rendered(), sample);

	ck_assert_msg(
	    p != NULL && (p == text.p || p[-1] == '\n'), "no \"%s\" in\n%s", sample, text.p);
}

START_TEST(a_counter_adds_up_and_never_goes_down)
{
	struct ins_metric *m = metric_get(METRIC_COUNTER, "things_total", "Things.", NULL);

	ck_assert_ptr_nonnull(m);
	has("# HELP things_total Things.\n# TYPE things_total counter\nthings_total 0\n");
	metric_add(m, NULL, 2);
	metric_add(m, NULL, .5);
	metric_add(m, NULL, -1);
	metric_add(m, NULL, 0.0 / 0.0);
	has("things_total 2.5\n");
	metric_observe(m, 1);
	has("things_total 2.5\n");
	metric_add(m, NULL, 123456789012.0);
	has("things_total 123456789014");
}
END_TEST

START_TEST(a_gauge_goes_up_and_down)
{
	struct ins_metric *m = metric_get(METRIC_GAUGE, "depth", "Depth.", NULL);

	metric_add(m, NULL, 5);
	metric_add(m, NULL, -7);
	has("depth -2\n");
}
END_TEST

START_TEST(labels_are_escaped)
{
	struct ins_metric *m = metric_get(
	    METRIC_COUNTER, "l_total", "Back\\slash and\nline.", "status");

	metric_add(m, "200", 1);
	metric_add(m, "a\"b\\c\nd", 2);
	metric_add(m, "200", 1);
	metric_add(m, NULL, 1);
	has("# HELP l_total Back\\\\slash and\\nline.\n");
	has("l_total{status=\"200\"} 2\n");
	has("l_total{status=\"a\\\"b\\\\c\\nd\"} 2\n");
	has("l_total{status=\"\"} 1\n");
}
END_TEST

START_TEST(label_values_past_the_limit_fold_into_other)
{
	struct ins_metric *m = metric_get(METRIC_COUNTER, "many_total", "Many.", "who");
	char z[200], *p;
	int lines = 0;

	for (int i = 0; i < 500; i++) {
		snprintf(z, sizeof z, "w%d", i);
		metric_add(m, z, 1);
	}
	memset(z, 'x', sizeof z - 1);
	z[sizeof z - 1] = '\0';
	metric_add(m, z, 1);
	has("many_total{who=\"w0\"} 1\n");
	has("many_total{who=\"other\"} 437\n");
	for (p = text.p; (p = strstr(p, "\nmany_total{")) != NULL; p++)
		lines++;
	ck_assert_int_eq(lines, METRIC_LABEL_VALUES_MAX + 1);
}
END_TEST

START_TEST(a_real_value_other_is_one_sample_with_the_fold)
{
	struct ins_metric *m = metric_get(METRIC_COUNTER, "two_total", "Two.", "who");
	char z[16];

	metric_add(m, "other", 1);
	for (int i = 0; i < 70; i++) {
		snprintf(z, sizeof z, "w%d", i);
		metric_add(m, z, 1);
	}
	has("two_total{who=\"other\"} 8\n");
	ck_assert_ptr_null(strstr(strstr(text.p, "who=\"other\"") + 1, "who=\"other\""));
}
END_TEST

START_TEST(histogram_buckets_are_cumulative)
{
	struct ins_metric *m = metric_get(METRIC_HISTOGRAM, "took_seconds", "Took.", NULL);

	metric_observe(m, .005);
	metric_observe(m, .006);
	metric_observe(m, 3);
	metric_observe(m, 1000);
	metric_observe(m, 0.0 / 0.0);
	has("took_seconds_bucket{le=\"0.005\"} 1\n");
	has("took_seconds_bucket{le=\"0.01\"} 2\n");
	has("took_seconds_bucket{le=\"2.5\"} 2\n");
	has("took_seconds_bucket{le=\"5\"} 3\n");
	has("took_seconds_bucket{le=\"10\"} 3\n");
	has("took_seconds_bucket{le=\"+Inf\"} 4\n");
	has("took_seconds_sum 1003.011\n");
	has("took_seconds_count 4\n");
}
END_TEST

START_TEST(invalid_names_are_refused)
{
	static const char *const bad[] = { "", "1a", "a-b", "a b", "\xc3\xa4", "a{b}" };

	for (size_t i = 0; i < NELEM(bad); i++) {
		ck_assert_ptr_null(metric_get(METRIC_COUNTER, bad[i], "x", NULL));
		ck_assert_ptr_null(metric_get(METRIC_COUNTER, "fine_total", "x", bad[i]));
	}
	ck_assert_ptr_null(metric_get(METRIC_COUNTER, "fine_total", "x", "__reserved"));
	ck_assert_ptr_null(metric_get(METRIC_COUNTER, "fine_total", "x", "a:b"));
	ck_assert_ptr_null(metric_get(METRIC_COUNTER, "fine_total", "x", "le"));
	ck_assert_ptr_null(metric_get(METRIC_HISTOGRAM, "fine_seconds", "x", "label"));
	ck_assert_ptr_nonnull(metric_get(METRIC_COUNTER, "a:b_C9_total", "x", NULL));
}
END_TEST

START_TEST(the_same_name_is_the_same_metric_or_refused)
{
	struct ins_metric *m = metric_get(METRIC_COUNTER, "same_total", "x", "a");

	ck_assert_ptr_eq(metric_get(METRIC_COUNTER, "same_total", "another text", "a"), m);
	ck_assert_ptr_null(metric_get(METRIC_COUNTER, "same_total", "x", "b"));
	ck_assert_ptr_null(metric_get(METRIC_COUNTER, "same_total", "x", NULL));
	ck_assert_ptr_null(metric_get(METRIC_GAUGE, "same_total", "x", "a"));
}
END_TEST

START_TEST(too_many_metrics_are_refused)
{
	char name[32];
	int i;

	for (i = 0; i < METRICS_MAX + 1; i++) {
		snprintf(name, sizeof name, "m%d", i);
		if (metric_get(METRIC_GAUGE, name, "x", NULL) == NULL)
			break;
	}
	ck_assert_int_eq(i, METRICS_MAX);
}
END_TEST

static double
answer(void *arg)
{
	return *(double *)arg;
}

START_TEST(a_computed_gauge_is_asked_at_the_scrape)
{
	static double v = 42, inf = 1.0 / 0.0;

	metric_func("answer", "Answer.", answer, &v);
	has("answer 42\n");
	v = 43;
	has("answer 43\n");
	metric_func("answer", "Answer.", answer, &inf);
	has("answer +Inf\n");
}
END_TEST

static struct ins_metric *shared_counter, *shared_labels, *shared_histogram;

static void *
counts(void *arg)
{
	char z[16];

	metric_thread((unsigned)(uintptr_t)arg);
	for (int i = 0; i < 10000; i++) {
		metric_add(shared_counter, NULL, 1);
		snprintf(z, sizeof z, "%d", i % 80);
		metric_add(shared_labels, z, 1);
		metric_observe(shared_histogram, .02);
	}
	return NULL;
}

START_TEST(threads_lose_no_addition)
{
	/* two share the control shard, two have their own */
	static const uintptr_t shards[] = { 0, 0, 1, 2 };
	pthread_t t[NELEM(shards)];
	double sum = 0;

	shared_counter = metric_get(METRIC_COUNTER, "c_total", "x", NULL);
	shared_labels = metric_get(METRIC_COUNTER, "v_total", "x", "v");
	shared_histogram = metric_get(METRIC_HISTOGRAM, "h_seconds", "x", NULL);
	for (size_t i = 0; i < NELEM(t); i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, counts, (void *)shards[i]), 0);
	for (int i = 0; i < 100; i++)
		rendered();
	for (size_t i = 0; i < NELEM(t); i++)
		pthread_join(t[i], NULL);
	has("c_total 40000\n");
	has("h_seconds_count 40000\n");
	for (const char *p = text.p; (p = strstr(p, "\nv_total{")) != NULL; p++)
		sum += strtod(strchr(p, '}') + 1, NULL);
	ck_assert_double_eq(sum, 40000);
}
END_TEST

START_TEST(promtool_has_no_complaint)
{
	struct ins_metric *m;
	FILE *p;

	if (system("command -v promtool > /dev/null 2>&1") != 0) {
		fprintf(stderr, "skipped: no promtool here\n");
		return;
	}
	metric_init(2);
	metric_init(2);
	m = metric_get(METRIC_COUNTER, "http_requests_total", "Requests by status.", "status");
	metric_add(m, "200", 3);
	metric_add(m, "odd \"\\\n\xc3\xa4", 3);
	m = metric_get(
	    METRIC_HISTOGRAM, "http_request_duration_seconds", "How long requests took.", NULL);
	for (int i = 0; i < 100; i++)
		metric_observe(m, i * .13);
	rendered();
	ck_assert_ptr_nonnull(strstr(text.p, "\nprocess_resident_memory_bytes "));
	p = popen("promtool check metrics", "w");
	ck_assert_ptr_nonnull(p);
	ck_assert_uint_eq(fwrite(text.p, 1, text.n, p), text.n);
	ck_assert_int_eq(pclose(p), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("metric");
	TCase *tc = tcase_create("metric");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_counter_adds_up_and_never_goes_down);
	tcase_add_test(tc, a_gauge_goes_up_and_down);
	tcase_add_test(tc, labels_are_escaped);
	tcase_add_test(tc, label_values_past_the_limit_fold_into_other);
	tcase_add_test(tc, a_real_value_other_is_one_sample_with_the_fold);
	tcase_add_test(tc, histogram_buckets_are_cumulative);
	tcase_add_test(tc, invalid_names_are_refused);
	tcase_add_test(tc, the_same_name_is_the_same_metric_or_refused);
	tcase_add_test(tc, too_many_metrics_are_refused);
	tcase_add_test(tc, a_computed_gauge_is_asked_at_the_scrape);
	tcase_add_test(tc, threads_lose_no_addition);
	tcase_add_test(tc, promtool_has_no_complaint);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
