/*
 * owner.h: who made what, so that an unload can prove that nothing of a plugin is left.
 *
 * Routes, services, subscriptions and memory stand in the instance itself. Statements are given
 * back to the connections. Conditions and relays are what a plugin makes on a loop and must free
 * itself: relays, and the conditions made inside start(), are counted per instance and loop, and
 * stop() must have freed them. What else a task makes is that task's business.
 */
#ifndef HOST_OWNER_H
#define HOST_OWNER_H

#include "plugin/plugin.h"

/* A condition as a plugin holds it (the SDK's ins_cond). Loop. */
struct owner_cond {
	struct list link;      /* of the instance's conditions on that loop */
	struct instance *inst; /* NULL: made by a task */
	struct ins_loop *loop;
	struct ins_cond *cond;
};

struct owner_cond *owner_cond_new(struct ins_loop *, struct instance *);
void owner_cond_free(struct owner_cond *);
/* Control thread, after fini: gives back what the host keeps for the instance and writes what is
 * left over into why ("2 conditions on loop 0"). 0 when there is nothing: the image may be
 * unmapped. */
int owner_sweep(struct instance *, char why[256]);

#endif
