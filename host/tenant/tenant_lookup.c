/*
 * tenant_lookup.c: finds a key or a tenant for plugins/auth, on a loop, before a tenant is known.
 *
 * No statement passes row-level security for it. A key is visible by its public id alone, which a
 * policy compares with a setting of that one group (sql/0001_core.sql); a tenant sees itself.
 */
#include <ctype.h>

#include "data/pg.h"
#include "tenant/tenant.h"

static struct ins_stmt *by_key, *by_id;

static const char sql_by_key[] =
    "SELECT k.tenant_id, k.public_id, coalesce(k.user_id::text, k.public_id), t.plan, t.status, "
    "k.permissions, k.secret_hash, coalesce(extract(epoch FROM k.expires_at)::bigint, 0), "
    "k.revoked_at IS NOT NULL "
    "FROM api_keys k JOIN tenants t USING (tenant_id) WHERE k.public_id = $1";
static const char sql_by_id[] = "SELECT plan, status FROM tenants WHERE tenant_id = $1::uuid";

void
tenant_lookup_init(void)
{
	char err[160];

	if (by_key != NULL)
		return;
	by_key = pg_stmt_new(sql_by_key, err);
	by_id = pg_stmt_new(sql_by_id, err);
	ASSERT(by_key != NULL && by_id != NULL);
}

void
tenant_lookup_fini(void)
{
	pg_stmt_free(by_key);
	pg_stmt_free(by_id);
	by_key = by_id = NULL;
}

static int
uuid_valid(const char *z)
{
	size_t i;

	if (strlen(z) != 36)
		return 0;
	for (i = 0; i < 36; i++)
		if (i == 8 || i == 13 || i == 18 || i == 23 ? z[i] != '-'
							    : !isxdigit((unsigned char)z[i]))
			return 0;
	return 1;
}

int
tenant_key_lookup(struct ins_ctx *ctx, const char *public_id, ins_key_row *ret)
{
	ins_arg arg = ins_text(public_id);
	ins_call call = { by_key, &arg, 1 };
	struct ins_rows *rows;
	int r;

	if (strlen(public_id) != TENANT_KEY_PUBLIC)
		return -INS_ENOTFOUND;
	r = pg_batch_with(ctx, PG_APP, "app.key_public_id", public_id, &call, 1, &rows);
	if (r != 0)
		return r;
	if (pg_rows_count(rows) == 0)
		return -INS_ENOTFOUND;
	memset(ret, 0, sizeof *ret);
	ret->size = sizeof *ret;
	ret->tenant_id = pg_value(rows, 0, 0, NULL);
	ret->key_id = pg_value(rows, 0, 1, NULL);
	ret->user_id = pg_value(rows, 0, 2, NULL);
	ret->plan = pg_value(rows, 0, 3, NULL);
	ret->tenant_status = pg_value(rows, 0, 4, NULL);
	ret->permissions = pg_value(rows, 0, 5, NULL);
	ret->secret_hash = pg_value(rows, 0, 6, NULL);
	ret->expires_at = strtoll(pg_value(rows, 0, 7, NULL), NULL, 10);
	ret->revoked = pg_value(rows, 0, 8, NULL)[0] == 't';
	return 0;
}

int
tenant_lookup(
    struct ins_ctx *ctx, const char *tenant_id, const char **ret_plan, const char **ret_status)
{
	ins_arg arg = ins_text(tenant_id);
	ins_call call = { by_id, &arg, 1 };
	struct ins_rows *rows;
	int r;

	if (!uuid_valid(tenant_id))
		return -INS_ENOTFOUND;
	r = pg_batch(ctx, PG_APP, tenant_id, NULL, &call, 1, &rows);
	if (r != 0)
		return r;
	if (pg_rows_count(rows) == 0)
		return -INS_ENOTFOUND;
	*ret_plan = pg_value(rows, 0, 0, NULL);
	*ret_status = pg_value(rows, 0, 1, NULL);
	return 0;
}
