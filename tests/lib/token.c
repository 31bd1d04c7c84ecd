/* token.c: tokens for tests: libjwt signs the ordinary ones, OpenSSL alone those that libjwt would
 * refuse to make. */
#include "token.h"

#include <assert.h>
#include <jwt.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *
pem(EVP_PKEY *pkey, int private)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *p, *z;
	long n;
	int ok = private ? PEM_write_bio_PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL)
			 : PEM_write_bio_PUBKEY(bio, pkey);

	assert(ok == 1);
	n = BIO_get_mem_data(bio, &p);
	z = strndup(p, (size_t)n);
	BIO_free(bio);
	return z;
}

void
token_key_pair(const char *kind, int bits, char **ret_private, char **ret_public)
{
	EVP_PKEY *pkey = strcmp(kind, "RSA") == 0
	    ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)bits)
	    : EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");

	assert(pkey != NULL);
	*ret_private = pem(pkey, 1);
	*ret_public = pem(pkey, 0);
	EVP_PKEY_free(pkey);
}

char *
token_signed(const char *alg, const char *key, const char *kid, const char *claims_format, ...)
{
	json_error_t err;
	json_t *claims;
	char *text, *out;
	jwt_t *jwt;
	va_list ap;
	int r;

	va_start(ap, claims_format);
	claims = json_vpack_ex(&err, 0, claims_format, ap);
	va_end(ap);
	assert(claims != NULL);
	text = json_dumps(claims, JSON_COMPACT);
	json_decref(claims);
	r = jwt_new(&jwt);
	assert(r == 0);
	r = jwt_add_grants_json(jwt, text);
	assert(r == 0);
	free(text);
	if (kid != NULL) {
		r = jwt_add_header(jwt, "kid", kid);
		assert(r == 0);
	}
	r = jwt_set_alg(
	    jwt, jwt_str_alg(alg), (const unsigned char *)key, key == NULL ? 0 : (int)strlen(key));
	assert(r == 0);
	text = jwt_encode_str(jwt);
	assert(text != NULL);
	out = strdup(text);
	free(text);
	jwt_free(jwt);
	return out;
}

static void
append_base64url(char *out, const unsigned char *p, size_t n)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	char *o = out + strlen(out);
	unsigned bits = 0, have = 0;

	for (size_t i = 0; i < n; i++) {
		bits = bits << 8 | p[i];
		for (have += 8; have >= 6; have -= 6)
			*o++ = digits[bits >> (have - 6) & 63];
	}
	if (have > 0)
		*o++ = digits[bits << (6 - have) & 63];
	*o = '\0';
}

char *
token_raw(const char *header, const char *claims, const char *secret)
{
	size_t room = (strlen(header) + strlen(claims)) * 2 + 128;
	unsigned char mac[32];
	unsigned n = sizeof mac;
	char *out = calloc(1, room);

	assert(out != NULL);
	append_base64url(out, (const unsigned char *)header, strlen(header));
	strcat(out, ".");
	append_base64url(out, (const unsigned char *)claims, strlen(claims));
	HMAC(EVP_sha256(), secret, (int)strlen(secret), (unsigned char *)out, strlen(out), mac, &n);
	strcat(out, ".");
	append_base64url(out, mac, n);
	return out;
}
