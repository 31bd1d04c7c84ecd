/* check_migrate.c: claims about migrations, and about what sql/ leaves in the catalog. */
#include "data/migrate.h"

#include "base/base.h"
#include "tests/lib/servers.h"

#include <check.h> /* last: it defines fail() */

static const char *const v1[] = { "0001_first", "CREATE TABLE m1 (i int)", NULL };
static const char *const v2[] = { "0001_first", "CREATE TABLE m1 (i int)", "0002_second",
	"CREATE TABLE m2 (i int); INSERT INTO m2 VALUES (1)", NULL };

static char err[512];

static int
migrate(const char *const *schema, int dry)
{
	struct migrate_set set = { "test", schema };

	err[0] = '\0';
	return migrate_run(servers_pg_url(), &set, 1, dry, NULL, err);
}

static int
check(const char *const *schema)
{
	struct migrate_set set = { "test", schema };

	err[0] = '\0';
	return migrate_check(servers_pg_url(), &set, 1, err);
}

START_TEST(migrations_are_applied_once_and_in_order)
{
	servers_fresh_database();
	ck_assert_int_eq(check(v1), 1);
	ck_assert_ptr_nonnull(strstr(err, "0001_first"));
	ck_assert_int_eq(migrate(v1, 0), 0);
	ck_assert_int_eq(check(v1), 0);
	ck_assert_int_eq(check(v2), 1);
	ck_assert_int_eq(migrate(v2, 0), 0);
	ck_assert_int_eq(migrate(v2, 0), 0);
	ck_assert_int_eq(check(v2), 0);
	ck_assert_str_eq(servers_sql("SELECT count(*) FROM m2"), "1");
	ck_assert_str_eq(
	    servers_sql("SELECT count(*) FROM insula_migrations WHERE area = 'test'"), "2");
}
END_TEST

START_TEST(a_dry_run_changes_nothing)
{
	servers_fresh_database();
	ck_assert_int_eq(migrate(v2, 1), 0);
	ck_assert_int_eq(check(v2), 1);
	ck_assert_str_eq(servers_sql("SELECT to_regclass('m1') IS NULL"), "t");
}
END_TEST

START_TEST(a_migration_that_fails_leaves_nothing_of_itself)
{
	static const char *const bad[] = { "0001_first", "CREATE TABLE m1 (i int)", "0002_bad",
		"CREATE TABLE m2 (i int); SELECT 1/0", NULL };

	servers_fresh_database();
	ck_assert_int_eq(migrate(bad, 0), -1);
	ck_assert_ptr_nonnull(strstr(err, "0002_bad"));
	ck_assert_ptr_nonnull(strstr(err, "division by zero"));
	ck_assert_str_eq(servers_sql("SELECT to_regclass('m2') IS NULL"), "t");
	ck_assert_str_eq(servers_sql("SELECT to_regclass('m1') IS NULL"), "f");
	ck_assert_int_eq(migrate(v2, 0), 0);
}
END_TEST

static const struct {
	const char *schema[6];
	const char *says;
} refused[] = {
	{ { "0001_first", "CREATE TABLE m1 (i bigint)" }, "was changed" },
	{ { "0001_other", "CREATE TABLE m1 (i int)" }, "renamed or left out" },
	{ { NULL }, "older than the database" },
	{ { "0002_second", "SELECT 1" }, "not 0001_" },
	{ { "0001_first", "CREATE TABLE m1 (i int)", "0003_third", "SELECT 1" }, "not 0002_" },
	{ { "0001_First", "SELECT 1" }, "is named" },
	{ { "0001_", "SELECT 1" }, "is named" },
	{ { "0001_first", "CREATE TABLE m1 (i int)", "0002_ends", "SELECT 1; COMMIT" },
	    "ends its transaction" },
};

START_TEST(a_history_that_does_not_fit_is_refused)
{
	servers_fresh_database();
	ck_assert_int_eq(migrate(v1, 0), 0);
	ck_assert_int_eq(migrate(refused[_i].schema, 0), -1);
	ck_assert_msg(strstr(err, refused[_i].says) != NULL, "%s", err);
	ck_assert_int_eq(check(v1), 0);
}
END_TEST

START_TEST(no_database_is_an_error_with_its_reason)
{
	struct migrate_set set = { "host", migrate_host_schema };

	ck_assert_int_eq(
	    migrate_run("postgresql:///x?host=/nonexistent", &set, 1, 0, NULL, err), -1);
	ck_assert_ptr_nonnull(strstr(err, "/nonexistent"));
	ck_assert_int_eq(migrate_check("postgresql:///x?host=/nonexistent", &set, 1, err), -1);
}
END_TEST

/* The walk of the catalog: what holds for every tenant's table, also those of later migrations. */
START_TEST(every_table_with_a_tenant_is_behind_forced_row_security)
{
	servers_fresh_database();
	ck_assert_str_eq(
	    servers_sql_super(
		"SELECT coalesce(string_agg(c.relname, ' '), '') FROM pg_class c "
		"JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public' "
		"JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT "
		"a.attisdropped WHERE c.relkind IN ('r', 'p') AND NOT (c.relrowsecurity AND "
		"c.relforcerowsecurity)"),
	    "");
	ck_assert_str_ne(servers_sql_super("SELECT count(*) FROM pg_class c JOIN pg_attribute a ON "
					   "a.attrelid = c.oid AND a.attname = 'tenant_id' "
					   "WHERE c.relkind = 'r' AND c.relrowsecurity"),
	    "0");
}
END_TEST

START_TEST(every_table_with_a_tenant_compares_it_on_the_way_in_and_out)
{
	servers_fresh_database();
	ck_assert_str_eq(
	    servers_sql_super(
		"SELECT coalesce(string_agg(c.relname, ' '), '') FROM pg_class c "
		"JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public' "
		"JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' "
		"WHERE c.relkind IN ('r', 'p') AND NOT EXISTS (SELECT FROM pg_policies p "
		"WHERE p.schemaname = 'public' AND p.tablename = c.relname "
		"AND p.roles = '{insula_app}' AND p.cmd = 'ALL' AND p.permissive = 'PERMISSIVE' "
		"AND p.qual = '(tenant_id = "
		"(NULLIF(current_setting(''app.current_tenant_id''::text, "
		"true), ''''::text))::uuid)' AND p.with_check = p.qual)"),
	    "");
}
END_TEST

START_TEST(no_other_policy_of_the_app_role_lets_it_write)
{
	servers_fresh_database();
	ck_assert_str_eq(
	    servers_sql_super(
		"SELECT coalesce(string_agg(policyname, ' '), '') FROM pg_policies "
		"WHERE ('insula_app' = ANY (roles) OR 'public' = ANY (roles)) AND cmd <> "
		"'SELECT' AND qual NOT LIKE '%%app.current_tenant_id%%'"),
	    "");
}
END_TEST

START_TEST(the_roles_have_no_power_of_their_own)
{
	servers_fresh_database();
	ck_assert_str_eq(
	    servers_sql_super(
		"SELECT count(*) FROM pg_roles WHERE rolname IN ('insula_app', "
		"'insula_engine', 'insula_relay', 'insula_system') AND NOT (rolsuper OR "
		"rolbypassrls OR rolcanlogin OR rolcreaterole OR rolcreatedb)"),
	    "4");
	/* None is a member of another, none owns a table. */
	ck_assert_str_eq(
	    servers_sql_super("SELECT count(*) FROM pg_auth_members m JOIN pg_roles r "
			      "ON r.oid = m.member WHERE r.rolname LIKE 'insula\\_%%'"),
	    "0");
	ck_assert_str_eq(
	    servers_sql_super("SELECT count(*) FROM pg_class c JOIN pg_roles r "
			      "ON r.oid = c.relowner WHERE r.rolname LIKE 'insula\\_%%'"),
	    "0");
	/* The relay sees the outbox, and nothing else. */
	ck_assert_str_eq(servers_sql_super("SELECT string_agg(DISTINCT table_name, ' ') FROM "
					   "information_schema.role_table_grants WHERE grantee = "
					   "'insula_relay'"),
	    "outbox");
}
END_TEST

START_TEST(a_second_database_of_the_cluster_shares_the_roles)
{
	struct migrate_set set = { "host", migrate_host_schema };
	char url[256];

	servers_fresh_database();
	servers_sql_super("DROP DATABASE IF EXISTS second");
	servers_sql_super("CREATE DATABASE second OWNER insula");
	snprintf(url, sizeof url, "postgresql://insula@/second%s", strchr(servers_pg_url(), '?'));
	ck_assert_msg(migrate_run(url, &set, 1, 0, NULL, err) == 0, "%s", err);
	servers_sql_super("DROP DATABASE second");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("migrate");
	TCase *t = tcase_create("migrate");
	SRunner *r;
	int failed;

	servers_start(SERVERS_PG);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, migrations_are_applied_once_and_in_order);
	tcase_add_test(t, a_dry_run_changes_nothing);
	tcase_add_test(t, a_migration_that_fails_leaves_nothing_of_itself);
	tcase_add_loop_test(t, a_history_that_does_not_fit_is_refused, 0, (int)NELEM(refused));
	tcase_add_test(t, no_database_is_an_error_with_its_reason);
	tcase_add_test(t, every_table_with_a_tenant_is_behind_forced_row_security);
	tcase_add_test(t, every_table_with_a_tenant_compares_it_on_the_way_in_and_out);
	tcase_add_test(t, no_other_policy_of_the_app_role_lets_it_write);
	tcase_add_test(t, the_roles_have_no_power_of_their_own);
	tcase_add_test(t, a_second_database_of_the_cluster_shares_the_roles);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	servers_stop();
	return failed != 0;
}
