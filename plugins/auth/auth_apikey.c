/*
 * auth_apikey.c: parses API keys and checks their secrets.
 *
 * The public id finds the row, the secret proves the key. A plain SHA-256 is enough for a secret of
 * 128 random bits or more: there is nothing to guess, which is what slow password hashes defend,
 * and a slow hash on this path would be a way to stall a loop. Pure; no allocation; never logs.
 */
#include "auth_apikey.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#define PREFIX_LEN (sizeof APIKEY_PREFIX - 1)

static int
is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

int
apikey_claims_to_be(const char *p, size_t n)
{
	return n >= PREFIX_LEN && memcmp(p, APIKEY_PREFIX, PREFIX_LEN) == 0;
}

int
apikey_parse(const char *p, size_t n, struct apikey *ret)
{
	const char *id = p + PREFIX_LEN, *end;
	size_t id_len;

	if (!apikey_claims_to_be(p, n))
		return 0;
	end = memchr(id, '_', n - PREFIX_LEN);
	if (end == NULL)
		return 0;
	id_len = (size_t)(end - id);
	if (id_len == 0 || id_len > APIKEY_ID_MAX)
		return 0;
	for (size_t i = 0; i < id_len; i++)
		if (!is_alnum(id[i]))
			return 0;
	ret->secret = end + 1;
	ret->secret_len = (size_t)(p + n - ret->secret);
	if (ret->secret_len < APIKEY_SECRET_MIN || ret->secret_len > APIKEY_SECRET_MAX)
		return 0;
	for (size_t i = 0; i < ret->secret_len; i++)
		if (!is_alnum(ret->secret[i]) && ret->secret[i] != '-' && ret->secret[i] != '_')
			return 0;
	memcpy(ret->id, id, id_len);
	ret->id[id_len] = '\0';
	return 1;
}

static int
hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int
apikey_secret_matches(const struct apikey *key, const char *stored_hex)
{
	unsigned char stored[32], computed[32];
	unsigned len = 0;

	if (strlen(stored_hex) != 2 * sizeof stored)
		return 0;
	for (size_t i = 0; i < sizeof stored; i++) {
		int hi = hex_digit(stored_hex[2 * i]), lo = hex_digit(stored_hex[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return 0;
		stored[i] = (unsigned char)(hi << 4 | lo);
	}
	if (EVP_Digest(key->secret, key->secret_len, computed, &len, EVP_sha256(), NULL) != 1 ||
	    len != sizeof computed)
		return 0;
	return CRYPTO_memcmp(stored, computed, sizeof stored) == 0;
}
