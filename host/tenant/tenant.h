/*
 * tenant.h: tenants and API keys.
 *
 * The admin half is blocking libpq as the login role, which takes the role insula_system: for the
 * CLI, `insula dev` and the admin socket. The lookup half serves plugins/auth on a loop.
 */
#ifndef HOST_TENANT_H
#define HOST_TENANT_H

#include <insula/insula.h>

#include "loop/task.h"

struct tenant_db; /* a blocking connection as insula_system */
struct tenant_db *tenant_db_open(const char *url, char err[256]);
void tenant_db_close(struct tenant_db *);
/* Each returns a JSON value (new), or NULL and err. */
json_t *tenant_create(struct tenant_db *, const char *name, const char *plan, char err[256]);
json_t *tenant_list(struct tenant_db *, char err[256]);
json_t *tenant_set_status(
    struct tenant_db *, const char *name_or_id, const char *status, char err[256]);
/* permissions: space separated, checked for form. The answer holds "key", shown this once:
 * isk_<public id>_<secret>. */
json_t *key_create(struct tenant_db *, const char *tenant, const char *name,
    const char *permissions, int64_t expires_at, char err[256]);
json_t *key_list(struct tenant_db *, const char *tenant, char err[256]);
json_t *key_revoke(struct tenant_db *, const char *public_id, char err[256]);

void tenant_lookup_init(void); /* registers the statements */
int tenant_key_lookup(struct ins_ctx *, const char *public_id, ins_key_row *ret);
int tenant_lookup(
    struct ins_ctx *, const char *tenant_id, const char **ret_plan, const char **ret_status);

#endif
