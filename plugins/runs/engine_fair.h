/*
 * engine_fair.h: what is ready and waits for room, in turns by tenant. One loop's; knows nothing of
 * runs.
 *
 * Deficit round robin with a cost of 1 for each item: a tenant's turn is as many items as its
 * weight, then the next tenant's turn comes, so a tenant that brings ten thousand delays another's
 * first by one turn. Within a tenant: first come, first served, urgent ones before the others. A
 * tenant at its most in flight is passed over until something of it ends; urgent ones are not.
 */
#ifndef RUNS_ENGINE_FAIR_H
#define RUNS_ENGINE_FAIR_H

#include <stdint.h>

#define FAIR_BUCKETS 256u /* a power of two */

struct fair_tenant;

/* Stands in the caller's struct. */
struct fair_item {
	struct fair_item *next;
	struct fair_tenant *tenant;
	uint8_t urgent, in_flight;
};

struct fair_queue {
	struct fair_item *head, **tail;
};

struct fair {
	struct fair_tenant *buckets[FAIR_BUCKETS];
	struct fair_tenant *turn; /* a ring of those who have something that may go */
	struct fair_queue held;   /* what hold() kept back */
	unsigned n_ready;         /* of all tenants, and held */
	/* 1: this one may not go now; it comes again after fair_unhold(). May be NULL. */
	int (*hold)(const struct fair_item *);
};

void fair_init(struct fair *, int (*hold)(const struct fair_item *));
/* Items must be gone. */
void fair_fini(struct fair *);
/* weight >= 1; most: in flight, 0 = no limit. Both hold for the tenant's items from now on. -1: no
 * memory, and the item is not taken. */
int fair_push(struct fair *, const char *tenant_id, unsigned weight, unsigned most, int urgent,
    struct fair_item *);
/* The one whose turn it is, still in its place; NULL: nothing may go. Until it is taken, or
 * something is pushed, done or unheld, the answer is the same. */
struct fair_item *fair_next(struct fair *);
/* Takes what fair_next() gave. run: it is in flight until fair_done(). */
void fair_take(struct fair *, struct fair_item *, int run);
/* Of one that is in flight; otherwise nothing. */
void fair_done(struct fair *, struct fair_item *);
/* What was held may be looked at again. */
void fair_unhold(struct fair *);
/* Any one that is left, taken out; NULL: none. */
struct fair_item *fair_drop(struct fair *);

#endif
