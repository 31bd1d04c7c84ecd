/* check_tenant.c: claims about tenants and keys, made by the administrator and looked up on a
 * loop. */
#include "tenant/tenant.h"

#include <openssl/sha.h>

#include "data/pg.h"
#include "tests/lib/inloop.h"
#include "tests/lib/servers.h"

#include <check.h> /* last: it defines fail() */

static struct tenant_db *db;
static char err[256];

static const char *
text(const json_t *j, const char *key)
{
	const char *z = json_string_value(json_object_get(j, key));

	return z == NULL ? "(null)" : z;
}

static void
begin(void)
{
	servers_fresh_database();
	db = tenant_db_open(servers_pg_url(), err);
	ck_assert_msg(db != NULL, "%s", err);
	loop_init(1);
	pg_init(servers_pg_url());
	tenant_lookup_init();
	inloop_start(1, pg_loop_start);
}

static void
end(void)
{
	inloop_stop(pg_loop_stop);
	pg_fini();
	tenant_lookup_fini();
	tenant_db_close(db);
}

struct found {
	const char *id;
	int result;
	char tenant[40], user[64], plan[40], status[16], permissions[64], hash[65];
	int64_t expires;
	int revoked;
};

static int
look_up_key(struct ins_ctx *ctx, void *arg)
{
	struct found *f = arg;
	ins_key_row row;

	f->result = tenant_key_lookup(ctx, f->id, &row);
	ck_assert_int_eq(ctx->err_code, 0);
	if (f->result != 0)
		return 0;
	snprintf(f->tenant, sizeof f->tenant, "%s", row.tenant_id);
	snprintf(f->user, sizeof f->user, "%s", row.user_id);
	snprintf(f->plan, sizeof f->plan, "%s", row.plan);
	snprintf(f->status, sizeof f->status, "%s", row.tenant_status);
	snprintf(f->permissions, sizeof f->permissions, "%s", row.permissions);
	snprintf(f->hash, sizeof f->hash, "%s", row.secret_hash);
	f->expires = row.expires_at;
	f->revoked = row.revoked;
	return 0;
}

static struct found
key(const char *id)
{
	struct found f = { .id = id };

	inloop_run(0, look_up_key, &f);
	return f;
}

static int
look_up_tenant(struct ins_ctx *ctx, void *arg)
{
	struct found *f = arg;
	const char *plan, *status;

	f->result = tenant_lookup(ctx, f->id, &plan, &status);
	ck_assert_int_eq(ctx->err_code, 0);
	if (f->result == 0) {
		snprintf(f->plan, sizeof f->plan, "%s", plan);
		snprintf(f->status, sizeof f->status, "%s", status);
	}
	return 0;
}

static struct found
tenant(const char *id)
{
	struct found f = { .id = id };

	inloop_run(0, look_up_tenant, &f);
	return f;
}

START_TEST(a_key_is_found_by_its_public_id_and_proved_by_its_secret)
{
	unsigned char md[SHA256_DIGEST_LENGTH];
	json_t *t, *k;
	const char *z;
	char hash[65];
	struct found f;

	begin();
	t = tenant_create(db, "acme", "pro", err);
	ck_assert_msg(t != NULL, "%s", err);
	k = key_create(db, "acme", "ci", "documents:read runs:*", 4102444800, err);
	ck_assert_msg(k != NULL, "%s", err);
	z = text(k, "key");
	ck_assert_uint_eq(strlen(z), 4 + TENANT_KEY_PUBLIC + 1 + TENANT_KEY_SECRET);
	ck_assert_int_eq(strncmp(z, "isk_", 4), 0);
	ck_assert_int_eq(strncmp(z + 4, text(k, "public_id"), TENANT_KEY_PUBLIC), 0);
	SHA256((const unsigned char *)z + 4 + TENANT_KEY_PUBLIC + 1, TENANT_KEY_SECRET, md);
	base_hex(hash, md, sizeof md);

	f = key(text(k, "public_id"));
	ck_assert_int_eq(f.result, 0);
	ck_assert_str_eq(f.hash, hash);
	ck_assert_str_eq(f.tenant, text(t, "tenant_id"));
	ck_assert_str_eq(f.user, text(k, "public_id"));
	ck_assert_str_eq(f.plan, "pro");
	ck_assert_str_eq(f.status, "active");
	ck_assert_str_eq(f.permissions, "documents:read runs:*");
	ck_assert_int_eq(f.expires, 4102444800);
	ck_assert_int_eq(f.revoked, 0);
	/* The secret is nowhere. */
	ck_assert_str_eq(
	    servers_sql_super("SELECT count(*) FROM api_keys k WHERE k::text LIKE '%%%s%%'",
		z + 4 + TENANT_KEY_PUBLIC + 1),
	    "0");
	json_decref(t);
	json_decref(k);
	end();
}
END_TEST

START_TEST(an_unknown_key_or_tenant_is_not_found_and_no_failure)
{
	begin();
	ck_assert_int_eq(key("aaaaaaaaaaaaaaaa").result, -INS_ENOTFOUND);
	ck_assert_int_eq(key("").result, -INS_ENOTFOUND);
	ck_assert_int_eq(key("' OR true --xxxx").result, -INS_ENOTFOUND);
	ck_assert_int_eq(tenant("11111111-1111-4111-8111-111111111111").result, -INS_ENOTFOUND);
	ck_assert_int_eq(tenant("no uuid").result, -INS_ENOTFOUND);
	ck_assert_int_eq(tenant("").result, -INS_ENOTFOUND);
	end();
}
END_TEST

static int
all_keys(struct ins_ctx *ctx, void *arg)
{
	struct ins_stmt *s = pg_stmt_new("SELECT public_id FROM api_keys", err);
	ins_call call = { s, NULL, 0 };
	struct ins_rows *rows;
	int n;

	ck_assert_int_eq(pg_batch_with(ctx, PG_APP, "app.key_public_id", arg, &call, 1, &rows), 0);
	n = (int)pg_rows_count(rows);
	pg_stmt_free(s);
	return n;
}

START_TEST(a_public_id_shows_its_own_key_only)
{
	json_t *a, *b;

	begin();
	json_decref(tenant_create(db, "one", NULL, err));
	json_decref(tenant_create(db, "two", NULL, err));
	a = key_create(db, "one", NULL, "*", 0, err);
	b = key_create(db, "two", NULL, "*", 0, err);
	ck_assert_int_eq(inloop_run(0, all_keys, (void *)(uintptr_t)text(a, "public_id")), 1);
	ck_assert_int_eq(inloop_run(0, all_keys, (void *)(uintptr_t) "%"), 0);
	ck_assert_int_eq(inloop_run(0, all_keys, (void *)(uintptr_t) ""), 0);
	json_decref(a);
	json_decref(b);
	end();
}
END_TEST

START_TEST(revoking_and_suspending_show_at_once)
{
	json_t *t, *k, *r;
	struct found f;

	begin();
	t = tenant_create(db, "acme", NULL, err);
	k = key_create(db, text(t, "tenant_id"), NULL, "", 0, err);
	ck_assert_ptr_nonnull(k);
	r = key_revoke(db, text(k, "public_id"), err);
	ck_assert_msg(r != NULL, "%s", err);
	ck_assert_str_ne(text(r, "revoked_at"), "(null)");
	json_decref(r);
	r = tenant_set_status(db, "acme", "suspended", err);
	ck_assert_msg(r != NULL, "%s", err);
	json_decref(r);
	f = key(text(k, "public_id"));
	ck_assert_int_eq(f.result, 0);
	ck_assert_int_eq(f.revoked, 1);
	ck_assert_str_eq(f.status, "suspended");
	ck_assert_int_eq(f.expires, 0);
	f = tenant(text(t, "tenant_id"));
	ck_assert_str_eq(f.status, "suspended");
	ck_assert_str_eq(f.plan, "free");
	json_decref(t);
	json_decref(k);
	end();
}
END_TEST

START_TEST(lists_name_what_there_is)
{
	json_t *j;

	begin();
	json_decref(tenant_create(db, "beta", NULL, err));
	json_decref(tenant_create(db, "alpha", NULL, err));
	json_decref(key_create(db, "beta", "k1", "*", 0, err));
	j = tenant_list(db, err);
	ck_assert_uint_eq(json_array_size(j), 2);
	ck_assert_str_eq(text(json_array_get(j, 0), "name"), "alpha");
	json_decref(j);
	j = key_list(db, "beta", err);
	ck_assert_uint_eq(json_array_size(j), 1);
	ck_assert_str_eq(text(json_array_get(j, 0), "tenant"), "beta");
	ck_assert_ptr_null(json_object_get(json_array_get(j, 0), "secret_hash"));
	json_decref(j);
	j = key_list(db, NULL, err);
	ck_assert_uint_eq(json_array_size(j), 1);
	json_decref(j);
	j = tenant_get(db, "beta", err);
	ck_assert_str_eq(text(j, "name"), "beta");
	json_decref(j);
	end();
}
END_TEST

START_TEST(bad_input_of_an_administrator_is_refused_with_a_sentence)
{
	begin();
	json_decref(tenant_create(db, "acme", NULL, err));
	ck_assert_ptr_null(tenant_create(db, "acme", NULL, err));
	ck_assert_ptr_nonnull(strstr(err, "already"));
	ck_assert_ptr_null(tenant_create(db, "Not A Name", NULL, err));
	ck_assert_ptr_null(tenant_create(db, "", NULL, err));
	ck_assert_ptr_null(tenant_create(db, "x", "Plan B", err));
	ck_assert_ptr_null(tenant_get(db, "nobody", err));
	ck_assert_ptr_nonnull(strstr(err, "nobody"));
	ck_assert_ptr_null(tenant_set_status(db, "acme", "happy", err));
	ck_assert_ptr_null(tenant_set_status(db, "nobody", "active", err));
	ck_assert_ptr_null(key_create(db, "nobody", NULL, "*", 0, err));
	ck_assert_ptr_nonnull(strstr(err, "nobody"));
	ck_assert_ptr_null(key_create(db, "acme", NULL, "everything", 0, err));
	ck_assert_ptr_null(key_create(db, "acme", NULL, "*", 1, err));
	ck_assert_ptr_nonnull(strstr(err, "expired"));
	ck_assert_ptr_null(key_list(db, "nobody", err));
	ck_assert_ptr_null(key_revoke(db, "aaaaaaaaaaaaaaaa", err));
	end();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("tenant");
	TCase *t = tcase_create("tenant");
	SRunner *r;
	int failed;

	servers_start(SERVERS_PG);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_key_is_found_by_its_public_id_and_proved_by_its_secret);
	tcase_add_test(t, an_unknown_key_or_tenant_is_not_found_and_no_failure);
	tcase_add_test(t, a_public_id_shows_its_own_key_only);
	tcase_add_test(t, revoking_and_suspending_show_at_once);
	tcase_add_test(t, lists_name_what_there_is);
	tcase_add_test(t, bad_input_of_an_administrator_is_refused_with_a_sentence);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	servers_stop();
	return failed != 0;
}
