/* fuzz_traceparent.c: any header gives a valid traceparent and a sane request id. */
#include <stdlib.h>
#include <string.h>

#include "plugin/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	char out[56], id[65];

	trace_make((const char *)p, n, out);
	if (!trace_valid(out, strlen(out)))
		abort();
	if (trace_valid((const char *)p, n) && memcmp(out + 3, p + 3, 32) != 0)
		abort();
	trace_request_id((const char *)p, n, id);
	if (strlen(id) == 0 || strlen(id) > 64 || strpbrk(id, " \"\r\n") != NULL)
		abort();
	return 0;
}
