/*
 * svc.h: who provides what to whom. Pure: from offers and needs to numbered slots and an order.
 * Belongs to a generation being built; immutable afterwards.
 */
#ifndef HOST_SVC_H
#define HOST_SVC_H

#include <insula/insula.h>

#include "base/arena.h"

#define SVC_OFFERS_MAX 256 /* of one plugin */
#define SVC_NEEDS_MAX 64   /* of one plugin */

struct svc_offer {
	struct svc_offer *next;
	const char *iface, *name;
	const void *vtable;
};

/* One plugin as the resolver sees it. */
struct svc_party {
	const char *name;
	const ins_need *needs; /* may be NULL */
	const struct svc_offer *offers;
	/* filled by svc_resolve */
	struct svc_slot *slots; /* one per need */
	size_t n_slots;
	unsigned state; /* of the walk */
};

struct svc_slot {
	size_t n;
	const struct svc_offer **offers;
	size_t *owners; /* index of the party of each */
};

/*
 * Fills the slots of every party and `order` (n places): providers before those that need them. An
 * own offer does not count for an own need. 0, or -1 with a sentence in err and the index of the
 * party at fault in *ret_who.
 */
int svc_resolve(
    struct svc_party *, size_t n, struct arena *, size_t *order, size_t *ret_who, char err[256]);

#endif
