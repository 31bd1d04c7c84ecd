/*
 * auth_by_token.c: signed tokens: verified once, then known by their digest until they expire.
 *
 * Runs on the loop of the request. A token proves itself; only its tenant is looked up, and what
 * was found serves all tokens of that tenant. The alg of the header is compared with the one that
 * the key is pinned to before libjwt sees the token, since libjwt would believe the header.
 */
#include <stdlib.h>
#include <string.h>

#include "auth.h"

static const struct refusal no_tenant = { INS_EUNAUTHENTICATED,
	"The token names a tenant that does not exist.", "tenant" };

/* A uuid as a table's key. */
static void
tenant_key(const char *tenant_id, unsigned char out[CACHE_KEY_LEN])
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

static int
answer(struct look *look, const struct accepted *a, const struct tenant *t, const char *result)
{
	return t->why != NULL ? auth_refuse(look, t->why) : auth_accept(look, a, t->plan, result);
}

/*
 * Asks the database about a tenant and keeps the answer. 0: it is known now. The tables may have
 * changed all over when this returns.
 */
INS_AWAITS
static int
ask_tenant(struct look *look, const unsigned char key[CACHE_KEY_LEN], const char *tenant_id)
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

int
auth_known_token(struct look *look, const struct accepted *a)
{
	unsigned char key[CACHE_KEY_LEN];
	char tenant_id[sizeof a->tenant_id];
	const struct tenant *t;
	int r;

	if (ins_now_us() / 1000000 >= a->expires_at) {
		cache_remove(look->loop->accepted, look->digest);
		return auth_new_token(look); /* which says so */
	}
	tenant_key(a->tenant_id, key);
	t = cache_get(look->loop->tenants, key);
	if (t != NULL && auth_is_fresh(look, &t->fresh))
		return answer(look, a, t, "cached");
	memcpy(tenant_id, a->tenant_id, sizeof tenant_id);
	r = auth_hold(look);
	if (r == 0)
		r = ask_tenant(look, key, tenant_id);
	if (r != 0)
		return r;
	a = cache_get(look->loop->accepted, look->digest);
	t = cache_get(look->loop->tenants, key);
	/* Both may have been displaced while the database was asked. */
	return a == NULL || t == NULL ? auth_new_token(look) : answer(look, a, t, "cached");
}

static enum jwt_verdict
verify(struct look *look, struct jwt_identity *ret)
{
	const struct jwt_key *key;
	enum jwt_verdict verdict;
	struct jwt_head head;
	json_t *claims;

	verdict = jwt_parse(look->credential.p, look->credential.n, &head, &claims);
	if (verdict != JWT_OK)
		return verdict;
	key = keys_find(&look->auth->keys, head.kid);
	if (key == NULL || key->algorithm != head.algorithm ||
	    !keys_verify(key, look->credential.p))
		verdict = JWT_UNVERIFIED;
	else
		verdict = jwt_check(claims, &key->rules, ins_now_us() / 1000000, ret);
	json_decref(claims);
	return verdict;
}

static struct accepted *
keep_token(struct look *look, const struct jwt_identity *id)
{
	struct accepted *a = cache_put(look->loop->accepted, look->digest);

	a->permissions = strdup(id->permissions);
	if (a->permissions == NULL) {
		cache_remove(look->loop->accepted, look->digest);
		return NULL;
	}
	memcpy(a->tenant_id, id->tenant_id, sizeof a->tenant_id);
	memcpy(a->user_id, id->subject, sizeof id->subject);
	a->expires_at = id->expires_at;
	return a;
}

int
auth_new_token(struct look *look)
{
	struct refusal why = { INS_EUNAUTHENTICATED, NULL, "invalid" };
	unsigned char key[CACHE_KEY_LEN];
	struct jwt_identity id;
	const struct accepted *a;
	const struct tenant *t;
	enum jwt_verdict verdict;
	int r;

	/* Without dots it was never meant as a token: another service's key, most likely. */
	if (look->auth->keys.n == 0 || memchr(look->credential.p, '.', look->credential.n) == NULL)
		return auth_refuse(look, &auth_wrong_key);
	r = auth_hold(look);
	if (r != 0)
		return r;
	verdict = verify(look, &id);
	if (verdict != JWT_OK) {
		why.text = jwt_text(verdict);
		if (verdict == JWT_EXPIRED)
			why.result = "expired";
		return auth_refuse_for_now(look, &why);
	}
	tenant_key(id.tenant_id, key);
	t = cache_get(look->loop->tenants, key);
	if (t == NULL || !auth_is_fresh(look, &t->fresh)) {
		r = ask_tenant(look, key, id.tenant_id);
		if (r != 0)
			return r;
		t = cache_get(look->loop->tenants, key);
	}
	a = keep_token(look, &id);
	if (a == NULL || t == NULL)
		return ins_fail(look->ctx, INS_ENOMEM, "out of memory");
	return answer(look, a, t, "token");
}
