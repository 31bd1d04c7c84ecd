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
	auth_tenant_key(a->tenant_id, key);
	t = cache_get(look->loop->tenants, key);
	if (t != NULL && auth_is_fresh(look, &t->fresh))
		return auth_answer(look, a, t, "cached");
	memcpy(tenant_id, a->tenant_id, sizeof tenant_id);
	r = auth_hold(look);
	if (r == 0)
		r = auth_ask_tenant(look, key, tenant_id);
	if (r != 0)
		return r;
	a = cache_get(look->loop->accepted, look->digest);
	t = cache_get(look->loop->tenants, key);
	/* Both may have been displaced while the database was asked. */
	return a == NULL || t == NULL ? auth_new_token(look) : auth_answer(look, a, t, "cached");
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
	auth_tenant_key(id.tenant_id, key);
	t = cache_get(look->loop->tenants, key);
	if (t == NULL || !auth_is_fresh(look, &t->fresh)) {
		r = auth_ask_tenant(look, key, id.tenant_id);
		if (r != 0)
			return r;
		t = cache_get(look->loop->tenants, key);
	}
	a = keep_token(look, &id);
	if (a == NULL || t == NULL)
		return ins_fail(look->ctx, INS_ENOMEM, "out of memory");
	return auth_answer(look, a, t, "token");
}
