/*
 * auth_by_key.c: API keys: what the database says about one, kept for a while.
 *
 * Runs on the loop of the request. The row comes from ins_key_lookup(); the secret is compared here
 * and goes nowhere.
 */
#include <stdlib.h>
#include <string.h>

#include "auth.h"
#include "auth_apikey.h"

static const struct refusal revoked_key = { INS_EUNAUTHENTICATED, "This API key was revoked.",
	"revoked" };
static const struct refusal expired_key = { INS_EUNAUTHENTICATED, "This API key has expired.",
	"expired" };

static const struct refusal *
judge_key(const struct apikey *key, const ins_key_row *row)
{
	/* The secret first: only who holds it may learn more about the key. */
	if (!apikey_secret_matches(key, row->secret_hash))
		return &auth_wrong_key;
	if (row->revoked)
		return &revoked_key;
	if (row->expires_at != 0 && ins_now_us() / 1000000 >= row->expires_at)
		return &expired_key;
	if (strcmp(row->tenant_status, "active") != 0)
		return &auth_suspended;
	return NULL;
}

static int
keep_key(struct look *look, const ins_key_row *row)
{
	const char *user = row->user_id != NULL && *row->user_id ? row->user_id : row->key_id;
	struct accepted *a = cache_put(look->loop->accepted, look->digest);

	a->permissions = strdup(row->permissions);
	if (a->permissions == NULL) {
		cache_remove(look->loop->accepted, look->digest);
		return ins_fail(look->ctx, INS_ENOMEM, "out of memory");
	}
	a->is_key = 1;
	snprintf(a->tenant_id, sizeof a->tenant_id, "%s", row->tenant_id);
	snprintf(a->user_id, sizeof a->user_id, "%s", user);
	snprintf(a->plan, sizeof a->plan, "%s", row->plan);
	a->expires_at = row->expires_at;
	a->fresh.checked_us = ins_mono_us();
	return auth_accept(look, a, a->plan, "key");
}

/* Asks the database about a key, for the first time or again. */
INS_AWAITS
int
auth_new_key(struct look *look)
{
	const struct refusal *why;
	struct accepted *a;
	struct apikey key;
	ins_key_row row;
	int r;

	r = auth_hold(look);
	if (r != 0)
		return r;
	if (!apikey_parse(look->credential.p, look->credential.n, &key))
		return auth_refuse(look, &auth_wrong_key);
	a = cache_get(look->loop->accepted, look->digest);
	if (a != NULL)
		a->fresh.asking = 1;
	r = ins_key_lookup(look->ctx, key.id, &row);
	if (r == 0) /* not for an unknown one: some ids are refused without asking */
		auth_answered(look);
	if (r == 0) {
		why = judge_key(&key, &row);
		return why == NULL ? keep_key(look, &row) : auth_refuse_for_now(look, why);
	}
	if (r == -INS_ENOTFOUND) {
		ins_clear_error(look->ctx);
		return auth_refuse_for_now(look, &auth_wrong_key);
	}
	a = cache_get(look->loop->accepted, look->digest);
	if (a == NULL || !auth_holds_on(look, &a->fresh, r))
		return auth_unchecked(look, r);
	ins_clear_error(look->ctx);
	return auth_accept(look, a, a->plan, "grace");
}

int
auth_known_key(struct look *look, const struct accepted *a)
{
	if (a->expires_at != 0 && ins_now_us() / 1000000 >= a->expires_at)
		return auth_refuse_for_now(look, &expired_key);
	if (auth_is_fresh(look, &a->fresh))
		return auth_accept(look, a, a->plan, "cached");
	return auth_new_key(look);
}
