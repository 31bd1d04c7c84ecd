/* check_pg.c: claims about pg on a real PostgreSQL: whose rows a group sees, what is left after a
 * failure, what becomes of groups whose task or connection goes. */
#include "data/pg.h"
#include "tenant/tenant.h"
#include "tests/lib/inloop.h"
#include "tests/lib/servers.h"

#include <check.h> /* last: it defines fail() */

#define A "11111111-1111-4111-8111-111111111111"
#define B "22222222-2222-4222-8222-222222222222"

static struct ins_stmt *
stmt(const char *sql)
{
	char err[160] = "";
	struct ins_stmt *s = pg_stmt_new(sql, err);

	ck_assert_msg(s != NULL, "%s: %s", sql, err);
	return s;
}

static void
begin_on(const char *url, unsigned loops)
{
	loop_init(loops);
	pg_init(url);
	tenant_lookup_init();
	inloop_start(loops, pg_loop_start);
}

static void
begin(void)
{
	begin_on(servers_pg_url(), 1);
}

static void
end(void)
{
	inloop_stop(pg_loop_stop);
	pg_fini();
	tenant_lookup_fini();
}

/* A statement with one text argument, run as one group; what came of it. */
struct ask {
	const struct ins_stmt *stmt;
	const char *tenant, *arg;
	int result, err_code;
	char value[128], detail[256], text[128];
	size_t rows;
};

static int
ask_task(struct ins_ctx *ctx, void *arg)
{
	struct ask *a = arg;
	ins_arg one = ins_text(a->arg);
	ins_call call = { a->stmt, &one, a->arg != NULL };
	struct ins_rows *rows;
	const char *v;

	a->result = pg_batch(ctx, PG_APP, a->tenant, "user-1", &call, 1, &rows);
	a->err_code = ctx->err_code;
	snprintf(a->detail, sizeof a->detail, "%s", ctx->err_detail == NULL ? "" : ctx->err_detail);
	snprintf(a->text, sizeof a->text, "%s", ctx->err_text == NULL ? "" : ctx->err_text);
	a->value[0] = '\0';
	if (a->result != 0)
		return a->result;
	a->rows = pg_rows_count(rows);
	v = a->rows > 0 ? pg_value(rows, 0, 0, NULL) : "";
	snprintf(a->value, sizeof a->value, "%s", v == NULL ? "NULL" : v);
	return 0;
}

static struct ask
ask(const struct ins_stmt *s, const char *tenant, const char *arg)
{
	struct ask a = { .stmt = s, .tenant = tenant, .arg = arg };

	inloop_run(0, ask_task, &a);
	return a;
}

static void
two_tenants(void)
{
	servers_fresh_database();
	servers_sql("SET ROLE insula_system; INSERT INTO tenants (tenant_id, name, plan) VALUES "
		    "('" A "', 'a', 'free'), ('" B "', 'b', 'pro')");
	servers_sql_super(
	    "CREATE TABLE notes (tenant_id uuid NOT NULL REFERENCES tenants, "
	    "id int PRIMARY KEY, body text CHECK (body <> 'bad'));"
	    "ALTER TABLE notes ENABLE ROW LEVEL SECURITY;"
	    "ALTER TABLE notes FORCE ROW LEVEL SECURITY;"
	    "CREATE POLICY p ON notes FOR ALL TO insula_app "
	    "USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), "
	    "'')::uuid) WITH CHECK (tenant_id = nullif(current_setting("
	    "'app.current_tenant_id', true), '')::uuid);"
	    "GRANT SELECT, INSERT, UPDATE, DELETE ON notes TO insula_app;"
	    "INSERT INTO notes VALUES ('" A "', 1, 'of a'), ('" B "', 2, 'of b')");
}

START_TEST(a_group_sees_the_rows_of_its_tenant_only)
{
	struct ins_stmt *s;
	struct ask a;

	two_tenants();
	begin();
	s = stmt("SELECT body FROM notes");
	a = ask(s, A, NULL);
	ck_assert_int_eq(a.result, 0);
	ck_assert_uint_eq(a.rows, 1);
	ck_assert_str_eq(a.value, "of a");
	a = ask(s, B, NULL);
	ck_assert_uint_eq(a.rows, 1);
	ck_assert_str_eq(a.value, "of b");
	a = ask(s, NULL, NULL);
	ck_assert_int_eq(a.result, 0);
	ck_assert_uint_eq(a.rows, 0);
	end();
	pg_stmt_free(s);
}
END_TEST

START_TEST(a_write_into_another_tenant_is_refused)
{
	struct ins_stmt *s, *count;
	struct ask a;

	two_tenants();
	begin();
	s = stmt("INSERT INTO notes VALUES ($1::uuid, 3, 'smuggled')");
	count = stmt("SELECT count(*) FROM notes");
	a = ask(s, A, B);
	ck_assert_int_eq(a.result, -INS_EINTERNAL);
	ck_assert_ptr_nonnull(strstr(a.detail, "42501"));
	a = ask(count, B, NULL);
	ck_assert_str_eq(a.value, "1");
	end();
	pg_stmt_free(s);
	pg_stmt_free(count);
}
END_TEST

START_TEST(a_failing_statement_leaves_the_connection_clean_for_the_next_tenant)
{
	struct ins_stmt *bad, *who, *body;
	struct ask a, pid;
	int i;

	two_tenants();
	begin();
	bad = stmt("SELECT 1 / $1::int");
	who = stmt("SELECT pg_backend_pid()");
	body = stmt("SELECT body FROM notes");
	pid = ask(who, A, NULL);
	ck_assert_int_eq(pid.result, 0);
	for (i = 0; i < 3; i++) {
		a = ask(bad, A, "0");
		ck_assert_int_eq(a.result, -INS_EINVAL);
		a = ask(who, B, NULL);
		ck_assert_str_eq(a.value, pid.value); /* it is the same connection */
		a = ask(body, B, NULL);
		ck_assert_uint_eq(a.rows, 1);
		ck_assert_str_eq(a.value, "of b");
		a = ask(body, NULL, NULL);
		ck_assert_uint_eq(a.rows, 0);
	}
	end();
	pg_stmt_free(bad);
	pg_stmt_free(who);
	pg_stmt_free(body);
}
END_TEST

struct pair {
	struct ins_stmt *insert, *fail;
};

static int
half_a_group(struct ins_ctx *ctx, void *arg)
{
	struct pair *p = arg;
	ins_call calls[] = { { p->insert, NULL, 0 }, { p->fail, NULL, 0 } };
	struct ins_rows *rows[2];

	return pg_batch(ctx, PG_APP, A, NULL, calls, 2, rows);
}

START_TEST(a_group_commits_whole_or_not_at_all)
{
	struct pair p;
	struct ins_stmt *count;
	struct ask a;

	two_tenants();
	begin();
	p.insert = stmt("INSERT INTO notes VALUES ('" A "', 10, 'x')");
	p.fail = stmt("INSERT INTO notes VALUES ('" A "', 11, 'bad')");
	count = stmt("SELECT count(*) FROM notes");
	ck_assert_int_eq(inloop_run(0, half_a_group, &p), -INS_EINVAL);
	a = ask(count, A, NULL);
	ck_assert_str_eq(a.value, "1");
	end();
	pg_stmt_free(p.insert);
	pg_stmt_free(p.fail);
	pg_stmt_free(count);
}
END_TEST

static const struct {
	const char *sql;
	int code;
} failures[] = {
	{ "INSERT INTO notes VALUES ('" A "', 1, 'again')", INS_ECONFLICT },
	{ "INSERT INTO notes VALUES ('" A "', 9, 'bad')", INS_EINVAL },
	{ "INSERT INTO notes VALUES (NULL, 9, 'x')", INS_EINTERNAL }, /* the policy comes first */
	{ "SELECT 'x'::text::int FROM notes", INS_EINVAL },
	{ "SELECT * FROM no_such_table", INS_EINTERNAL },
	{ "SELECT * FROM pg_authid", INS_EINTERNAL },
};

START_TEST(a_failure_has_the_code_of_its_sqlstate)
{
	struct ins_stmt *s;
	struct ask a;

	two_tenants();
	begin();
	s = stmt(failures[_i].sql);
	a = ask(s, A, NULL);
	ck_assert_int_eq(a.result, -failures[_i].code);
	ck_assert_int_eq(a.err_code, failures[_i].code);
	ck_assert_ptr_nonnull(strstr(a.detail, "SQLSTATE"));
	ck_assert_ptr_null(
	    strstr(a.text, "notes")); /* the client does not read the server's words */
	end();
	pg_stmt_free(s);
}
END_TEST

START_TEST(a_text_with_a_nul_byte_is_refused)
{
	struct ins_stmt *s;
	struct ask a;

	begin();
	s = stmt("SELECT $1::text");
	a = ask(s, A, "fine");
	ck_assert_str_eq(a.value, "fine");
	a = ask(s, A, "\xff\xfe");
	ck_assert_int_eq(a.result, -INS_EINVAL);
	end();
	pg_stmt_free(s);
}
END_TEST

static int
nul_inside(struct ins_ctx *ctx, void *arg)
{
	ins_arg one = { "a\0b", 3 };
	ins_call call = { arg, &one, 1 };

	return pg_batch(ctx, PG_APP, A, NULL, &call, 1, NULL);
}

START_TEST(bytes_are_not_cut_at_a_nul)
{
	struct ins_stmt *s;

	begin();
	s = stmt("SELECT $1::text");
	ck_assert_int_eq(inloop_run(0, nul_inside, s), -INS_EINVAL);
	end();
	pg_stmt_free(s);
}
END_TEST

#define BIG (6u << 20)

static int
echo_big(struct ins_ctx *ctx, void *arg)
{
	char *p = malloc(BIG);
	ins_arg one = { p, BIG };
	ins_call call = { arg, &one, 1 };
	struct ins_rows *rows;
	const char *v;
	size_t n;
	int r;

	for (n = 0; n < BIG; n++)
		p[n] = (char)('a' + n % 26);
	r = pg_batch(ctx, PG_APP, A, NULL, &call, 1, &rows);
	if (r == 0) {
		v = pg_value(rows, 0, 0, &n);
		ck_assert_uint_eq(n, BIG);
		ck_assert_int_eq(memcmp(v, p, BIG), 0);
	}
	free(p);
	return r;
}

START_TEST(more_than_a_socket_buffer_goes_out_and_comes_back)
{
	struct ins_stmt *s;

	begin();
	s = stmt("SELECT $1::text");
	ck_assert_int_eq(inloop_run(0, echo_big, s), 0);
	end();
	pg_stmt_free(s);
}
END_TEST

/* Many tasks at once on one loop, each with its own question. */
#define MANY 500

struct crowd {
	struct ins_stmt *stmt;
	int left, wrong;
	struct ins_ctx *waits;
};

static int
one_of_many(struct ins_ctx *ctx, void *arg)
{
	static int number; /* one loop */
	struct crowd *c = arg;
	char text[16];
	ins_arg one = { text, (size_t)snprintf(text, sizeof text, "%d", number++) };
	ins_call call = { c->stmt, &one, 1 };
	struct ins_rows *rows;
	int r;

	/* on a slow machine the last ones wait for a connection longer than the limit */
	while ((r = pg_batch(ctx, PG_APP, A, NULL, &call, 1, &rows)) == -INS_EUNAVAILABLE)
		task_sleep(ctx, 1);
	if (r != 0 || strcmp(pg_value(rows, 0, 0, NULL), text) != 0)
		c->wrong++;
	if (--c->left == 0)
		task_wake(c->waits, 0);
	return 0;
}

static int
many_tasks(struct ins_ctx *ctx, void *arg)
{
	struct crowd *c = arg;
	int i;

	c->waits = ctx;
	c->left = MANY;
	for (i = 0; i < MANY; i++)
		ck_assert_ptr_nonnull(task_new_later("one", one_of_many, c, NULL, NULL));
	return task_park(ctx, NULL, NULL);
}

START_TEST(each_of_many_groups_in_flight_gets_its_own_result)
{
	struct crowd c = { 0 };

	begin();
	c.stmt = stmt("SELECT $1::text FROM pg_sleep(0.0005)");
	ck_assert_int_eq(inloop_run(0, many_tasks, &c), 0);
	ck_assert_int_eq(c.wrong, 0);
	end();
	pg_stmt_free(c.stmt);
}
END_TEST

static int
cut_short(struct ins_ctx *ctx, void *arg)
{
	ins_arg one = ins_text("slow");
	ins_call call = { arg, &one, 1 };
	struct ins_rows *rows = NULL;

	task_deadline(ctx, 20);
	return pg_batch(ctx, PG_APP, A, NULL, &call, 1, &rows);
}

START_TEST(results_of_a_cancelled_task_reach_nobody_else)
{
	struct ins_stmt *slow, *quick;
	struct ask a;
	int i;

	begin();
	slow = stmt("SELECT $1::text FROM pg_sleep(0.2)");
	quick = stmt("SELECT $1::text");
	/* Two connections: both are busy with a group whose task has left. */
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(inloop_run(0, cut_short, slow), -INS_ECANCELED);
	a = ask(quick, A, "mine");
	ck_assert_int_eq(a.result, 0);
	ck_assert_str_eq(a.value, "mine");
	end();
	pg_stmt_free(slow);
	pg_stmt_free(quick);
}
END_TEST

/* Ends the session that sleeps, once one does. */
static void *
terminate(void *arg)
{
	while (servers_sql_super(
		   "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
		   "WHERE state = 'active' AND query LIKE 'SELECT pg_sleep%%'")[0] != 't')
		;
	return NULL;
}

START_TEST(after_a_lost_connection_the_next_group_finds_a_new_one)
{
	struct ins_stmt *s, *slow;
	pthread_t thread;
	struct ask a;
	int i;

	begin();
	s = stmt("SELECT $1::text");
	slow = stmt("SELECT pg_sleep(20)");
	for (i = 0; i < 3; i++) {
		AZ(pthread_create(&thread, NULL, terminate, NULL));
		a = ask(slow, A, NULL);
		ck_assert_int_eq(a.result, -INS_EUNAVAILABLE);
		AZ(pthread_join(thread, NULL));
		a = ask(s, A, "back");
		ck_assert_int_eq(a.result, 0);
		ck_assert_str_eq(a.value, "back");
	}
	end();
	pg_stmt_free(s);
	pg_stmt_free(slow);
}
END_TEST

START_TEST(without_a_database_a_group_fails_as_unavailable)
{
	struct ins_stmt *s;
	int64_t t;
	struct ask a;

	begin_on("postgresql://nobody@/nothing?host=/nonexistent", 1);
	s = stmt("SELECT 1");
	ck_assert_int_eq(pg_up(), 0);
	t = base_mono_us();
	a = ask(s, A, NULL);
	t = base_mono_us() - t;
	ck_assert_int_eq(a.result, -INS_EUNAVAILABLE);
	ck_assert_int_ge(t, PG_WAIT_MS * 1000);
	end();
	pg_stmt_free(s);
}
END_TEST

START_TEST(a_table_that_changed_is_noticed_and_then_used)
{
	struct ins_stmt *s;
	struct ask a;

	two_tenants();
	begin();
	s = stmt("SELECT * FROM notes");
	a = ask(s, A, NULL);
	ck_assert_int_eq(a.result, 0);
	servers_sql_super("ALTER TABLE notes ADD COLUMN more text");
	a = ask(s, A, NULL);
	ck_assert_int_eq(a.result, -INS_EUNAVAILABLE);
	a = ask(s, A, NULL);
	ck_assert_int_eq(a.result, 0);
	end();
	pg_stmt_free(s);
}
END_TEST

START_TEST(a_statement_that_cannot_be_prepared_says_why_each_time)
{
	struct ins_stmt *s;
	struct ask a;
	int i;

	two_tenants();
	begin();
	s = stmt("SELECT 1 FROM later");
	for (i = 0; i < 3; i++) {
		a = ask(s, A, NULL);
		ck_assert_int_eq(a.result, -INS_EINTERNAL);
		ck_assert_ptr_nonnull(strstr(a.detail, "42P01"));
	}
	servers_sql_super("CREATE TABLE later (i int); GRANT SELECT ON later TO insula_app");
	a = ask(s, A, NULL);
	ck_assert_int_eq(a.result, 0);
	end();
	pg_stmt_free(s);
}
END_TEST

START_TEST(the_place_of_a_freed_statement_is_used_again)
{
	struct ins_stmt *s;
	struct ask a;
	char sql[64], want[16];
	int i;

	begin();
	for (i = 0; i < 3; i++) {
		snprintf(sql, sizeof sql, "SELECT %d + $1::int", i);
		snprintf(want, sizeof want, "%d", i + 100);
		s = stmt(sql);
		a = ask(s, A, "100");
		ck_assert_str_eq(a.value, want);
		pg_stmt_free(s);
	}
	s = stmt("SELECT count(*) FROM pg_prepared_statements");
	a = ask(s, A, NULL);
	ck_assert_str_eq(a.value, "2"); /* the group's own set_config, and this one */
	end();
	pg_stmt_free(s);
}
END_TEST

START_TEST(a_role_that_passes_row_security_is_not_used)
{
	struct ins_stmt *s;
	struct ask a;

	servers_sql_super("ALTER ROLE insula_app BYPASSRLS");
	begin();
	s = stmt("SELECT 1");
	a = ask(s, A, NULL);
	ck_assert_int_eq(a.result, -INS_EUNAVAILABLE);
	ck_assert_int_eq(pg_up(), 0);
	servers_sql_super("ALTER ROLE insula_app NOBYPASSRLS");
	a = ask(s, A, NULL);
	ck_assert_int_eq(a.result, 0);
	end();
	pg_stmt_free(s);
}
END_TEST

static int
ready(struct ins_ctx *ctx, void *arg)
{
	int r = pg_ready(ctx);

	ck_assert_int_eq(ctx->err_code, 0);
	return r;
}

START_TEST(every_loop_has_its_own_connections_and_says_when_it_is_ready)
{
	begin_on(servers_pg_url(), 3);
	ck_assert_int_eq(inloop_run(0, ready, NULL), 0);
	ck_assert_int_eq(inloop_run(1, ready, NULL), 0);
	ck_assert_int_eq(inloop_run(2, ready, NULL), 0);
	ck_assert_int_eq(pg_up(), 1);
	end();
	ck_assert_int_eq(pg_up(), 1); /* of no loops */
}
END_TEST

static int
engine(struct ins_ctx *ctx, void *arg)
{
	ins_call call = { arg, NULL, 0 };
	struct ins_rows *rows;
	int r = pg_batch(ctx, PG_ENGINE, "{" A "," B "}", NULL, &call, 1, &rows);

	return r != 0 ? r : (int)pg_rows_count(rows);
}

START_TEST(the_engine_knows_the_ids_and_plans_of_all_tenants_and_nothing_more)
{
	struct ins_stmt *plans, *names, *keys;

	two_tenants();
	begin();
	plans = stmt("SELECT tenant_id, plan, status FROM tenants");
	names = stmt("SELECT name FROM tenants");
	keys = stmt("SELECT public_id FROM api_keys");
	ck_assert_int_eq(inloop_run(0, engine, plans), 2);
	ck_assert_int_eq(inloop_run(0, engine, names), -INS_EINTERNAL);
	ck_assert_int_eq(inloop_run(0, engine, keys), -INS_EINTERNAL);
	end();
	pg_stmt_free(plans);
	pg_stmt_free(names);
	pg_stmt_free(keys);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("pg");
	TCase *t = tcase_create("pg");
	SRunner *r;
	int failed;

	servers_start(SERVERS_PG);
	servers_fresh_database();
	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_group_sees_the_rows_of_its_tenant_only);
	tcase_add_test(t, a_write_into_another_tenant_is_refused);
	tcase_add_test(t, a_failing_statement_leaves_the_connection_clean_for_the_next_tenant);
	tcase_add_test(t, a_group_commits_whole_or_not_at_all);
	tcase_add_loop_test(t, a_failure_has_the_code_of_its_sqlstate, 0, (int)NELEM(failures));
	tcase_add_test(t, a_text_with_a_nul_byte_is_refused);
	tcase_add_test(t, bytes_are_not_cut_at_a_nul);
	tcase_add_test(t, more_than_a_socket_buffer_goes_out_and_comes_back);
	tcase_add_test(t, each_of_many_groups_in_flight_gets_its_own_result);
	tcase_add_test(t, results_of_a_cancelled_task_reach_nobody_else);
	tcase_add_test(t, after_a_lost_connection_the_next_group_finds_a_new_one);
	tcase_add_test(t, without_a_database_a_group_fails_as_unavailable);
	tcase_add_test(t, a_table_that_changed_is_noticed_and_then_used);
	tcase_add_test(t, a_statement_that_cannot_be_prepared_says_why_each_time);
	tcase_add_test(t, the_place_of_a_freed_statement_is_used_again);
	tcase_add_test(t, a_role_that_passes_row_security_is_not_used);
	tcase_add_test(t, every_loop_has_its_own_connections_and_says_when_it_is_ready);
	tcase_add_test(t, the_engine_knows_the_ids_and_plans_of_all_tenants_and_nothing_more);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	servers_stop();
	return failed != 0;
}
