/* http_guard.c: see http_guard.h. Pure, any thread. */
#include "net/http_guard.h"

void
guard_rate_stop(struct guard_rate *g)
{
	g->on = 0;
}

int
guard_rate_tick(struct guard_rate *g, int64_t now_ms, uint64_t bytes, int64_t min_rate)
{
	int64_t most = GUARD_SAVED_S * 1000 * min_rate;

	if (!g->on || bytes < g->last_bytes) {
		g->on = 1;
		g->credit = GUARD_GRACE_S * 1000 * min_rate;
		g->last_ms = now_ms;
		g->last_bytes = bytes;
		return 0;
	}
	g->credit += (int64_t)(bytes - g->last_bytes) * 1000 - (now_ms - g->last_ms) * min_rate;
	if (g->credit > most)
		g->credit = most;
	g->last_ms = now_ms;
	g->last_bytes = bytes;
	return g->credit < 0;
}

void
guard_stall_stop(struct guard_stall *g)
{
	g->on = 0;
}

int
guard_stall_tick(struct guard_stall *g, int64_t now_ms, uint64_t mark, int64_t limit_ms)
{
	if (!g->on || mark != g->mark) {
		g->on = 1;
		g->mark = mark;
		g->since_ms = now_ms;
		return 0;
	}
	return now_ms - g->since_ms >= limit_ms;
}

int
guard_window_hit(struct guard_window *g, int64_t now_ms, unsigned max)
{
	if (g->n == 0 || now_ms - g->start_ms >= GUARD_WINDOW_MS) {
		g->start_ms = now_ms;
		g->n = 0;
	}
	g->n++;
	return g->n > max;
}
