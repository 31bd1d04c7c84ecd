/*
 * auth_keys.c: loads verification keys and checks signatures with libjwt.
 *
 * Control thread for loading; keys_verify on any loop, since libjwt keeps no state between calls.
 * Every entry is judged when it is loaded (algorithm, kind and size of the key, issuer and audience
 * present): a key that could never verify, or that would verify too much, refuses the
 * configuration.
 */
#include "auth_keys.h"

#include <errno.h>
#include <jwt.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int __attribute__((format(printf, 4, 5)))
complain(struct keys_error *err, unsigned i, const char *field, const char *fmt, ...)
{
	va_list ap;

	snprintf(err->where, sizeof err->where, "keys[%u]%s%s", i, *field ? "." : "", field);
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof err->text, fmt, ap);
	va_end(ap);
	return -1;
}

int64_t
keys_seconds(const json_t *j)
{
	long long v = -1;
	char *end;

	if (json_is_integer(j)) {
		v = json_integer_value(j);
	} else if (json_is_string(j)) {
		const char *z = json_string_value(j);

		errno = 0;
		v = strtoll(z, &end, 10);
		if (end == z || errno != 0 || v < 0 || v > 1000000000)
			return -1;
		if (strcmp(end, "ms") == 0)
			v = (v + 999) / 1000;
		else if (strcmp(end, "m") == 0)
			v *= 60;
		else if (strcmp(end, "s") != 0 && *end != '\0')
			return -1;
	}
	return v >= 0 && v <= 1000000000 ? v : -1;
}

static int
read_file(const char *path, unsigned char **ret, size_t *ret_len)
{
	FILE *f = fopen(path, "re");
	unsigned char *p = f == NULL ? NULL : malloc(KEYS_FILE_MAX + 1);
	size_t n = p == NULL ? 0 : fread(p, 1, KEYS_FILE_MAX + 1, f);
	int e = errno, ok = p != NULL && !ferror(f) && n <= KEYS_FILE_MAX;

	if (f != NULL)
		fclose(f);
	if (!ok) {
		free(p);
		errno = e != 0 ? e : EFBIG;
		return -1;
	}
	*ret = p;
	*ret_len = n;
	return 0;
}

/* NULL, or why this PEM text is no public key for the algorithm. */
static const char *
judge_pem(const unsigned char *p, size_t n, int algorithm)
{
	BIO *bio = BIO_new_mem_buf(p, (int)n);
	EVP_PKEY *pkey = bio == NULL ? NULL : PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
	const char *why = NULL;
	char group[64] = "";

	if (pkey == NULL) {
		why = "is not a public key in PEM form (-----BEGIN PUBLIC KEY-----)";
	} else if (algorithm == JWT_RS256) {
		if (!EVP_PKEY_is_a(pkey, "RSA"))
			why = "is not an RSA key, which RS256 needs";
		else if (EVP_PKEY_get_bits(pkey) < KEYS_RSA_BITS_MIN)
			why = "is an RSA key of less than 2048 bits";
	} else {
		if (!EVP_PKEY_is_a(pkey, "EC") ||
		    EVP_PKEY_get_utf8_string_param(
			pkey, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group, NULL) != 1 ||
		    strcmp(group, "prime256v1") != 0)
			why = "is not an EC key on P-256, which ES256 needs";
	}
	EVP_PKEY_free(pkey);
	BIO_free(bio);
	ERR_clear_error();
	return why;
}

static int
load_material(struct jwt_key *key, const json_t *entry, unsigned i, struct keys_error *err)
{
	const json_t *secret = json_object_get(entry, "secret"),
		     *file = json_object_get(entry, "key_file");
	const char *why;

	if (key->algorithm == JWT_HS256) {
		if (file != NULL)
			return complain(err, i, "key_file", "HS256 takes a secret, not a key_file");
		if (!json_is_string(secret) || json_string_length(secret) < KEYS_SECRET_MIN)
			return complain(err, i, "secret",
			    "HS256 needs a secret of at least %u bytes", KEYS_SECRET_MIN);
		key->len = json_string_length(secret);
		key->bytes = malloc(key->len);
		if (key->bytes == NULL)
			return complain(err, i, "secret", "out of memory");
		memcpy(key->bytes, json_string_value(secret), key->len);
		return 0;
	}
	if (secret != NULL)
		return complain(
		    err, i, "secret", "only HS256 takes a secret; this alg needs a key_file");
	if (!json_is_string(file))
		return complain(err, i, "key_file", "is required: a PEM file with the public key");
	if (read_file(json_string_value(file), &key->bytes, &key->len) != 0)
		return complain(
		    err, i, "key_file", "%s: %s", json_string_value(file), strerror(errno));
	why = judge_pem(key->bytes, key->len, key->algorithm);
	if (why != NULL)
		return complain(err, i, "key_file", "%s %s", json_string_value(file), why);
	return 0;
}

/* A required or defaulted text member. NULL after a complaint. */
static const char *
text(const json_t *entry, const char *name, const char *dflt, unsigned i, struct keys_error *err)
{
	const json_t *j = json_object_get(entry, name);

	if (j == NULL && dflt != NULL)
		return dflt;
	if (json_is_string(j) && json_string_length(j) > 0)
		return json_string_value(j);
	complain(err, i, name, j == NULL ? "is required" : "must be a text that is not empty");
	return NULL;
}

static int
load_one(struct jwt_keys *keys, const json_t *entry, unsigned i, struct keys_error *err)
{
	static const char known[] =
	    " kid alg secret key_file issuer audience tenant_claim permissions_claim leeway ";
	struct jwt_key *key = &keys->key[keys->n];
	const json_t *leeway = json_object_get(entry, "leeway"), *value;
	const char *alg, *kid, *name;
	char padded[80];

	if (!json_is_object(entry))
		return complain(err, i, "", "must be a mapping");
	json_object_foreach((json_t *)entry, name, value)
	{
		snprintf(padded, sizeof padded, " %s ", name);
		if (strstr(known, padded) == NULL)
			return complain(err, i, "", "has no option \"%.40s\"", name);
	}
	alg = text(entry, "alg", NULL, i, err);
	kid = text(entry, "kid", "", i, err);
	if (alg == NULL || kid == NULL)
		return -1;
	key->algorithm = jwt_algorithm_named(alg);
	if (key->algorithm == 0)
		return complain(err, i, "alg", "\"%.40s\" is not one of HS256, RS256, ES256", alg);
	if (strlen(kid) > JWT_KID_MAX)
		return complain(err, i, "kid", "is longer than %u bytes", JWT_KID_MAX);
	/* One kid, one key: otherwise the token would choose which rules it is held to. */
	if (keys_find(keys, kid) != NULL)
		return *kid == '\0'
		    ? complain(err, i, "kid", "is required: another key goes without one")
		    : complain(err, i, "kid", "\"%.40s\" is another key's kid", kid);
	strcpy(key->kid, kid);
	key->rules.issuer = text(entry, "issuer", NULL, i, err);
	key->rules.audience = key->rules.issuer == NULL ? NULL
							: text(entry, "audience", NULL, i, err);
	key->rules.tenant_claim = key->rules.audience == NULL
	    ? NULL
	    : text(entry, "tenant_claim", "tenant_id", i, err);
	key->rules.permissions_claim = key->rules.tenant_claim == NULL
	    ? NULL
	    : text(entry, "permissions_claim", "permissions", i, err);
	if (key->rules.permissions_claim == NULL)
		return -1;
	key->rules.leeway = leeway == NULL ? 30 : keys_seconds(leeway);
	if (key->rules.leeway < 0 || key->rules.leeway > KEYS_LEEWAY_MAX)
		return complain(err, i, "leeway", "must be a time from 0s to %ds", KEYS_LEEWAY_MAX);
	if (load_material(key, entry, i, err) != 0) {
		free(key->bytes);
		memset(key, 0, sizeof *key);
		return -1;
	}
	keys->n++;
	return 0;
}

int
keys_load(struct jwt_keys *keys, const json_t *list, struct keys_error *err)
{
	memset(keys, 0, sizeof *keys);
	if (list == NULL)
		return 0;
	if (!json_is_array(list) || json_array_size(list) > KEYS_MAX) {
		snprintf(err->where, sizeof err->where, "keys");
		snprintf(
		    err->text, sizeof err->text, "must be a list of at most %u keys", KEYS_MAX);
		return -1;
	}
	for (unsigned i = 0; i < json_array_size(list); i++) {
		if (load_one(keys, json_array_get(list, i), i, err) != 0) {
			keys_free(keys);
			return -1;
		}
	}
	return 0;
}

void
keys_free(struct jwt_keys *keys)
{
	for (unsigned i = 0; i < keys->n; i++) {
		OPENSSL_cleanse(keys->key[i].bytes, keys->key[i].len);
		free(keys->key[i].bytes);
	}
	memset(keys, 0, sizeof *keys);
}

const struct jwt_key *
keys_find(const struct jwt_keys *keys, const char *kid)
{
	for (unsigned i = 0; i < keys->n; i++)
		if (strcmp(keys->key[i].kid, kid) == 0)
			return &keys->key[i];
	return NULL;
}

int
keys_verify(const struct jwt_key *key, const char *token)
{
	static const jwt_alg_t algorithms[] = { [JWT_HS256] = JWT_ALG_HS256,
		[JWT_RS256] = JWT_ALG_RS256,
		[JWT_ES256] = JWT_ALG_ES256 };
	jwt_t *jwt = NULL;
	int ok = jwt_decode(&jwt, token, key->bytes, (int)key->len) == 0 &&
	    jwt_get_alg(jwt) == algorithms[key->algorithm];

	jwt_free(jwt);
	ERR_clear_error(); /* libjwt leaves what OpenSSL said in the thread's queue */
	return ok;
}
