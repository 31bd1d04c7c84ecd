/* fuzz_apikey.c: a credential of anybody's, as an API key; a stored hash of anybody's too. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/auth/auth_apikey.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct apikey key;
	char *stored = strndup((const char *)data, n);

	if (apikey_parse((const char *)data, n, &key)) {
		assert(strlen(key.id) > 0 && strlen(key.id) <= APIKEY_ID_MAX);
		assert(key.secret + key.secret_len == (const char *)data + n);
		(void)apikey_secret_matches(&key, stored);
	}
	key.secret = (const char *)data;
	key.secret_len = n;
	(void)apikey_secret_matches(&key, stored);
	free(stored);
	return 0;
}
