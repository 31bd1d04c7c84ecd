/* check_policy_static: which rule decides, and which rules are refused. */
#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "plugins/policy_static/policy_static_rules.h"

static json_t *conf_rules, *conf_tiers;
static struct rules rules;
static struct rules_error err;

static void
done(void)
{
	rules_fini(&rules);
	json_decref(conf_rules);
	json_decref(conf_tiers);
	conf_rules = conf_tiers = NULL;
}

static int
parse(const char *rules_json, const char *tiers_json)
{
	if (rules_json != NULL)
		ck_assert_ptr_nonnull(conf_rules = json_loads(rules_json, 0, NULL));
	if (tiers_json != NULL)
		ck_assert_ptr_nonnull(conf_tiers = json_loads(tiers_json, JSON_DECODE_ANY, NULL));
	return rules_parse(conf_rules, conf_tiers, &rules, &err);
}

/* The order as "rule: A B C" for an input; confidence < 0 = absent. */
static const char *
chosen(const char *workflow, const char *plan, int64_t chars, double confidence, const char *asked)
{
	static char out[160];
	struct rules_input in = { workflow, plan, chars, confidence >= 0, confidence,
		tier_parse(asked) };
	struct tier_order order;
	const char *name;
	unsigned i;
	int n;

	order = rules_choose(&rules, &in, &name);
	n = snprintf(out, sizeof out, "%s:", name);
	for (i = 0; i < order.n; i++)
		n += snprintf(out + n, sizeof out - (size_t)n, " %s", tier_name(order.tier[i]));
	return out;
}

static void
refused(const char *rules_json, const char *tiers_json, const char *path, const char *word)
{
	ck_assert_int_eq(parse(rules_json, tiers_json), -1);
	ck_assert_str_eq(err.path, path);
	ck_assert_msg(strstr(err.text, word) != NULL, "\"%s\" does not say \"%s\"", err.text, word);
	done();
}

START_TEST(without_rules_the_default_order_holds)
{
	ck_assert_int_eq(parse(NULL, NULL), 0);
	ck_assert_str_eq(chosen("", "", 0, -1, NULL), "default: SLM_A SLM_B LLM");
	done();
	ck_assert_int_eq(parse("[]", "[\"LLM\", \"SLM_A\"]"), 0);
	ck_assert_str_eq(chosen("", "", 0, -1, NULL), "default: LLM SLM_A");
	done();
}
END_TEST

START_TEST(the_first_rule_that_matches_decides)
{
	ck_assert_int_eq(
	    parse("[{\"name\":\"faq\",\"workflow\":\"faq_workflow\",\"min_confidence\":0.8,"
		  "\"tiers\":[\"SLM_A\"]},"
		  "{\"name\":\"faq-weak\",\"workflow\":\"faq_workflow\",\"tiers\":[\"LLM\",\"SLM_"
		  "B\"]},"
		  "{\"name\":\"long\",\"min_chars\":1000,\"max_chars\":2000,\"tiers\":[\"LLM\"]},"
		  "{\"name\":\"free\",\"plan\":\"free\",\"tiers\":[\"SLM_B\"]}]",
		NULL),
	    0);
	ck_assert_str_eq(chosen("faq_workflow", "", 10, 0.8, NULL), "faq: SLM_A");
	ck_assert_str_eq(chosen("faq_workflow", "", 10, 0.79, NULL), "faq-weak: LLM SLM_B");
	ck_assert_str_eq(chosen("faq_workflow", "", 10, -1, NULL), "faq-weak: LLM SLM_B");
	ck_assert_str_eq(chosen("", "free", 1000, -1, NULL), "long: LLM");
	ck_assert_str_eq(chosen("", "free", 2000, -1, NULL), "long: LLM");
	ck_assert_str_eq(chosen("", "free", 2001, -1, NULL), "free: SLM_B");
	ck_assert_str_eq(chosen("", "pro", 2001, 0.9, NULL), "default: SLM_A SLM_B LLM");
	done();
}
END_TEST

START_TEST(the_asked_tier_goes_first)
{
	ck_assert_int_eq(
	    parse("[{\"name\":\"a\",\"workflow\":\"w\",\"tiers\":[\"SLM_A\",\"LLM\"]}]", NULL), 0);
	ck_assert_str_eq(chosen("", "", 0, -1, "LLM"), "default: LLM SLM_A SLM_B");
	ck_assert_str_eq(chosen("w", "", 0, -1, "LLM"), "a: LLM SLM_A");
	ck_assert_str_eq(chosen("w", "", 0, -1, "SLM_B"), "a: SLM_B SLM_A LLM");
	done();
}
END_TEST

START_TEST(bad_configuration_is_refused_with_its_place)
{
	refused("{}", NULL, "rules", "list");
	refused("[1]", NULL, "rules[0]", "map");
	refused("[{\"tiers\":[\"LLM\"]}]", NULL, "rules[0].name", "required");
	refused("[{\"name\":\"default\",\"tiers\":[\"LLM\"]}]", NULL, "rules[0].name", "default");
	refused("[{\"name\":\"a\"}]", NULL, "rules[0].tiers", "list of tiers");
	refused("[{\"name\":\"a\",\"tiers\":[]}]", NULL, "rules[0].tiers", "list of tiers");
	refused("[{\"name\":\"a\",\"tiers\":[\"LLM\",\"XL\"]}]", NULL, "rules[0].tiers", "entry 2");
	refused("[{\"name\":\"a\",\"tiers\":[\"LLM\",\"LLM\"]}]", NULL, "rules[0].tiers", "twice");
	refused("[{\"name\":\"a\",\"tier\":\"LLM\",\"tiers\":[\"LLM\"]}]", NULL, "rules[0].tier",
	    "no such option");
	refused("[{\"name\":\"a\",\"min_chars\":5,\"max_chars\":4,\"tiers\":[\"LLM\"]}]", NULL,
	    "rules[0].min_chars", "matches nothing");
	refused("[{\"name\":\"a\",\"min_chars\":-1,\"tiers\":[\"LLM\"]}]", NULL,
	    "rules[0].min_chars", "whole number");
	refused("[{\"name\":\"a\",\"min_chars\":1.5,\"tiers\":[\"LLM\"]}]", NULL,
	    "rules[0].min_chars", "whole number");
	refused("[{\"name\":\"a\",\"max_confidence\":1.1,\"tiers\":[\"LLM\"]}]", NULL,
	    "rules[0].max_confidence", "0 to 1");
	refused("[{\"name\":\"a\",\"plan\":\"p\",\"tiers\":[\"LLM\"]},"
		"{\"name\":\"a\",\"tiers\":[\"LLM\"]}]",
	    NULL, "rules[1].name", "twice");
	refused(NULL, "[\"GPT\"]", "tiers", "entry 1");
	refused(NULL, "\"LLM\"", "tiers", "list of tiers");
}
END_TEST

START_TEST(a_rule_behind_a_wider_one_is_refused)
{
	refused("[{\"name\":\"all\",\"tiers\":[\"LLM\"]},"
		"{\"name\":\"never\",\"workflow\":\"w\",\"tiers\":[\"LLM\"]}]",
	    NULL, "rules[1]", "never matches");
	refused("[{\"name\":\"a\",\"min_chars\":10,\"tiers\":[\"LLM\"]},"
		"{\"name\":\"b\",\"min_chars\":10,\"max_chars\":20,\"plan\":\"p\",\"tiers\":["
		"\"LLM\"]}]",
	    NULL, "rules[1]", "never matches");
}
END_TEST

START_TEST(a_rule_behind_several_that_cover_it_together_is_refused)
{
	refused("[{\"name\":\"short\",\"max_chars\":99,\"tiers\":[\"SLM_A\"]},"
		"{\"name\":\"long\",\"min_chars\":100,\"tiers\":[\"LLM\"]},"
		"{\"name\":\"never\",\"workflow\":\"w\",\"tiers\":[\"LLM\"]}]",
	    NULL, "rules[2]", "never matches");
	refused("[{\"name\":\"low\",\"max_confidence\":0.5,\"tiers\":[\"LLM\"]},"
		"{\"name\":\"high\",\"min_confidence\":0.5,\"tiers\":[\"SLM_A\"]},"
		"{\"name\":\"never\",\"min_confidence\":0.2,\"tiers\":[\"LLM\"]}]",
	    NULL, "rules[2]", "never matches");
}
END_TEST

START_TEST(a_rule_with_a_gap_left_for_it_is_accepted)
{
	/* 100 itself is free */
	ck_assert_int_eq(parse("[{\"name\":\"short\",\"max_chars\":99,\"tiers\":[\"SLM_A\"]},"
			       "{\"name\":\"long\",\"min_chars\":101,\"tiers\":[\"LLM\"]},"
			       "{\"name\":\"exact\",\"tiers\":[\"SLM_B\"]}]",
			     NULL),
	    0);
	ck_assert_str_eq(chosen("", "", 100, -1, NULL), "exact: SLM_B");
	done();
	/* both bands of confidence are taken, an input without one is not */
	ck_assert_int_eq(parse("[{\"name\":\"low\",\"max_confidence\":0.5,\"tiers\":[\"LLM\"]},"
			       "{\"name\":\"high\",\"min_confidence\":0.5,\"tiers\":[\"SLM_A\"]},"
			       "{\"name\":\"none\",\"tiers\":[\"SLM_B\"]}]",
			     NULL),
	    0);
	ck_assert_str_eq(chosen("", "", 1, -1, NULL), "none: SLM_B");
	done();
	/* long only in one plan: the others are free */
	ck_assert_int_eq(
	    parse("[{\"name\":\"a\",\"max_chars\":10,\"tiers\":[\"SLM_A\"]},"
		  "{\"name\":\"b\",\"min_chars\":11,\"plan\":\"p\",\"tiers\":[\"LLM\"]},"
		  "{\"name\":\"c\",\"tiers\":[\"SLM_B\"]}]",
		NULL),
	    0);
	ck_assert_str_eq(chosen("", "q", 11, -1, NULL), "c: SLM_B");
	done();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("policy_static");
	TCase *t = tcase_create("policy_static");
	SRunner *runner;
	int failed;

	tcase_add_test(t, without_rules_the_default_order_holds);
	tcase_add_test(t, the_first_rule_that_matches_decides);
	tcase_add_test(t, the_asked_tier_goes_first);
	tcase_add_test(t, bad_configuration_is_refused_with_its_place);
	tcase_add_test(t, a_rule_behind_a_wider_one_is_refused);
	tcase_add_test(t, a_rule_behind_several_that_cover_it_together_is_refused);
	tcase_add_test(t, a_rule_with_a_gap_left_for_it_is_accepted);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
