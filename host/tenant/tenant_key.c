/*
 * tenant_key.c: the form of API keys and permissions. Pure; any thread.
 *
 * isk_<public id>_<secret>: the public id finds the row and may stand in logs, the secret proves.
 * Both in lower-case base32 (RFC 4648's alphabet), which a double click selects whole and which
 * holds no underscore. The secret has 256 random bits: its plain SHA-256 cannot be searched, so
 * no slow hash is needed on the way of every request.
 */
#include <ctype.h>
#include <openssl/sha.h>

#include "tenant/tenant.h"

static void
base32(char *out, size_t n, const unsigned char *p)
{
	static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
	size_t i, bit;

	for (i = 0; i < n; i++) {
		unsigned v;

		bit = i * 5;
		v = (unsigned)p[bit / 8] << 8 | p[bit / 8 + 1];
		out[i] = alphabet[(v >> (11 - bit % 8)) & 31];
	}
	out[n] = '\0';
}

void
tenant_key_make(char key[4 + TENANT_KEY_PUBLIC + 1 + TENANT_KEY_SECRET + 1],
    char public_id[TENANT_KEY_PUBLIC + 1], char secret_hash[65])
{
	unsigned char id[TENANT_KEY_PUBLIC * 5 / 8 + 1], secret[34], md[SHA256_DIGEST_LENGTH];
	char *s = key + 4 + TENANT_KEY_PUBLIC + 1;

	base_random(id, sizeof id);
	base_random(secret, sizeof secret);
	base32(public_id, TENANT_KEY_PUBLIC, id);
	memcpy(key, "isk_", 4);
	memcpy(key + 4, public_id, TENANT_KEY_PUBLIC);
	s[-1] = '_';
	base32(s, TENANT_KEY_SECRET, secret);
	SHA256((const unsigned char *)s, TENANT_KEY_SECRET, md);
	base_hex(secret_hash, md, sizeof md);
}

static int
word(const char *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (!islower((unsigned char)p[i]) && !isdigit((unsigned char)p[i]) &&
		    strchr("_.-", p[i]) == NULL)
			return 0;
	return n > 0;
}

int
tenant_permissions_valid(const char *permissions)
{
	const char *p, *colon;
	size_t n;

	if (strlen(permissions) > TENANT_PERMISSIONS_MAX)
		return 0;
	for (p = permissions; *p != '\0'; p += n) {
		p += strspn(p, " ");
		n = strcspn(p, " ");
		if (n == 0 || (n == 1 && *p == '*'))
			continue;
		colon = memchr(p, ':', n);
		if (colon == NULL || !word(p, (size_t)(colon - p)))
			return 0;
		if (!(colon == p + n - 2 && colon[1] == '*') &&
		    !word(colon + 1, (size_t)(p + n - colon - 1)))
			return 0;
	}
	return 1;
}
