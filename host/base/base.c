/* base.c: panics, allocation that aborts, clocks, random bytes, uuids. Any thread. */
#include "base/base.h"

void
base_panic(const char *file, int line, const char *func, const char *what)
{
	fprintf(stderr, "insula: panic: %s:%d %s(): %s\n", file, line, func, what);
	abort();
}
