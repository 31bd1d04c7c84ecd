/* fuzz_multipart: the first line is the Content-Type, the rest the body. */
#include "plugins/knowledge/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct multipart_part parts[MULTIPART_PARTS_MAX];
	const char *p = (const char *)data, *nl = n == 0 ? NULL : memchr(p, '\n', n);
	ins_str boundary, body;
	size_t n_parts, i;
	char err[160];

	if (nl == NULL || multipart_boundary((ins_str){ p, (size_t)(nl - p) }, &boundary) != 0)
		return 0;
	body = (ins_str){ nl + 1, n - (size_t)(nl + 1 - p) };
	if (multipart_parse(body, boundary, parts, &n_parts, err) != 0)
		return 0;
	for (i = 0; i < n_parts; i++) /* every part lies within the body, in order */
		if (parts[i].body.p < body.p ||
		    parts[i].body.p + parts[i].body.n > body.p + body.n ||
		    (i > 0 && parts[i].body.p < parts[i - 1].body.p + parts[i - 1].body.n))
			__builtin_trap();
	return 0;
}
