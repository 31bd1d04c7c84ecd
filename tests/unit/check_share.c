/* check_share.c: claims about which engine should own which shard. */
#include "plugins/runs/engine_share.h"

#include <stdio.h>
#include <string.h>

#include <check.h>

static struct share_unit units[SHARE_UNITS_MAX];

/* Units of hosts a, b, c ... with so many loops each. */
static unsigned
hosts(unsigned n_hosts, unsigned loops)
{
	unsigned h, l, n = 0;

	for (h = 0; h < n_hosts; h++)
		for (l = 0; l < loops; l++, n++) {
			snprintf(units[n].host, sizeof units[n].host, "host-%u.example", h);
			units[n].loop = (int)l;
		}
	return n;
}

START_TEST(each_engine_gets_its_share_to_the_shard)
{
	uint16_t owner[RUNS_SHARDS];
	unsigned n, i, s, has[SHARE_UNITS_MAX];

	for (n = 1; n <= 300; n += n < 20 ? 1 : 35) {
		memset(has, 0, sizeof has);
		ck_assert_uint_eq(hosts(n, 1), n);
		share_assign(units, n, owner);
		for (s = 0; s < RUNS_SHARDS; s++) {
			ck_assert_uint_lt(owner[s], n);
			has[owner[s]]++;
		}
		for (i = 0; i < n; i++) {
			ck_assert_uint_ge(has[i], RUNS_SHARDS / n);
			ck_assert_uint_le(has[i], (RUNS_SHARDS + n - 1) / n);
		}
	}
}
END_TEST

START_TEST(the_order_of_the_rows_does_not_matter)
{
	uint16_t a[RUNS_SHARDS], b[RUNS_SHARDS];
	unsigned n = hosts(5, 3), i, s;
	struct share_unit x;

	share_assign(units, n, a);
	for (i = 0; i < n / 2; i++) {
		x = units[i];
		units[i] = units[n - 1 - i];
		units[n - 1 - i] = x;
	}
	share_assign(units, n, b);
	for (s = 0; s < RUNS_SHARDS; s++)
		ck_assert_uint_eq(a[s], n - 1 - b[s]);
}
END_TEST

START_TEST(who_comes_or_goes_moves_few_shards_besides_its_own)
{
	uint16_t two[RUNS_SHARDS], three[RUNS_SHARDS];
	unsigned s, moved = 0, own = 0;

	share_assign(units, hosts(2, 2), two);
	share_assign(units, hosts(3, 2), three);
	for (s = 0; s < RUNS_SHARDS; s++) {
		own += three[s] >= 4;
		moved += three[s] != two[s];
	}
	ck_assert_uint_ge(own, 84);
	ck_assert_uint_le(moved, own + own / 2);
}
END_TEST

START_TEST(hosts_are_counted_by_their_names)
{
	ck_assert_uint_eq(share_hosts(units, hosts(3, 4)), 3);
	ck_assert_uint_eq(share_hosts(units, 0), 0);
	ck_assert_int_eq(share_same(units, 4, units, 4), 1);
	ck_assert_int_eq(share_same(units, 4, units, 3), 0);
	ck_assert_int_eq(share_same(units, 2, units + 1, 2), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("share");
	TCase *t = tcase_create("share");
	SRunner *r;
	int failed;

	tcase_add_test(t, each_engine_gets_its_share_to_the_shard);
	tcase_add_test(t, the_order_of_the_rows_does_not_matter);
	tcase_add_test(t, who_comes_or_goes_moves_few_shards_besides_its_own);
	tcase_add_test(t, hosts_are_counted_by_their_names);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
