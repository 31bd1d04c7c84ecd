/*
 * tenant_admin.c: the system principal's work: making tenants, making and revoking keys.
 *
 * Blocking libpq under the role insula_system, so it runs on the control thread or in the CLI and
 * never on a loop. Nothing that a tenant's credential reaches calls it. Errors are sentences for
 * the operator.
 */
#include <libpq-fe.h>

#include "tenant/tenant.h"

#define TENANT_ERR 256
#define TENANT_DB_MAGIC 0x54454e44u
#define TENANT_COLUMNS "tenant_id, name, plan, status, " RFC3339("created_at") " AS created_at"
#define KEY_COLUMNS                                                                    \
	"k.public_id, k.tenant_id, t.name AS tenant, k.name, k.permissions, " RFC3339( \
	    "k.created_at") " AS created_at, " RFC3339("k.expires_at") " AS expires_at, " RFC3339("k.revoked_at") " AS revoked_at"
#define RFC3339(c) "to_char(" c " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"

struct tenant_db {
	uint32_t magic;
	PGconn *pg;
};

static const char sql_create[] =
    "INSERT INTO tenants (name, plan) VALUES ($1, $2) RETURNING " TENANT_COLUMNS;
static const char sql_get[] = "SELECT " TENANT_COLUMNS
			      " FROM tenants WHERE name = $1 OR tenant_id::text = lower($1)";
static const char sql_list[] = "SELECT " TENANT_COLUMNS " FROM tenants ORDER BY name";
static const char sql_status[] =
    "UPDATE tenants SET status = $2 WHERE name = $1 OR tenant_id::text = lower($1) "
    "RETURNING " TENANT_COLUMNS;
static const char sql_key_create[] =
    "WITH k AS (INSERT INTO api_keys (public_id, tenant_id, name, secret_hash, permissions, "
    "expires_at) "
    "SELECT $1, tenant_id, $3, $4, $5, to_timestamp(nullif($6::bigint, 0)) FROM tenants "
    "WHERE name = $2 OR tenant_id::text = lower($2) RETURNING *) "
    "SELECT " KEY_COLUMNS " FROM k JOIN tenants t USING (tenant_id)";
static const char sql_key_list[] =
    "SELECT " KEY_COLUMNS " FROM api_keys k JOIN tenants t USING (tenant_id) "
    "WHERE $1::text IS NULL OR t.name = $1 OR t.tenant_id::text = lower($1) "
    "ORDER BY t.name, k.created_at, k.public_id";
static const char sql_key_revoke[] =
    "WITH k AS (UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE public_id = $1 "
    "RETURNING *) SELECT " KEY_COLUMNS " FROM k JOIN tenants t USING (tenant_id)";

static void *
fail_pg(PGconn *pg, const PGresult *res, char err[TENANT_ERR])
{
	const char *m = res == NULL ? NULL : PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

	if (m == NULL)
		m = PQerrorMessage(pg);
	snprintf(err, TENANT_ERR, "PostgreSQL: %.*s", (int)strcspn(m, "\n"), m);
	return NULL;
}

struct tenant_db *
tenant_db_open(const char *url, char err[TENANT_ERR])
{
	PGconn *pg = PQconnectdb(url);
	struct tenant_db *db;
	PGresult *res;

	if (PQstatus(pg) != CONNECTION_OK) {
		fail_pg(pg, NULL, err);
		PQfinish(pg);
		return NULL;
	}
	res = PQexec(pg, "SET ROLE insula_system");
	if (PQresultStatus(res) != PGRES_COMMAND_OK) {
		fail_pg(pg, res, err);
		PQclear(res);
		PQfinish(pg);
		return NULL;
	}
	PQclear(res);
	db = base_alloc(sizeof *db);
	db->magic = TENANT_DB_MAGIC;
	db->pg = pg;
	return db;
}

void
tenant_db_close(struct tenant_db *db)
{
	if (db == NULL)
		return;
	CHECK_OBJ(db, TENANT_DB_MAGIC);
	PQfinish(db->pg);
	db->magic = 0;
	free(db);
}

/* An array of objects, a member per column; NULL and err when it fails. conflict: what to say of a
 * unique violation. */
static json_t *
query(struct tenant_db *db, const char *sql, int n, const char *const *args, const char *conflict,
    char err[TENANT_ERR])
{
	const char *state;
	json_t *list, *row;
	PGresult *res;
	int i, j;

	CHECK_OBJ(db, TENANT_DB_MAGIC);
	res = PQexecParams(db->pg, sql, n, NULL, args, NULL, NULL, 0);
	if (PQresultStatus(res) != PGRES_TUPLES_OK) {
		state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
		if (state != NULL && strcmp(state, "23505") == 0 && conflict != NULL)
			snprintf(err, TENANT_ERR, "%s", conflict);
		else
			fail_pg(db->pg, res, err);
		PQclear(res);
		return NULL;
	}
	list = json_array();
	for (i = 0; i < PQntuples(res); i++) {
		row = json_object();
		for (j = 0; j < PQnfields(res); j++)
			json_object_set_new(row, PQfname(res, j),
			    PQgetisnull(res, i, j) ? json_null()
						   : json_string(PQgetvalue(res, i, j)));
		json_array_append_new(list, row);
	}
	PQclear(res);
	return list;
}

/* The one row, or NULL and the sentence `none`. */
static json_t *
query_one(struct tenant_db *db, const char *sql, int n, const char *const *args,
    const char *conflict, const char *none, const char *what, char err[TENANT_ERR])
{
	json_t *list = query(db, sql, n, args, conflict, err), *row;

	if (list == NULL)
		return NULL;
	row = json_incref(json_array_get(list, 0));
	json_decref(list);
	if (row == NULL)
		snprintf(err, TENANT_ERR, none, what);
	return row;
}

static int
name_valid(const char *name)
{
	size_t n = strlen(name);

	return n >= 1 && n <= 63 && name[0] != '-' &&
	    strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

json_t *
tenant_create(struct tenant_db *db, const char *name, const char *plan, char err[TENANT_ERR])
{
	const char *args[] = { name, plan == NULL ? "free" : plan };
	char conflict[128];

	if (!name_valid(name)) {
		snprintf(err, TENANT_ERR,
		    "\"%.80s\" is no name of a tenant: 1 to 63 of a-z, 0-9 and -, not - first",
		    name);
		return NULL;
	}
	if (strlen(args[1]) < 1 || strlen(args[1]) > 32 ||
	    strspn(args[1], "abcdefghijklmnopqrstuvwxyz0123456789_-") != strlen(args[1])) {
		snprintf(err, TENANT_ERR,
		    "\"%.80s\" is no name of a plan: 1 to 32 of a-z, 0-9, _ and -", args[1]);
		return NULL;
	}
	snprintf(conflict, sizeof conflict, "there is a tenant \"%s\" already", name);
	return query_one(db, sql_create, 2, args, conflict, "%s was not made", name, err);
}

static const char no_tenant[] = "there is no tenant \"%.80s\"";

json_t *
tenant_get(struct tenant_db *db, const char *name_or_id, char err[TENANT_ERR])
{
	const char *args[] = { name_or_id };

	return query_one(db, sql_get, 1, args, NULL, no_tenant, name_or_id, err);
}

json_t *
tenant_list(struct tenant_db *db, char err[TENANT_ERR])
{
	return query(db, sql_list, 0, NULL, NULL, err);
}

json_t *
tenant_set_status(
    struct tenant_db *db, const char *name_or_id, const char *status, char err[TENANT_ERR])
{
	const char *args[] = { name_or_id, status };

	if (strcmp(status, "active") != 0 && strcmp(status, "suspended") != 0 &&
	    strcmp(status, "cancelled") != 0) {
		snprintf(err, TENANT_ERR,
		    "\"%.80s\" is no state of a tenant: active, suspended, cancelled", status);
		return NULL;
	}
	return query_one(db, sql_status, 2, args, NULL, no_tenant, name_or_id, err);
}

json_t *
key_create(struct tenant_db *db, const char *tenant, const char *name, const char *permissions,
    int64_t expires_at, char err[TENANT_ERR])
{
	char key[4 + TENANT_KEY_PUBLIC + 1 + TENANT_KEY_SECRET + 1];
	char public_id[TENANT_KEY_PUBLIC + 1], hash[65], expires[24];
	const char *args[] = { public_id, tenant, name == NULL ? "" : name, hash,
		permissions == NULL ? "" : permissions, expires };
	json_t *row;

	if (!tenant_permissions_valid(args[4])) {
		snprintf(err, TENANT_ERR,
		    "permissions are words like documents:read, documents:* or *, with spaces "
		    "between, %d bytes at most",
		    TENANT_PERMISSIONS_MAX);
		return NULL;
	}
	if (strlen(args[2]) > 128) {
		snprintf(err, TENANT_ERR, "a key's name has 128 bytes at most");
		return NULL;
	}
	if (expires_at != 0 && expires_at <= base_now_us() / 1000000) {
		snprintf(err, TENANT_ERR, "the key would have expired already");
		return NULL;
	}
	tenant_key_make(key, public_id, hash);
	snprintf(expires, sizeof expires, "%lld", (long long)expires_at);
	row = query_one(db, sql_key_create, 6, args, NULL, no_tenant, tenant, err);
	if (row != NULL)
		json_object_set_new(row, "key", json_string(key));
	return row;
}

json_t *
key_list(struct tenant_db *db, const char *tenant, char err[TENANT_ERR])
{
	const char *args[] = { tenant };
	json_t *t;

	if (tenant != NULL) {
		t = tenant_get(db, tenant, err);
		if (t == NULL)
			return NULL;
		json_decref(t);
	}
	return query(db, sql_key_list, 1, args, NULL, err);
}

json_t *
key_revoke(struct tenant_db *db, const char *public_id, char err[TENANT_ERR])
{
	const char *args[] = { public_id };

	return query_one(
	    db, sql_key_revoke, 1, args, NULL, "there is no key \"%.80s\"", public_id, err);
}
