/* fuzz_jwt.c: a credential of anybody's: taken apart, and its claims judged. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/auth/auth_jwt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
judge(const json_t *claims)
{
	static const struct jwt_rules rules = { "i", "a", "tenant_id", "permissions", 30 };
	struct jwt_identity id;

	if (jwt_check(claims, &rules, 1750000000, &id) == JWT_OK) {
		assert(strlen(id.tenant_id) == 36);
		assert(strlen(id.subject) <= JWT_SUBJECT_MAX);
		assert(strlen(id.permissions) <= JWT_PERMISSIONS_MAX);
		assert(id.expires_at > 1750000000);
	}
}

/* As a token; and as claims of a token that was verified, since base64 hides them from mutation. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct jwt_head head;
	json_t *claims;

	if (jwt_parse((const char *)data, n, &head, &claims) == JWT_OK) {
		assert(n <= JWT_TOKEN_MAX && head.algorithm != 0);
		judge(claims);
	}
	json_decref(claims);
	claims = n > JWT_TOKEN_MAX ? NULL : json_loadb((const char *)data, n, 0, NULL);
	if (json_is_object(claims))
		judge(claims);
	json_decref(claims);
	return 0;
}
