/*
 * money.h: integer money: 128 bits, in billionths of a dollar. Pure.
 *
 * Never floating point: every sum of costs is exact, and the same in whatever order it is made. The
 * one rounding is that of an event's cost to whole nano-dollars, half to even.
 */
#ifndef METERING_MONEY_H
#define METERING_MONEY_H

#include <stddef.h>
#include <stdint.h>

__extension__ typedef __int128 money;

#define MONEY_TEXT_MAX 41u  /* sign, 39 digits, NUL */
#define MONEY_DIGITS_MAX 36 /* of what others may send: sums of 100 such still fit */

/* Decimal digits, perhaps with a minus sign; at most MONEY_DIGITS_MAX of them. 0 or -1. */
int money_parse(const char *p, size_t n, money *ret);
/* Returns buf. */
const char *money_print(money, char buf[MONEY_TEXT_MAX]);
/* 0, or -1 when it does not fit; *ret is then as it was. */
int money_add(money a, money b, money *ret);
int money_mul(money a, int64_t b, money *ret);
/* a / b rounded half to even; b > 0. */
money money_div_even(money a, int64_t b);

#endif
