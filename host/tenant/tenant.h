/*
 * tenant.h: tenants and API keys.
 *
 * The admin half (tenant_admin.c) is blocking libpq as the login role, which takes the role
 * insula_system: for the CLI, `insula dev` and the admin socket. The lookup half (tenant_lookup.c)
 * serves plugins/auth on a loop.
 */
#ifndef HOST_TENANT_H
#define HOST_TENANT_H

#include <insula/insula.h>

#include "loop/task.h"

#define TENANT_PERMISSIONS_MAX 1024 /* bytes of a key's permissions */
#define TENANT_KEY_PUBLIC 16        /* characters of a key's public id, base32: 80 bits */
#define TENANT_KEY_SECRET 52        /* of its secret: 256 bits and 4 of padding */

struct tenant_db; /* a blocking connection as insula_system */
struct tenant_db *tenant_db_open(const char *url, char err[256]);
void tenant_db_close(struct tenant_db *);
/* Each returns a JSON value (new), or NULL and err. A tenant: {tenant_id, name, plan, status,
 * created_at}; name_or_id is its name or its uuid. */
json_t *tenant_create(struct tenant_db *, const char *name, const char *plan, char err[256]);
json_t *tenant_get(struct tenant_db *, const char *name_or_id, char err[256]);
json_t *tenant_list(struct tenant_db *, char err[256]); /* an array, by name */
/* active, suspended, cancelled */
json_t *tenant_set_status(
    struct tenant_db *, const char *name_or_id, const char *status, char err[256]);
/* A key: {public_id, tenant_id, tenant, name, permissions, created_at, expires_at, revoked_at};
 * times are RFC 3339 or null. permissions: space separated, checked for form. expires_at: seconds
 * since 1970, 0 = never. The answer of key_create holds "key", shown this once: isk_<public
 * id>_<secret>. */
json_t *key_create(struct tenant_db *, const char *tenant, const char *name,
    const char *permissions, int64_t expires_at, char err[256]);
json_t *key_list(struct tenant_db *, const char *tenant, char err[256]); /* NULL: of all tenants */
json_t *key_revoke(struct tenant_db *, const char *public_id, char err[256]);

/* 1 if every word is area:verb, area:* or *. */
int tenant_permissions_valid(const char *permissions);
/* A fresh key, the parts of its text, and the lower-case hex SHA-256 of the secret. */
void tenant_key_make(char key[4 + TENANT_KEY_PUBLIC + 1 + TENANT_KEY_SECRET + 1],
    char public_id[TENANT_KEY_PUBLIC + 1], char secret_hash[65]);

void tenant_lookup_init(void); /* control thread: registers the statements; after pg_init() */
void tenant_lookup_fini(void);
/*
 * The key with this public id and its tenant; strings in the ctx's arena. -INS_ENOTFOUND (the task
 * has not failed by that: what to say is auth's matter), or pg_batch()'s failures. Says nothing of
 * validity: the caller compares the hash, the expiry and the states.
 */
int tenant_key_lookup(struct ins_ctx *, const char *public_id, ins_key_row *ret);
/* As above for a tenant's id; also -INS_ENOTFOUND when it is not a uuid. */
int tenant_lookup(
    struct ins_ctx *, const char *tenant_id, const char **ret_plan, const char **ret_status);

#endif
