/*
 * base.c: panics, allocation that aborts, clocks, random bytes, uuids. Any thread.
 */
#include "base/base.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/random.h>
#include <time.h>

#define RANDOM_POOL                                                                  \
	512 /* bytes fetched at a time for uuids; secrets go to the kernel each time \
	     */

void
base_panic(const char *file, int line, const char *func, const char *what)
{
	fprintf(stderr, "insula: panic: %s:%d %s(): %s\n", file, line, func, what);
	abort();
}

void *
base_alloc(size_t n)
{
	void *p = calloc(1, n == 0 ? 1 : n);

	AN(p);
	return p;
}

void *
base_realloc(void *p, size_t n)
{
	p = realloc(p, n == 0 ? 1 : n);
	AN(p);
	return p;
}

char *
base_strdup(const char *z)
{
	char *p = strdup(z);

	AN(p);
	return p;
}

char *
base_printf(const char *fmt, ...)
{
	va_list ap;
	char *p = NULL;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&p, fmt, ap);
	va_end(ap);
	ASSERT(n >= 0);
	AN(p);
	return p;
}

static int64_t
clock_us(clockid_t id)
{
	struct timespec ts;

	AZ(clock_gettime(id, &ts));
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t
base_now_us(void)
{
	return clock_us(CLOCK_REALTIME);
}

int64_t
base_mono_us(void)
{
	return clock_us(CLOCK_MONOTONIC);
}

void
base_random(void *p, size_t n)
{
	unsigned char *b = p;
	ssize_t r;

	while (n > 0) {
		r = getrandom(b, n, 0);
		if (r < 0) {
			ASSERT(errno == EINTR);
			continue;
		}
		b += r;
		n -= (size_t)r;
	}
}

/* A uuid names a thing and guards nothing, so bytes may wait in memory; a system call for each
 * would show in every request. */
static void
random_pooled(unsigned char *p, size_t n)
{
	static __thread unsigned char pool[RANDOM_POOL];
	static __thread size_t left;

	ASSERT(n <= sizeof pool);
	if (left < n) {
		base_random(pool, sizeof pool);
		left = sizeof pool;
	}
	memcpy(p, pool + left - n, n);
	left -= n;
}

/*
 * RFC 9562, 5.7, with the 12 bits of rand_a as a counter (6.2, method 1): seeded with 11 random
 * bits at each new millisecond, so that ids of one thread sort in the order they were made. When
 * the counter runs over, or the clock goes back, the timestamp runs ahead of the clock.
 */
void
base_uuid7(char out[37])
{
	static __thread uint64_t last_ms;
	static __thread unsigned counter;
	unsigned char b[16];
	char hex[33];
	uint64_t ms = (uint64_t)base_now_us() / 1000;

	random_pooled(b + 6, 10);
	if (ms > last_ms) {
		last_ms = ms;
		counter = ((unsigned)b[6] << 8 | b[7]) & 0x7ff;
	} else if (++counter > 0xfff) {
		last_ms++;
		counter = ((unsigned)b[6] << 8 | b[7]) & 0x7ff;
	}
	ms = last_ms;
	for (int i = 5; i >= 0; i--, ms >>= 8)
		b[i] = (unsigned char)ms;
	b[6] = (unsigned char)(0x70 | counter >> 8);
	b[7] = (unsigned char)counter;
	b[8] = (unsigned char)(0x80 | (b[8] & 0x3f));
	base_hex(hex, b, sizeof b);
	memcpy(out, hex, 8);
	memcpy(out + 9, hex + 8, 4);
	memcpy(out + 14, hex + 12, 4);
	memcpy(out + 19, hex + 16, 4);
	memcpy(out + 24, hex + 20, 12);
	out[8] = out[13] = out[18] = out[23] = '-';
	out[36] = '\0';
}

void
base_hex(char *out, const void *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *b = p;

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[b[i] >> 4];
		out[2 * i + 1] = digits[b[i] & 15];
	}
	out[2 * n] = '\0';
}
