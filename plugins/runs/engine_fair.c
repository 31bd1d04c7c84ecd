/* engine_fair.c: see engine_fair.h. */
#include "engine_fair.h"

#include <stdlib.h>
#include <string.h>

struct fair_tenant {
	struct fair_tenant *bucket_next;
	struct fair_tenant *prev, *next; /* in the ring; NULL when not in it */
	struct fair_queue urgent, rest;
	unsigned n_ready;                              /* without those that are held */
	unsigned n_held, n_flying, weight, most, left; /* left: of its turn */
	char id[];
};

static void
put(struct fair_queue *q, struct fair_item *it)
{
	it->next = NULL;
	*q->tail = it;
	q->tail = &it->next;
}

static struct fair_item *
get(struct fair_queue *q)
{
	struct fair_item *it = q->head;

	if (it != NULL && (q->head = it->next) == NULL)
		q->tail = &q->head;
	return it;
}

static void
queue_init(struct fair_queue *q)
{
	q->head = NULL;
	q->tail = &q->head;
}

static struct fair_tenant **
find(struct fair *f, const char *id)
{
	uint32_t h = 2166136261u; /* FNV-1a */
	struct fair_tenant **at;
	const char *p;

	for (p = id; *p != '\0'; p++)
		h = (h ^ (unsigned char)*p) * 16777619u;
	for (at = &f->buckets[h & (FAIR_BUCKETS - 1)]; *at != NULL; at = &(*at)->bucket_next)
		if (strcmp((*at)->id, id) == 0)
			break;
	return at;
}

static int
may_go(const struct fair_tenant *t)
{
	return t->urgent.head != NULL ||
	    (t->rest.head != NULL && (t->most == 0 || t->n_flying < t->most));
}

static void
ring_leave(struct fair *f, struct fair_tenant *t)
{
	if (t->next == NULL)
		return;
	if (f->turn == t)
		f->turn = t->next == t ? NULL : t->next;
	t->prev->next = t->next;
	t->next->prev = t->prev;
	t->prev = t->next = NULL;
}

/* Behind all others: before the one whose turn it is. */
static void
ring_enter(struct fair *f, struct fair_tenant *t)
{
	if (t->next != NULL)
		return;
	t->left = t->weight;
	if (f->turn == NULL) {
		t->prev = t->next = f->turn = t;
		return;
	}
	t->next = f->turn;
	t->prev = f->turn->prev;
	t->prev->next = t;
	t->next->prev = t;
}

/* Into the ring or out of it; forgets a tenant of which nothing is left. */
static void
settle(struct fair *f, struct fair_tenant *t)
{
	struct fair_tenant **at;

	if (may_go(t)) {
		ring_enter(f, t);
		return;
	}
	ring_leave(f, t);
	if (t->n_ready > 0 || t->n_held > 0 || t->n_flying > 0)
		return;
	at = find(f, t->id);
	*at = t->bucket_next;
	free(t);
}

void
fair_init(struct fair *f, int (*hold)(const struct fair_item *))
{
	memset(f, 0, sizeof *f);
	queue_init(&f->held);
	f->hold = hold;
}

void
fair_fini(struct fair *f)
{
	struct fair_tenant *t;
	unsigned i;

	for (i = 0; i < FAIR_BUCKETS; i++)
		while ((t = f->buckets[i]) != NULL) {
			f->buckets[i] = t->bucket_next;
			free(t);
		}
	f->turn = NULL;
}

int
fair_push(struct fair *f, const char *tenant_id, unsigned weight, unsigned most, int urgent,
    struct fair_item *it)
{
	struct fair_tenant **at = find(f, tenant_id), *t = *at;
	size_t n = strlen(tenant_id) + 1;

	if (t == NULL) {
		t = calloc(1, sizeof *t + n);
		if (t == NULL)
			return -1;
		memcpy(t->id, tenant_id, n);
		queue_init(&t->urgent);
		queue_init(&t->rest);
		*at = t;
	}
	t->weight = weight == 0 ? 1 : weight;
	t->most = most;
	it->tenant = t;
	it->urgent = urgent != 0;
	it->in_flight = 0;
	put(urgent ? &t->urgent : &t->rest, it);
	t->n_ready++;
	f->n_ready++;
	settle(f, t);
	return 0;
}

struct fair_item *
fair_next(struct fair *f)
{
	struct fair_tenant *t;
	struct fair_item *it;

	while ((t = f->turn) != NULL) {
		it = t->urgent.head != NULL ? t->urgent.head : t->rest.head;
		if (it->urgent || f->hold == NULL || !f->hold(it))
			return it;
		get(&t->rest);
		put(&f->held, it);
		t->n_ready--;
		t->n_held++;
		settle(f, t);
	}
	return NULL;
}

void
fair_take(struct fair *f, struct fair_item *it, int run)
{
	struct fair_tenant *t = it->tenant;

	get(it->urgent ? &t->urgent : &t->rest);
	t->n_ready--;
	f->n_ready--;
	it->in_flight = run != 0;
	t->n_flying += it->in_flight;
	if (!run)
		it->tenant = NULL;
	else if (--t->left == 0) {
		t->left = t->weight;
		f->turn = t->next;
	}
	settle(f, t);
}

void
fair_done(struct fair *f, struct fair_item *it)
{
	if (!it->in_flight)
		return;
	it->in_flight = 0;
	it->tenant->n_flying--;
	settle(f, it->tenant);
	it->tenant = NULL;
}

void
fair_unhold(struct fair *f)
{
	struct fair_queue all = f->held;
	struct fair_item *it;

	if (f->held.head == NULL)
		return;
	queue_init(&f->held);
	while ((it = all.head) != NULL) {
		all.head = it->next;
		put(&it->tenant->rest, it);
		it->tenant->n_held--;
		it->tenant->n_ready++;
		settle(f, it->tenant);
	}
}

struct fair_item *
fair_drop(struct fair *f)
{
	struct fair_tenant *t;
	struct fair_item *it;
	unsigned i;

	fair_unhold(f);
	for (i = 0; i < FAIR_BUCKETS; i++)
		if ((t = f->buckets[i]) != NULL)
			for (; t != NULL; t = t->bucket_next) {
				it = t->urgent.head != NULL ? t->urgent.head : t->rest.head;
				if (it != NULL) {
					fair_take(f, it, 0);
					return it;
				}
			}
	return NULL;
}
