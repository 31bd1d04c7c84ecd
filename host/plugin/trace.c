/*
 * trace.c: ids of requests. https://www.w3.org/TR/trace-context/ section 3.2.
 *
 * Ids must not collide; they need not be secret. So each thread has a xoshiro256** of its own,
 * seeded once from the kernel, and a request costs no system call.
 */
#include "plugin/trace.h"

static __thread uint64_t state[4];

static uint64_t
trace_next(void)
{
	uint64_t result, t, *s = state;

	if ((s[0] | s[1] | s[2] | s[3]) == 0)
		base_random(s, sizeof state);
	result = s[1] * 5;
	result = ((result << 7) | (result >> 57)) * 9;
	t = s[1] << 17;
	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = (s[3] << 45) | (s[3] >> 19);
	return result;
}

/* 16 hex digits, never all zero: a zero id is invalid. */
static void
trace_hex64(char *out)
{
	static const char digits[] = "0123456789abcdef";
	uint64_t v = trace_next() | 1;
	int i;

	for (i = 15; i >= 0; i--, v >>= 4)
		out[i] = digits[v & 15];
}

static int
trace_hex(const char *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (!((p[i] >= '0' && p[i] <= '9') || (p[i] >= 'a' && p[i] <= 'f')))
			return 0;
	return 1;
}

static int
trace_zero(const char *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (p[i] != '0')
			return 0;
	return 1;
}

int
trace_valid(const char *p, size_t n)
{
	/* A later version may be longer, after one more dash; version ff does not exist. */
	if (n < 55 || !trace_hex(p, 2) || memcmp(p, "ff", 2) == 0)
		return 0;
	if (memcmp(p, "00", 2) == 0 ? n != 55 : n > 55 && p[55] != '-')
		return 0;
	return p[2] == '-' && trace_hex(p + 3, 32) && !trace_zero(p + 3, 32) && p[35] == '-' &&
	    trace_hex(p + 36, 16) && !trace_zero(p + 36, 16) && p[52] == '-' &&
	    trace_hex(p + 53, 2);
}

void
trace_make(const char *parent, size_t n, char ret[56])
{
	memcpy(ret, "00-", 3);
	if (trace_valid(parent, n)) {
		memcpy(ret + 3, parent + 3, 32);
		memcpy(ret + 53, parent + 53, 2);
	} else {
		trace_hex64(ret + 3);
		trace_hex64(ret + 19);
		memcpy(ret + 53, "01", 2);
	}
	ret[35] = '-';
	trace_hex64(ret + 36);
	ret[52] = '-';
	ret[55] = '\0';
}

void
trace_request_id(const char *given, size_t n, char ret[65])
{
	size_t i;

	for (i = 0; i < n && i < 65; i++)
		if (!((given[i] >= 'a' && given[i] <= 'z') ||
			(given[i] >= 'A' && given[i] <= 'Z') ||
			(given[i] >= '0' && given[i] <= '9') ||
			(given[i] != '\0' && strchr("._:-", given[i]) != NULL)))
			break;
	if (n >= 1 && n <= 64 && i == n) {
		memcpy(ret, given, n);
		ret[n] = '\0';
		return;
	}
	memcpy(ret, "req_", 4);
	trace_hex64(ret + 4);
	trace_hex64(ret + 20);
	ret[36] = '\0';
}
