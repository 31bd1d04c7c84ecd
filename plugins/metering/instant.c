/* instant.c: see instant.h. */
#include "instant.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* n digits at z; -1 when one is none. */
static int
digits(const char *z, int n)
{
	int v = 0;

	while (n-- > 0) {
		if (*z < '0' || *z > '9')
			return -1;
		v = v * 10 + (*z++ - '0');
	}
	return v;
}

static int
in_range(int64_t us, int64_t *ret_us)
{
	if (us < INSTANT_MIN_US || us >= INSTANT_MAX_US)
		return -1;
	*ret_us = us;
	return 0;
}

/* Seconds since 1970 of a day that exists. */
static int
day(const char *z, int64_t *ret_s)
{
	struct tm tm = { 0 }, back;
	int year, month, mday;
	time_t t;

	if (strnlen(z, 10) < 10 || z[4] != '-' || z[7] != '-')
		return -1;
	year = digits(z, 4);
	month = digits(z + 5, 2);
	mday = digits(z + 8, 2);
	if (year < 1970 || month < 1 || month > 12 || mday < 1 || mday > 31)
		return -1;
	tm.tm_year = year - 1900;
	tm.tm_mon = month - 1;
	tm.tm_mday = mday;
	t = timegm(&tm);
	/* timegm takes February 30 for March 2 */
	if (gmtime_r(&t, &back) == NULL || back.tm_mday != mday)
		return -1;
	*ret_s = t;
	return 0;
}

int
instant_parse_day(const char *z, int64_t *ret_us)
{
	int64_t s;

	if (day(z, &s) != 0 || z[10] != '\0')
		return -1;
	return in_range(s * 1000000, ret_us);
}

int
instant_parse(const char *z, int64_t *ret_us)
{
	int h, m, s, oh, om, i;
	int64_t at, us = 0, unit = 100000, offset = 0;

	if (day(z, &at) != 0 || strnlen(z, 20) < 20 || (z[10] != 'T' && z[10] != 't') ||
	    z[13] != ':' || z[16] != ':')
		return -1;
	h = digits(z + 11, 2);
	m = digits(z + 14, 2);
	s = digits(z + 17, 2);
	/* 60: a leap second, which has no number of its own here */
	if (h < 0 || h > 23 || m < 0 || m > 59 || s < 0 || s > 60)
		return -1;
	z += 19;
	if (*z == '.') {
		for (z++, i = 0; *z >= '0' && *z <= '9' && i < 12; z++, i++) {
			us += (*z - '0') * unit;
			unit /= 10;
		}
		if (i == 0)
			return -1;
	}
	if (*z == 'Z' || *z == 'z') {
		z++;
	} else if ((*z == '+' || *z == '-') && strnlen(z, 6) == 6 && z[3] == ':') {
		oh = digits(z + 1, 2);
		om = digits(z + 4, 2);
		if (oh < 0 || oh > 23 || om < 0 || om > 59)
			return -1;
		offset = (int64_t)(oh * 60 + om) * 60 * (*z == '-' ? -1 : 1);
		z += 6;
	} else {
		return -1;
	}
	if (*z != '\0')
		return -1;
	at += (int64_t)h * 3600 + m * 60 + s - offset;
	return in_range(at * 1000000 + us, ret_us);
}

void
instant_print_day(int64_t us, char ret[11])
{
	time_t t = (time_t)(us / 1000000);
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(ret, 11, "%Y-%m-%d", &tm);
}
