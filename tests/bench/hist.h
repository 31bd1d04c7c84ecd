/*
 * hist.h: a histogram of times with a fixed error, as HdrHistogram has it: buckets that double,
 * each in 2^HIST_BITS equal parts, so that every value is kept to within 1/128 of it, from 1 ns to
 * days. Pure; 60 KB; one thread. Histograms of threads are added up.
 */
#ifndef TESTS_BENCH_HIST_H
#define TESTS_BENCH_HIST_H

#include <stdint.h>

#define HIST_BITS 7u
#define HIST_SLOTS ((65u - HIST_BITS) << HIST_BITS)

struct hist {
	uint64_t n, max, sum;
	uint64_t slot[HIST_SLOTS];
};

void hist_add(struct hist *, uint64_t value);
void hist_merge(struct hist *, const struct hist *more);
/* The least value that at least this share (0 .. 1) of all is not above, to within 1/128; 0 when
 * there is none. hist_at(h, 1) is the maximum, exactly. */
uint64_t hist_at(const struct hist *, double share);

#endif
