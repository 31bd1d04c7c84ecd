/* hist.c: see hist.h. */
#include "tests/bench/hist.h"

#define PARTS (1u << HIST_BITS)

/* Values below PARTS have a slot each; above, the top HIST_BITS + 1 bits and the length say which.
 */
static unsigned
slot_of(uint64_t v)
{
	unsigned shift;

	if (v < PARTS)
		return (unsigned)v;
	shift = 63u - (unsigned)__builtin_clzll(v) - HIST_BITS;
	return (shift << HIST_BITS) + (unsigned)(v >> shift);
}

/* The largest value of the slot. */
static uint64_t
top_of(unsigned slot)
{
	unsigned shift;

	if (slot < 2 * PARTS)
		return slot;
	shift = (slot >> HIST_BITS) - 1;
	return (((uint64_t)(slot & (PARTS - 1)) + PARTS + 1) << shift) - 1;
}

void
hist_add(struct hist *h, uint64_t v)
{
	h->slot[slot_of(v)]++;
	h->n++;
	h->sum += v;
	if (v > h->max)
		h->max = v;
}

void
hist_merge(struct hist *h, const struct hist *more)
{
	unsigned i;

	for (i = 0; i < HIST_SLOTS; i++)
		h->slot[i] += more->slot[i];
	h->n += more->n;
	h->sum += more->sum;
	if (more->max > h->max)
		h->max = more->max;
}

uint64_t
hist_at(const struct hist *h, double share)
{
	/* 0.035 of 200 is 7, whatever floating point makes of it */
	double exact = share * (double)h->n * (1 - 1e-12);
	uint64_t want = (uint64_t)exact, seen = 0, v;
	unsigned i;

	if ((double)want < exact || want == 0)
		want++;
	if (want >= h->n)
		return h->max;
	for (i = 0; i < HIST_SLOTS; i++) {
		seen += h->slot[i];
		if (seen >= want) {
			v = top_of(i);
			return v < h->max ? v : h->max;
		}
	}
	return h->max;
}
