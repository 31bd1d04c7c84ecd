/* check_arena.c: claims about arenas. */
#include <insula/insula.h>

#include "base/arena.h"

#include <check.h> /* last: it defines fail() */

static struct arena a;

static void
setup(void)
{
	arena_pool_init();
	arena_init(&a, 1 << 20);
}

static void
teardown(void)
{
	arena_pool_fini();
}

/* Each assertion of libcheck is a system call: one for all bytes. */
static int
all_zero(const unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != 0)
			return 0;
	return 1;
}

START_TEST(memory_is_zeroed_aligned_and_apart)
{
	unsigned char *last = NULL;

	for (size_t n = 0; n < 3000; n += 13) {
		unsigned char *p = arena_alloc(&a, n);

		ck_assert_ptr_nonnull(p);
		ck_assert_uint_eq((uintptr_t)p % 16, 0);
		ck_assert_ptr_ne(p, last);
		ck_assert(all_zero(p, n));
		memset(p, 0xff, n);
		last = p;
	}
	arena_fini(&a);
}
END_TEST

START_TEST(pooled_memory_is_zeroed_again)
{
	for (int i = 0; i < 3; i++) {
		unsigned char *p = arena_alloc(&a, 1000);

		ck_assert(all_zero(p, 1000));
		memset(p, 0xee, 1000);
		arena_fini(&a);
		arena_init(&a, 1 << 20);
	}
	arena_fini(&a);
}
END_TEST

START_TEST(the_limit_is_kept_exactly)
{
	arena_fini(&a);
	arena_init(&a, 64);
	ck_assert_ptr_null(arena_alloc(&a, 65));
	ck_assert_ptr_null(arena_alloc(&a, SIZE_MAX));
	ck_assert_ptr_null(arena_strndup(&a, "x", SIZE_MAX));
	ck_assert_ptr_nonnull(arena_alloc(&a, 48));
	ck_assert_ptr_nonnull(arena_alloc(&a, 16));
	ck_assert_ptr_null(arena_alloc(&a, 1));
	ck_assert_ptr_null(arena_alloc(&a, 0));
	ck_assert_int_eq(arena_cleanup(&a, free, NULL), -INS_ENOMEM);
	ck_assert_uint_eq(a.used, 64);
	arena_fini(&a);
}
END_TEST

START_TEST(large_pieces_do_not_waste_the_chunk_in_use)
{
	char *p = arena_alloc(&a, 16), *big = arena_alloc(&a, 100000), *q = arena_alloc(&a, 16);

	memset(big, 1, 100000);
	ck_assert_ptr_eq(q, p + 16);
	arena_fini(&a);
}
END_TEST

START_TEST(strings_are_copied_and_formatted)
{
	char big[9000];
	char *z;

	memset(big, 'b', sizeof big - 1);
	big[sizeof big - 1] = '\0';
	ck_assert_str_eq(arena_strdup(&a, ""), "");
	ck_assert_str_eq(arena_strndup(&a, "abcdef", 3), "abc");
	ck_assert_str_eq(arena_strdup(&a, big), big);
	z = arena_printf(&a, "%s-%d", big, 7);
	ck_assert_uint_eq(strlen(z), strlen(big) + 2);
	arena_fini(&a);
}
END_TEST

static char order[8];
static int n_order;

static void
note(void *arg)
{
	order[n_order++] = *(char *)arg;
}

static void
note_and_allocate(void *arg)
{
	note(arg);
	ck_assert_ptr_nonnull(arena_alloc(&a, 10000));
}

START_TEST(cleanups_run_last_first_and_may_allocate)
{
	static char one = '1', two = '2', three = '3';

	ck_assert_int_eq(arena_cleanup(&a, note, &one), 0);
	ck_assert_int_eq(arena_cleanup(&a, note_and_allocate, &two), 0);
	ck_assert_int_eq(arena_cleanup(&a, note, &three), 0);
	arena_fini(&a);
	ck_assert_str_eq(order, "321");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("arena");
	TCase *tc = tcase_create("arena");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, memory_is_zeroed_aligned_and_apart);
	tcase_add_test(tc, pooled_memory_is_zeroed_again);
	tcase_add_test(tc, the_limit_is_kept_exactly);
	tcase_add_test(tc, large_pieces_do_not_waste_the_chunk_in_use);
	tcase_add_test(tc, strings_are_copied_and_formatted);
	tcase_add_test(tc, cleanups_run_last_first_and_may_allocate);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
