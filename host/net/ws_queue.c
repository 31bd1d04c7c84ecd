/* ws_queue.c: frames, which connections share, and the ring of those that wait to go out of one. */
#include "net/ws.h"

#include <insula/insula.h>

struct ws_frame *
ws_frame_new(unsigned op, const void *p, size_t n)
{
	uint8_t head[WS_HEAD_MAX];
	size_t head_n = ws_head(head, op, n);
	struct ws_frame *f = malloc(sizeof(*f) + head_n + n);

	AN(f);
	f->refs = 1;
	f->n = head_n + n;
	memcpy(f->bytes, head, head_n);
	if (n > 0)
		memcpy(f->bytes + head_n, p, n);
	return f;
}

struct ws_frame *
ws_frame_ref(struct ws_frame *f)
{
	__atomic_fetch_add(&f->refs, 1, __ATOMIC_RELAXED);
	return f;
}

void
ws_frame_unref(struct ws_frame *f)
{
	if (__atomic_fetch_sub(&f->refs, 1, __ATOMIC_ACQ_REL) == 1)
		free(f);
}

/* ---- the ring ---- */

size_t
ws_queue_cost(const struct ws_frame *f)
{
	return f->n + WS_FRAME_COST;
}

static void
ws_queue_grow(struct ws_conn *w)
{
	unsigned i, cap = w->q_cap == 0 ? 4 : w->q_cap * 2;
	struct ws_frame **q = base_alloc(cap * sizeof(struct ws_frame *));

	for (i = 0; i < w->q_n; i++)
		q[i] = w->q[(w->q_head + i) & (w->q_cap - 1)];
	free(w->q);
	w->q = q;
	w->q_cap = cap;
	w->q_head = 0;
}

void
ws_queue_push(struct ws_conn *w, struct ws_frame *f, int front)
{
	if (w->q_n == w->q_cap)
		ws_queue_grow(w);
	if (front)
		w->q[w->q_head = (w->q_head - 1) & (w->q_cap - 1)] = f;
	else
		w->q[(w->q_head + w->q_n) & (w->q_cap - 1)] = f;
	w->q_n++;
	w->q_bytes += ws_queue_cost(f);
}

void
ws_queue_pop(struct ws_conn *w)
{
	struct ws_frame *f = w->q[w->q_head];

	w->q_bytes -= ws_queue_cost(f);
	w->q_head = (w->q_head + 1) & (w->q_cap - 1);
	w->q_n--;
	ws_frame_unref(f);
}

void
ws_queue_drop(struct ws_conn *w)
{
	struct ws_frame *f;

	while (w->q_n > w->flying) {
		f = w->q[(w->q_head + w->q_n - 1) & (w->q_cap - 1)];
		w->q_bytes -= ws_queue_cost(f);
		w->q_n--;
		ws_frame_unref(f);
	}
}

void
ws_queue_fini(struct ws_conn *w)
{
	unsigned i;

	for (i = 0; i < w->q_n; i++)
		ws_frame_unref(w->q[(w->q_head + i) & (w->q_cap - 1)]);
	free(w->q);
	w->q = NULL;
	w->q_cap = w->q_head = w->q_n = w->flying = 0;
	w->q_bytes = 0;
	if (w->pong != NULL)
		ws_frame_unref(w->pong);
	w->pong = NULL;
}
