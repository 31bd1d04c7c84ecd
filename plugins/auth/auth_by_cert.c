/*
 * auth_by_cert.c: clients that show a certificate and no other credential.
 *
 * The listener has verified it; here it only gets a tenant, a user and permissions. Nothing is
 * cached but the tenant: a certificate is looked up among a few hundred texts, and its end is
 * compared at every request, since a connection may outlive it.
 */
#include <string.h>

#include "auth.h"

static const struct refusal not_listed = { INS_EUNAUTHENTICATED,
	"This client certificate stands for nobody here. Send an API key.", "invalid" };
static const struct refusal ended = { INS_EUNAUTHENTICATED, "The client certificate has expired.",
	"expired" };

int
auth_by_cert(struct look *look)
{
	ins_peer_cert cert;
	const struct cert_client *client;
	struct accepted a = { .permissions = NULL };
	unsigned char key[CACHE_KEY_LEN];
	const struct tenant *t;
	int r = ins_client_cert(look->ctx, &cert);

	if (r != 0)
		return r;
	client = certs_find(&look->auth->certs, &cert);
	if (client == NULL)
		return auth_refuse(look, &not_listed);
	if (ins_now_us() / 1000000 >= cert.not_after)
		return auth_refuse(look, &ended);
	auth_tenant_key(client->tenant_id, key);
	t = cache_get(look->loop->tenants, key);
	if (t == NULL || !auth_is_fresh(look, &t->fresh)) {
		r = auth_ask_tenant(look, key, client->tenant_id);
		if (r != 0)
			return r;
		t = cache_get(look->loop->tenants, key);
	}
	if (t == NULL)
		return ins_fail(look->ctx, INS_ENOMEM, "out of memory");
	snprintf(a.tenant_id, sizeof a.tenant_id, "%s", client->tenant_id);
	snprintf(a.user_id, sizeof a.user_id, "%s", client->user);
	a.permissions = (char *)(uintptr_t)client->permissions;
	return auth_answer(look, &a, t, "certificate");
}
