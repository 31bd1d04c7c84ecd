/* auth_keys.h: the keys that tokens are verified with, from the configuration. Read-only once
 * loaded: all loops share them. */
#ifndef AUTH_KEYS_H
#define AUTH_KEYS_H

#include "auth_jwt.h"

#define KEYS_MAX 64u
#define KEYS_FILE_MAX 65536u   /* bytes of a PEM file */
#define KEYS_SECRET_MIN 32u    /* bytes: RFC 7518 §3.2 wants the digest's length at least */
#define KEYS_RSA_BITS_MIN 2048 /* RFC 7518 §3.3 */
#define KEYS_LEEWAY_MAX 300    /* seconds */

struct jwt_key {
	char kid[JWT_KID_MAX + 1]; /* "" for tokens without a kid */
	int algorithm;             /* pinned: the only one this key verifies */
	unsigned char *bytes;      /* the secret, or the PEM text */
	size_t len;
	struct jwt_rules rules;
};

struct jwt_keys {
	unsigned n;
	struct jwt_key key[KEYS_MAX];
};

/* An error of one entry: where ("keys[1].alg") and what is wrong with it. */
struct keys_error {
	char where[64], text[256];
};

/* Reads the list of the option `keys` (NULL: no tokens are accepted). Strings are borrowed from it.
 * 0, or -1 and err. */
int keys_load(struct jwt_keys *, const json_t *list, struct keys_error *err);
void keys_free(struct jwt_keys *);

/* The key of a kid ("" finds the one without), or NULL. */
const struct jwt_key *keys_find(const struct jwt_keys *, const char *kid);

/* Checks the signature of a NUL-terminated token whose alg was found equal to the key's. 1 or 0. */
int keys_verify(const struct jwt_key *, const char *token);

/* A span of time as written in YAML: 30, "30s", "2m", "1500ms" (rounded up). Seconds, or -1. */
int64_t keys_seconds(const json_t *);

#endif
