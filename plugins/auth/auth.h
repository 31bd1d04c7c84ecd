/* auth.h: what the files of this plugin share. */
#ifndef AUTH_H
#define AUTH_H

#include <insula/auth.h>

#include "auth_cache.h"
#include "auth_certs.h"
#include "auth_keys.h"

#define AUTH_REFUSED_SLOTS 1024u /* credentials that were refused, per loop */
#define AUTH_TENANT_SLOTS 1024u  /* tenants that tokens named, per loop */
#define AUTH_AWAY_US 5000000     /* after a question without an answer */
#define AUTH_REFUSED_US 1000000  /* a refusal is remembered for a second at most */

struct conf {
	json_t *keys, *clients;
	int64_t recheck, grace; /* ms */
	int64_t cache_entries;
};

struct auth {
	ins_host *host;
	struct jwt_keys keys;
	struct certs certs;
	int64_t recheck_us, grace_us;
	unsigned cache_entries;
	ins_metric *requests;
	ins_auth service;
};

/* Until when an answer of the database is good, and who asks it again. */
struct freshness {
	int64_t checked_us; /* monotonic; 0 = never */
	int asking;         /* a task is asking now; the others go on with what is known */
};

struct accepted {
	int is_key;
	char tenant_id[37], user_id[129];
	char plan[33];          /* a key's; a token's is its tenant's */
	char *permissions;      /* heap */
	int64_t expires_at;     /* seconds since 1970, 0 = never */
	struct freshness fresh; /* a key's; a token's is its tenant's */
};

struct refusal {
	int code;           /* INS_E* */
	const char *text;   /* for the client; static */
	const char *result; /* the metric's label; static */
};

struct refused {
	struct refusal why;
	int64_t until_us;
};

struct tenant {
	char plan[33];
	const struct refusal *why; /* NULL = active */
	struct freshness fresh;
};

/* One loop's. */
struct auth_loop {
	struct cache *accepted, *refused, *tenants;
	int64_t
	    away_until_us; /* the database did not answer: the known are not asked about before */
	void *digest; /* EVP_MD_CTX: made once, since fetching a digest costs more than using it */
};

int auth_loop_init(struct auth_loop *, unsigned entries); /* 0 or -INS_ENOMEM */
void auth_loop_fini(struct auth_loop *);

/* What a task knows about the credential it looks at. */
struct look {
	ins_ctx *ctx;
	struct auth *auth;
	struct auth_loop *loop;
	ins_str credential; /* in the request until auth_hold(), then in the task's arena */
	int held;
	unsigned char digest[CACHE_KEY_LEN];
};

extern const struct refusal auth_wrong_key, auth_suspended;

/* A credential that the table knows, and one that it does not. */
INS_AWAITS
int auth_known_key(struct look *, const struct accepted *);
INS_AWAITS
int auth_new_key(struct look *);
INS_AWAITS
int auth_known_token(struct look *, const struct accepted *);
INS_AWAITS
int auth_new_token(struct look *);

/* From the certificate that the client showed; -INS_ENOTFOUND: it showed none. */
INS_AWAITS
int auth_by_cert(struct look *);

/* A uuid as a key of the tenants' table. */
void auth_tenant_key(const char *tenant_id, unsigned char out[CACHE_KEY_LEN]);
/* Asks the database about a tenant and keeps the answer. 0: it is known now. The tables may have
 * changed all over when this returns. */
INS_AWAITS
int auth_ask_tenant(struct look *, const unsigned char key[CACHE_KEY_LEN], const char *tenant_id);
/* What is known of the tenant decides. */
int auth_answer(struct look *, const struct accepted *, const struct tenant *, const char *result);

/* Copies the credential (NUL-terminated) for use across awaits: the header goes when the client
 * leaves. 0 or -INS_ENOMEM. */
int auth_hold(struct look *);

/* Fails the task; _for_now also remembers it, so that what is sent again and again costs no second
 * look. */
int auth_refuse(struct look *, const struct refusal *);
int auth_refuse_for_now(struct look *, const struct refusal *);
/* The database did not answer with r, or the client left meanwhile. */
int auth_unchecked(struct look *, int r);
int auth_accept(struct look *, const struct accepted *, const char *plan, const char *result);

/* May what is known be used without asking the database? */
int auth_is_fresh(const struct look *, const struct freshness *);
/* After a question that failed with r: may what is known be used all the same? */
int auth_holds_on(struct look *, struct freshness *, int r);
/* The database answered. */
void auth_answered(struct look *);

/* ins_auth.identify */
INS_AWAITS
int auth_identify(ins_ctx *, void *self);

/* The credential of an Authorization header: {NULL, 0} unless it is one of the Bearer scheme. Pure.
 */
ins_str auth_bearer(ins_str header);

#endif
