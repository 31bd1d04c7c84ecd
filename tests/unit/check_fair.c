/* check_fair.c: claims about whose step comes next. */
#include "plugins/runs/engine_fair.h"

#include <stdlib.h>
#include <string.h>

#include <check.h>

struct thing {
	struct fair_item item; /* first: the two are one pointer */
	char tenant;
	int number, held;
};

static struct fair f;

static int
hold(const struct fair_item *it)
{
	return ((const struct thing *)(const void *)it)->held;
}

static struct thing *
push(char tenant, int number, unsigned weight, unsigned most, int urgent)
{
	struct thing *x = calloc(1, sizeof *x);

	x->tenant = tenant;
	x->number = number;
	ck_assert_int_eq(
	    fair_push(&f, (char[]){ tenant, '\0' }, weight, most, urgent, &x->item), 0);
	return x;
}

/* Takes the next and lets it end at once. NULL: nothing may go. */
static struct thing *
take(int run)
{
	struct fair_item *it = fair_next(&f);

	if (it != NULL) {
		ck_assert_ptr_eq(fair_next(&f), it);
		fair_take(&f, it, run);
	}
	return (struct thing *)(void *)it;
}

static void
done(struct thing *x)
{
	fair_done(&f, &x->item);
	free(x);
}

static void
setup(void)
{
	fair_init(&f, hold);
}

static void
teardown(void)
{
	struct fair_item *it;

	while ((it = fair_drop(&f)) != NULL)
		free(it);
	ck_assert_uint_eq(f.n_ready, 0);
	fair_fini(&f);
}

START_TEST(a_flood_of_one_tenant_delays_another_by_no_more_than_its_share)
{
	struct thing *x;
	int i, b = 0, taken = 0;

	for (i = 0; i < 10000; i++)
		push('a', i, 1, 0, 0);
	for (i = 0; i < 10; i++)
		done(take(1));
	for (i = 0; i < 10; i++)
		push('b', i, 1, 0, 0);
	while (b < 10) {
		x = take(1);
		taken++;
		if (x->tenant == 'b')
			ck_assert_int_eq(x->number, b++); /* in order */
		done(x);
	}
	ck_assert_int_le(taken, 20);
}
END_TEST

START_TEST(a_weight_is_a_share)
{
	struct thing *x;
	int i, a = 0;

	for (i = 0; i < 1000; i++) {
		push('a', i, 3, 0, 0);
		push('b', i, 1, 0, 0);
	}
	for (i = 0; i < 400; i++) {
		x = take(1);
		a += x->tenant == 'a';
		done(x);
	}
	ck_assert_int_eq(a, 300);
}
END_TEST

START_TEST(who_comes_and_goes_gets_no_more_than_who_stays)
{
	struct thing *x;
	int i, b = 0;

	/* b never has more than one, and gets every second. */
	for (i = 0; i < 100; i++)
		push('a', i, 1, 0, 0);
	push('b', 0, 1, 0, 0);
	for (i = 0; i < 50; i++) {
		x = take(1);
		if (x->tenant == 'b') {
			b++;
			push('b', b, 1, 0, 0);
		}
		done(x);
	}
	ck_assert_int_eq(b, 25);
}
END_TEST

START_TEST(a_tenant_at_its_most_is_passed_over_until_something_ends)
{
	struct thing *one, *two, *x;
	int i;

	for (i = 0; i < 5; i++)
		push('a', i, 1, 2, 0);
	one = take(1);
	two = take(1);
	ck_assert_ptr_null(take(1));
	push('b', 7, 1, 0, 0);
	x = take(1);
	ck_assert_int_eq(x->tenant, 'b');
	done(x);
	push('a', 99, 1, 2, 1); /* an urgent one goes all the same */
	x = take(1);
	ck_assert_int_eq(x->number, 99);
	done(x);
	ck_assert_ptr_null(take(1));
	done(one);
	x = take(1);
	ck_assert_int_eq(x->number, 2);
	ck_assert_ptr_null(take(1));
	done(x);
	done(two);
}
END_TEST

START_TEST(urgent_ones_come_before_the_others_of_their_tenant_alone)
{
	struct thing *x;

	push('a', 1, 1, 0, 0);
	push('b', 2, 1, 0, 0);
	push('b', 3, 1, 0, 1);
	x = take(1);
	ck_assert_int_eq(x->number, 1);
	done(x);
	x = take(1);
	ck_assert_int_eq(x->number, 3);
	done(x);
	x = take(1);
	ck_assert_int_eq(x->number, 2);
	done(x);
	ck_assert_ptr_null(take(1));
}
END_TEST

START_TEST(what_is_held_comes_again_and_holds_up_nobody)
{
	struct thing *a = push('a', 1, 1, 0, 0), *x;

	a->held = 1;
	push('a', 2, 1, 0, 0);
	x = take(1);
	ck_assert_int_eq(x->number, 2);
	done(x);
	ck_assert_ptr_null(take(1));
	ck_assert_uint_eq(f.n_ready, 1);
	fair_unhold(&f);
	ck_assert_ptr_null(take(1));
	a->held = 0;
	ck_assert_ptr_null(take(1));
	fair_unhold(&f);
	ck_assert_ptr_eq(take(1), a);
	done(a);
	ck_assert_uint_eq(f.n_ready, 0);
}
END_TEST

START_TEST(what_is_taken_and_not_run_costs_nothing)
{
	struct thing *x;
	int i;

	for (i = 0; i < 4; i++)
		push('a', i, 1, 1, 0);
	push('b', 9, 1, 1, 0);
	for (i = 0; i < 4; i++) {
		x = take(0);
		ck_assert_int_eq(x->tenant, 'a');
		done(x);
	}
	x = take(1);
	ck_assert_int_eq(x->tenant, 'b');
	done(x);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("fair");
	TCase *t = tcase_create("fair");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_flood_of_one_tenant_delays_another_by_no_more_than_its_share);
	tcase_add_test(t, a_weight_is_a_share);
	tcase_add_test(t, who_comes_and_goes_gets_no_more_than_who_stays);
	tcase_add_test(t, a_tenant_at_its_most_is_passed_over_until_something_ends);
	tcase_add_test(t, urgent_ones_come_before_the_others_of_their_tenant_alone);
	tcase_add_test(t, what_is_held_comes_again_and_holds_up_nobody);
	tcase_add_test(t, what_is_taken_and_not_run_costs_nothing);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
