/* auth_certs.h: whom client certificates stand for, from the configuration. Pure; read-only once
 * loaded: all loops share them. */
#ifndef AUTH_CERTS_H
#define AUTH_CERTS_H

#include <insula/insula.h>

#include "auth_keys.h"

#define CERTS_MAX 256u

/* Strings are borrowed from the configuration. */
struct cert_client {
	const char *name; /* "URI:...", "DNS:...", "email:...", "subject:...", "sha256:..." */
	const char *tenant_id, *user, *permissions;
};

struct certs {
	unsigned n;
	struct cert_client *client;
};

/* Reads the list of the option `clients` (NULL: certificates stand for nobody). 0, or -1 and err.
 */
int certs_load(struct certs *, const json_t *list, struct keys_error *err);
void certs_free(struct certs *);

/* The first entry that one of the certificate's names fits, or NULL. Whole names are compared. */
const struct cert_client *certs_find(const struct certs *, const ins_peer_cert *);

#endif
