/* auth_tenant.c: the state of tenants that tokens and certificates name: asked once, then known for
 * `recheck`. Runs on the loop of the request. */
#include <string.h>

#include "auth.h"

static const struct refusal no_tenant = { INS_EUNAUTHENTICATED,
	"The credential names a tenant that does not exist.", "tenant" };

void
auth_tenant_key(const char *tenant_id, unsigned char out[CACHE_KEY_LEN])
{
	unsigned digits = 0;

	memset(out, 0, CACHE_KEY_LEN);
	for (; *tenant_id != '\0'; tenant_id++) {
		unsigned char c = (unsigned char)*tenant_id;

		if (c == '-')
			continue;
		out[digits / 2] = (unsigned char)(out[digits / 2] << 4 |
		    (c <= '9' ? c - '0' : c - 'a' + 10));
		digits++;
	}
}

int
auth_answer(struct look *look, const struct accepted *a, const struct tenant *t, const char *result)
{
	return t->why != NULL ? auth_refuse(look, t->why) : auth_accept(look, a, t->plan, result);
}

int
auth_ask_tenant(struct look *look, const unsigned char key[CACHE_KEY_LEN], const char *tenant_id)
{
	struct tenant *t = cache_get(look->loop->tenants, key);
	const char *plan = NULL, *status = NULL;
	int r;

	if (t != NULL)
		t->fresh.asking = 1;
	r = ins_tenant_lookup(look->ctx, tenant_id, &plan, &status);
	if (r != 0 && r != -INS_ENOTFOUND) {
		t = cache_get(look->loop->tenants, key);
		if (t == NULL || !auth_holds_on(look, &t->fresh, r))
			return auth_unchecked(look, r);
		ins_clear_error(look->ctx);
		return 0;
	}
	auth_answered(look);
	t = cache_put(look->loop->tenants, key);
	t->fresh.checked_us = ins_mono_us();
	if (r == -INS_ENOTFOUND) {
		ins_clear_error(look->ctx);
		t->why = &no_tenant;
	} else {
		t->why = strcmp(status, "active") == 0 ? NULL : &auth_suspended;
		snprintf(t->plan, sizeof t->plan, "%s", plan);
	}
	return 0;
}
