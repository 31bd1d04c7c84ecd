/* auth_jwt.h: the compact form of a JSON Web Token and its claims: pure functions, no clock of
 * their own, no I/O. */
#ifndef AUTH_JWT_H
#define AUTH_JWT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#define JWT_TOKEN_MAX 8192u       /* bytes of the compact form */
#define JWT_DEPTH_MAX 8u          /* of header and claims, before a recursive parser sees them */
#define JWT_KID_MAX 128u          /* bytes */
#define JWT_SUBJECT_MAX 128u      /* bytes: what ins_principal takes */
#define JWT_PERMISSIONS_MAX 2048u /* bytes of the list that is kept */

/* What a token can be refused for. Each has one sentence for the client: jwt_text(). */
enum jwt_verdict {
	JWT_OK = 0,
	JWT_MALFORMED,   /* not three base64url parts, not JSON, duplicate members, too deep */
	JWT_UNSUPPORTED, /* alg not one of ours ("none" included), crit, encrypted, b64 */
	JWT_UNVERIFIED, /* no such kid, not the key's alg, wrong signature: told alike on purpose */
	JWT_EXPIRED,
	JWT_NOT_YET,
	JWT_NO_EXPIRY,
	JWT_ISSUER,
	JWT_AUDIENCE,
	JWT_TENANT,      /* the tenant claim is missing or no uuid */
	JWT_SUBJECT,     /* sub is no text, or too long */
	JWT_PERMISSIONS, /* neither text nor a list of texts, or too long */
};

enum jwt_algorithm { JWT_HS256 = 1, JWT_RS256, JWT_ES256 };

/* "HS256", "RS256", "ES256" -> jwt_algorithm; 0 for everything else, "none" first of all. */
int jwt_algorithm_named(const char *name);

struct jwt_head {
	int algorithm;             /* enum jwt_algorithm */
	char kid[JWT_KID_MAX + 1]; /* "" when the token has none */
};

/*
 * Takes a compact token apart. On JWT_OK *ret_claims is a new reference to the (not yet verified!)
 * claims. Strict: exactly three parts, the base64url alphabet without padding and with zero spare
 * bits, objects without duplicate members, at most JWT_DEPTH_MAX deep.
 */
enum jwt_verdict jwt_parse(
    const char *token, size_t n, struct jwt_head *ret_head, json_t **ret_claims);

/* What a verified token must say, from the configuration. */
struct jwt_rules {
	const char *issuer, *audience;
	const char *tenant_claim, *permissions_claim;
	int64_t leeway; /* seconds */
};

struct jwt_identity {
	char tenant_id[37];
	char subject[JWT_SUBJECT_MAX + 1];         /* "" when the token has no sub */
	char permissions[JWT_PERMISSIONS_MAX + 1]; /* space separated */
	int64_t expires_at;                        /* seconds since 1970, leeway added */
};

/* Checks exp (required), nbf, iss, aud and reads who it is. now: seconds since 1970. */
enum jwt_verdict jwt_check(
    const json_t *claims, const struct jwt_rules *, int64_t now, struct jwt_identity *ret);

const char *jwt_text(enum jwt_verdict);

/* A canonical uuid (8-4-4-4-12 hex digits, either case); out gets it in lower case. 1 or 0. */
int jwt_uuid(const char *z, char out[37]);

/* The bytes of a base64url text (RFC 4648 §5, no padding), or -1. out has room for n / 4 * 3 + 2.
 */
int64_t jwt_base64url(const char *p, size_t n, unsigned char *out);

#endif
