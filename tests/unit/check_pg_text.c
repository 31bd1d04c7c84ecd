/* check_pg_text.c: which SQL texts are registered. */
#include "data/pg.h"
#include "tenant/tenant.h"

#include <check.h> /* last: it defines fail() */

static const char *const good[] = {
	"SELECT 1",
	"select 1;",
	"  -- a comment; SET x\n SELECT 1 /* ; RESET /* nested */ ALL */",
	"UPDATE t SET a = $1 WHERE b = $2",
	"INSERT INTO t VALUES ($1) ON CONFLICT DO NOTHING",
	"INSERT INTO t VALUES ($1) ON CONFLICT (a) DO UPDATE SET a = 1",
	"DELETE FROM t USING u WHERE t.a = u.a RETURNING t.a",
	"WITH x AS (UPDATE t SET a = 1 RETURNING *) SELECT * FROM x",
	"VALUES (1), (2)",
	"MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN DO NOTHING",
	"SELECT 'a; b', \"set\", E'\\'; DROP', $x$; RESET ALL$x$, $$;$$",
	"SELECT nullif(current_setting('app.current_tenant_id', true), '')::uuid",
	"SELECT copy, reset FROM t",
	"SELECT pg_advisory_xact_lock(1)",
	"SELECT $1::text || $2",
	"SELECT a$b FROM t",
};

static const char *const bad[] = {
	"",
	"   -- nothing",
	"SET ROLE insula_system",
	"set local app.current_tenant_id = 'x'",
	"RESET ALL",
	"RESET ROLE",
	"DISCARD ALL",
	"DO $$ BEGIN PERFORM 1; END $$",
	"COPY t TO STDOUT",
	"BEGIN",
	"COMMIT",
	"ROLLBACK",
	"SAVEPOINT a",
	"START TRANSACTION",
	"PREPARE x AS SELECT 1",
	"EXECUTE x",
	"DEALLOCATE ALL",
	"LISTEN a",
	"CALL p()",
	"CREATE TABLE t (i int)",
	"GRANT ALL ON t TO PUBLIC",
	"(SELECT 1); SELECT 2",
	"SELECT 1; SELECT 2",
	"SELECT 1; -- x\n RESET ROLE",
	"SELECT set_config('app.current_tenant_id', $1, true)",
	"SELECT pg_catalog.set_config('role', 'insula_system', false)",
	"SELECT SET_CONFIG('a', 'b', true)",
	"SELECT \"set_config\"('a', 'b', true)",
	"SELECT U&\"set\\005fconfig\"('a', 'b', true)",
	"WITH x AS (SELECT set_config('a', 'b', true)) SELECT 1",
	"SELECT /* */ set_config /* */ ('a', 'b', true)",
	"SELECT query_to_xml($1, true, true, '')",
	"SELECT * FROM ts_stat($1)",
	"SELECT pg_advisory_lock(1)",
	"SELECT pg_try_advisory_lock(1)",
	"SELECT 'open",
	"SELECT \"open",
	"SELECT $a$ open",
	"SELECT /* open",
	"/* */ SET x = 1",
	"SELECT * INTO TEMP documents FROM documents",
	"SELECT a INTO x FROM t",
	"WITH x AS (SELECT 1) SELECT * INTO y FROM x",
	"SELECT 1 --\r, set_config('a', 'b', true)",
	"SELECT $\xc3\xa9$ ' $\xc3\xa9$, set_config('a', 'b', true) -- '",
	"SELECT E'a'\n'\\' ', set_config('a', 'b', true) --'",
	"UPDATE pg_settings SET setting = $1 WHERE name = 'search_path'",
	"SELECT lo_get($1)",
};

START_TEST(a_data_statement_is_taken)
{
	char err[160] = "";

	ck_assert_msg(pg_text_check(good[_i], err) == 0, "%s: %s", good[_i], err);
}
END_TEST

START_TEST(anything_that_could_change_for_whom_a_group_acts_is_refused)
{
	char err[160] = "";

	ck_assert_msg(pg_text_check(bad[_i], err) == -1, "%s", bad[_i]);
	ck_assert_str_ne(err, "");
}
END_TEST

START_TEST(a_text_has_a_limit)
{
	char err[160], *z = base_alloc(PG_TEXT_MAX + 2);

	memset(z, ' ', PG_TEXT_MAX + 1);
	memcpy(z, "SELECT 1", 8);
	ck_assert_int_eq(pg_text_check(z, err), -1);
	z[PG_TEXT_MAX] = '\0';
	ck_assert_int_eq(pg_text_check(z, err), 0);
	free(z);
}
END_TEST

START_TEST(the_register_has_a_limit_and_gives_places_back)
{
	static struct ins_stmt *all[PG_STMTS_MAX];
	char err[160] = "";
	int i;

	for (i = 0; i < PG_STMTS_MAX; i++)
		ck_assert_ptr_nonnull(all[i] = pg_stmt_new("SELECT 1", err));
	ck_assert_ptr_null(pg_stmt_new("SELECT 1", err));
	ck_assert_str_ne(err, "");
	pg_stmt_free(all[7]);
	ck_assert_ptr_nonnull(all[7] = pg_stmt_new("SELECT 1", err));
	for (i = 0; i < PG_STMTS_MAX; i++)
		pg_stmt_free(all[i]);
}
END_TEST

START_TEST(permissions_are_words_of_area_and_verb)
{
	static const char *const yes[] = { "", "*", "a:b", "a:*", "a:b c:d", " a:b  c.d-e_f:g " };
	static const char *const no[] = { "a", "a:", ":b", "*:b", "a:b:c", "A:b", "a:b,c:d", "a:**",
		"a:b\n", "\xc3\xa4:b" };
	size_t i;

	for (i = 0; i < NELEM(yes); i++)
		ck_assert_msg(tenant_permissions_valid(yes[i]), "%s", yes[i]);
	for (i = 0; i < NELEM(no); i++)
		ck_assert_msg(!tenant_permissions_valid(no[i]), "%s", no[i]);
}
END_TEST

START_TEST(no_two_keys_are_alike)
{
	char a[128], b[128], ida[TENANT_KEY_PUBLIC + 1], idb[TENANT_KEY_PUBLIC + 1], ha[65], hb[65];

	tenant_key_make(a, ida, ha);
	tenant_key_make(b, idb, hb);
	ck_assert_str_ne(a, b);
	ck_assert_str_ne(ida, idb);
	ck_assert_str_ne(ha, hb);
	ck_assert_uint_eq(strspn(a + 4, "abcdefghijklmnopqrstuvwxyz234567_"), strlen(a) - 4);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("pg_text");
	TCase *t = tcase_create("pg_text");
	SRunner *r;
	int failed;

	tcase_add_loop_test(t, a_data_statement_is_taken, 0, (int)NELEM(good));
	tcase_add_loop_test(
	    t, anything_that_could_change_for_whom_a_group_acts_is_refused, 0, (int)NELEM(bad));
	tcase_add_test(t, a_text_has_a_limit);
	tcase_add_test(t, the_register_has_a_limit_and_gives_places_back);
	tcase_add_test(t, permissions_are_words_of_area_and_verb);
	tcase_add_test(t, no_two_keys_are_alike);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
