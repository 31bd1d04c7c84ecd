/* auth_apikey.h: the form of an API key, isk_<public id>_<secret>, and the check of its secret. */
#ifndef AUTH_APIKEY_H
#define AUTH_APIKEY_H

#include <stddef.h>

#define APIKEY_PREFIX "isk_"
#define APIKEY_ID_MAX 64u     /* bytes of the public id */
#define APIKEY_SECRET_MIN 16u /* bytes; shorter ones were never issued */
#define APIKEY_SECRET_MAX 256u

struct apikey {
	char id[APIKEY_ID_MAX + 1];
	const char *secret; /* borrowed: into the credential */
	size_t secret_len;
};

/* 1 when the credential means to be an API key, whether or not it is well formed. */
int apikey_claims_to_be(const char *p, size_t n);

/* Splits a key. 1, or 0 when it is malformed. Ids are letters and digits; secrets are letters,
 * digits, '-' and '_' (so the first '_' after the prefix ends the id). */
int apikey_parse(const char *p, size_t n, struct apikey *ret);

/* 1 when SHA-256 of the secret is the stored hash (64 lower-case hex digits), compared in constant
 * time; 0 else, also when the stored text is no hash. */
int apikey_secret_matches(const struct apikey *, const char *stored_hex);

#endif
