/* fuzz_http_decode.c: percent-decoding. The result is never longer, holds no NUL, and what holds
 * neither '%' nor '+' nor NUL comes out as it was. */
#include "base/arena.h"
#include "net/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const char *p = (const char *)data;
	struct arena a;
	char *out;
	int plus;

	for (plus = 0; plus < 2; plus++) {
		arena_init(&a, n + 4096);
		out = http_decode(&a, p, n, plus);
		if (memchr(p, '\0', n) != NULL)
			ASSERT(out == NULL);
		if (out != NULL)
			ASSERT(strlen(out) <= n);
		if (n > 0 && memchr(p, '%', n) == NULL && memchr(p, '+', n) == NULL &&
		    memchr(p, '\0', n) == NULL)
			ASSERT(out != NULL && strlen(out) == n && memcmp(out, p, n) == 0);
		arena_fini(&a);
	}
	return 0;
}
