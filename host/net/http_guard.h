/*
 * http_guard.h: the arithmetic of what one connection may cost: minimum rate, stalls, resets. Pure:
 * no sockets, no clocks of its own, so that unit tests need no server. Times are milliseconds of
 * any monotonic clock.
 */
#ifndef HOST_HTTP_GUARD_H
#define HOST_HTTP_GUARD_H

#include "base/base.h"

#define GUARD_GRACE_S 5  /* a request may begin this slowly */
#define GUARD_SAVED_S 30 /* and a fast one may pause for this long */

/*
 * A sender's credit in thousandths of a byte: it begins with GUARD_GRACE_S seconds' worth of the
 * minimum rate, loses the minimum rate as time passes, gains what arrives, and saves up at most
 * GUARD_SAVED_S seconds' worth. An average over the whole request was rejected: 4 MiB sent fast
 * would buy an hour of silence.
 */
struct guard_rate {
	int64_t credit, last_ms;
	uint64_t last_bytes;
	int on;
};
void guard_rate_stop(struct guard_rate *);
/* bytes: received so far, of whatever is being measured; a smaller number than last time starts the
 * measurement again. Returns 1 when the sender is too slow. */
int guard_rate_tick(struct guard_rate *, int64_t now_ms, uint64_t bytes, int64_t min_rate);

/* Something that must keep moving: 1 once `mark` has been the same for limit_ms. */
struct guard_stall {
	uint64_t mark;
	int64_t since_ms;
	int on;
};
void guard_stall_stop(struct guard_stall *);
int guard_stall_tick(struct guard_stall *, int64_t now_ms, uint64_t mark, int64_t limit_ms);

/* Events per window: counts one, and returns 1 when the window has had more than max. */
#define GUARD_WINDOW_MS 10000
struct guard_window {
	int64_t start_ms;
	unsigned n;
};
int guard_window_hit(struct guard_window *, int64_t now_ms, unsigned max);

#endif
