/* money.c: see money.h. */
#include "money.h"

__extension__ typedef unsigned __int128 magnitude;

int
money_parse(const char *p, size_t n, money *ret)
{
	int minus = n > 0 && *p == '-';
	money v = 0;
	size_t i = (size_t)minus;

	if (n == i || n - i > MONEY_DIGITS_MAX)
		return -1;
	for (; i < n; i++) {
		if (p[i] < '0' || p[i] > '9')
			return -1;
		v = v * 10 + (p[i] - '0');
	}
	*ret = minus ? -v : v;
	return 0;
}

const char *
money_print(money v, char buf[MONEY_TEXT_MAX])
{
	/* The magnitude apart: the least value has no positive counterpart. */
	magnitude m = v < 0 ? -(magnitude)v : (magnitude)v;
	char digits[MONEY_TEXT_MAX];
	size_t n = 0, i = 0;

	do {
		digits[n++] = (char)('0' + (int)(m % 10));
		m /= 10;
	} while (m != 0);
	if (v < 0)
		buf[i++] = '-';
	while (n > 0)
		buf[i++] = digits[--n];
	buf[i] = '\0';
	return buf;
}

int
money_add(money a, money b, money *ret)
{
	money v;

	if (__builtin_add_overflow(a, b, &v))
		return -1;
	*ret = v;
	return 0;
}

int
money_mul(money a, int64_t b, money *ret)
{
	money v;

	if (__builtin_mul_overflow(a, (money)b, &v))
		return -1;
	*ret = v;
	return 0;
}

money
money_div_even(money a, int64_t b)
{
	money q = a / b, rest = a % b, twice;

	if (rest < 0)
		rest = -rest;
	twice = rest * 2; /* below 2^65 */
	if (twice > b || (twice == b && (q & 1) != 0))
		q += a < 0 ? -1 : 1;
	return q;
}
