/*
 * auth_identify.c: from a request's credential to a principal.
 *
 * The path of a credential that was seen before is one digest and one or two table look-ups; it
 * does not suspend and does not allocate. Everything else is slower and rare: a new token has its
 * signature checked, a new key is looked up, and what the database said is asked again when it is
 * older than `recheck`, by one task while the others go on with what is known. While the database
 * is away, what is known holds for `grace`; after that, and for anyone new, the answer is 503: a
 * credential that could not be checked is not a wrong one.
 *
 * Runs on every loop with that loop's tables only. Pointers into the tables are never used across
 * an await. Credentials are never logged, kept or echoed; the tables know their SHA-256 alone.
 */
#include "auth.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <strings.h>

#include "auth_apikey.h"

static const struct refusal no_credential = { INS_EUNAUTHENTICATED,
	"No API key was given. Send it in the header \"Authorization: Bearer KEY\" or "
	"\"X-API-Key: KEY\".",
	"none" };
const struct refusal auth_wrong_key = { INS_EUNAUTHENTICATED, "Incorrect API key provided.",
	"invalid" };
static const struct refusal too_long = { INS_EUNAUTHENTICATED,
	"The credential is longer than 8192 bytes.", "invalid" };
const struct refusal auth_suspended = { INS_EDENIED,
	"This tenant is suspended. Its data is kept; ask the operator.", "suspended" };

static void
drop_accepted(void *value)
{
	free(((struct accepted *)value)->permissions);
}

int
auth_loop_init(struct auth_loop *l, unsigned entries)
{
	EVP_MD_CTX *digest = EVP_MD_CTX_new();

	l->digest = digest;
	l->accepted = cache_new(entries, sizeof(struct accepted), drop_accepted);
	l->refused = cache_new(AUTH_REFUSED_SLOTS, sizeof(struct refused), NULL);
	l->tenants = cache_new(AUTH_TENANT_SLOTS, sizeof(struct tenant), NULL);
	if (digest == NULL || EVP_DigestInit_ex(digest, EVP_sha256(), NULL) != 1 ||
	    l->accepted == NULL || l->refused == NULL || l->tenants == NULL) {
		auth_loop_fini(l);
		return -INS_ENOMEM;
	}
	return 0;
}

void
auth_loop_fini(struct auth_loop *l)
{
	EVP_MD_CTX_free(l->digest);
	cache_free(l->accepted);
	cache_free(l->refused);
	cache_free(l->tenants);
}

ins_str
auth_bearer(ins_str h)
{
	ins_str none = { NULL, 0 };

	/* RFC 9110 §11.1: the scheme is case-insensitive and one or more spaces follow. */
	if (h.n < 8 || strncasecmp(h.p, "Bearer ", 7) != 0)
		return none;
	h.p += 7;
	h.n -= 7;
	while (h.n > 0 && h.p[0] == ' ')
		h.p++, h.n--;
	while (h.n > 0 && h.p[h.n - 1] == ' ')
		h.n--;
	return h.n == 0 ? none : h;
}

static int
digest_of(struct auth_loop *l, ins_str text, unsigned char out[CACHE_KEY_LEN])
{
	EVP_MD_CTX *digest = l->digest;
	unsigned n = 0;

	return EVP_DigestInit_ex(digest, NULL, NULL) == 1 &&
	    EVP_DigestUpdate(digest, text.p, text.n) == 1 &&
	    EVP_DigestFinal_ex(digest, out, &n) == 1 && n == CACHE_KEY_LEN;
}

int
auth_hold(struct look *look)
{
	char *copy;

	if (look->held)
		return 0;
	copy = ins_strndup(look->ctx, look->credential.p, look->credential.n);
	if (copy == NULL)
		return ins_fail(look->ctx, INS_ENOMEM, "out of memory");
	look->credential.p = copy;
	look->held = 1;
	return 0;
}

int
auth_refuse(struct look *look, const struct refusal *why)
{
	ins_add(look->auth->requests, why->result, 1);
	return ins_fail(look->ctx, why->code, "%s", why->text);
}

/* Refuses, and remembers it for a moment: what is sent again and again costs no second look. */
int
auth_refuse_for_now(struct look *look, const struct refusal *why)
{
	struct refused *r;

	cache_remove(look->loop->accepted, look->digest);
	r = cache_put(look->loop->refused, look->digest);
	r->why = *why;
	r->until_us = ins_mono_us() + AUTH_REFUSED_US;
	return auth_refuse(look, why);
}

/* The database did not answer (or the client left while it was asked). */
int
auth_unchecked(struct look *look, int r)
{
	if (r == -INS_ECANCELED)
		return r;
	ins_add(look->auth->requests, "unavailable", 1);
	ins_clear_error(look->ctx);
	return ins_fail(look->ctx, INS_EUNAVAILABLE,
	    "The credential could not be checked just now. Try again in a moment.");
}

int
auth_accept(struct look *look, const struct accepted *a, const char *plan, const char *result)
{
	ins_principal principal = {
		.size = sizeof principal,
		.tenant_id = a->tenant_id,
		.user_id = a->user_id,
		.plan = plan,
		.permissions = a->permissions,
	};

	ins_add(look->auth->requests, result, 1);
	return ins_set_principal(look->ctx, &principal);
}

/* May what is known be used without asking the database? */
int
auth_is_fresh(const struct look *look, const struct freshness *f)
{
	int64_t now = ins_mono_us(), age = now - f->checked_us;

	if (f->checked_us == 0)
		return 0;
	return age < look->auth->recheck_us ||
	    ((f->asking || now < look->loop->away_until_us) && age < look->auth->grace_us);
}

/*
 * A question without an answer costs its asker the whole wait for a connection. So the loop asks no
 * more about those it knows for a while; newcomers still do, and the first answer ends it.
 */
int
auth_holds_on(struct look *look, struct freshness *f, int r)
{
	f->asking = 0;
	if (r == -INS_ECANCELED)
		return 0;
	look->loop->away_until_us = ins_mono_us() + AUTH_AWAY_US;
	return f->checked_us != 0 && ins_mono_us() - f->checked_us < look->auth->grace_us;
}

void
auth_answered(struct look *look)
{
	look->loop->away_until_us = 0;
}

int
auth_identify(ins_ctx *ctx, void *self)
{
	struct auth *auth = self;
	struct look look = { .ctx = ctx, .auth = auth, .loop = ins_local(ctx, auth->host) };
	const struct accepted *a;
	const struct refused *no;
	int r;

	look.credential = auth_bearer(ins_header(ctx, "authorization"));
	/* Where LangGraph's clients put it. Authorization, when it holds a credential, goes first.
	 */
	if (look.credential.n == 0)
		look.credential = ins_header(ctx, "x-api-key");
	if (look.credential.n == 0) {
		r = auth_by_cert(&look);
		return r == -INS_ENOTFOUND ? auth_refuse(&look, &no_credential) : r;
	}
	if (look.credential.n > JWT_TOKEN_MAX)
		return auth_refuse(&look, &too_long);
	if (!digest_of(look.loop, look.credential, look.digest))
		return ins_fail(ctx, INS_EINTERNAL, "the credential could not be hashed");
	a = cache_get(look.loop->accepted, look.digest);
	if (a != NULL)
		return a->is_key ? auth_known_key(&look, a) : auth_known_token(&look, a);
	no = cache_get(look.loop->refused, look.digest);
	if (no != NULL && ins_mono_us() < no->until_us)
		return auth_refuse(&look, &no->why);
	return apikey_claims_to_be(look.credential.p, look.credential.n) ? auth_new_key(&look)
									 : auth_new_token(&look);
}
