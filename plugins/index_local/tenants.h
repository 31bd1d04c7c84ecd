/*
 * tenants.h: the index of each tenant that this host has used lately, under one memory cap: least
 * recently used ones go first and are read again from PostgreSQL when asked for. Shared by all
 * loops; one lock, held for a few lines. Who reads a set holds a reference, so that nothing waits
 * for readers.
 */
#ifndef INDEX_LOCAL_TENANTS_H
#define INDEX_LOCAL_TENANTS_H

#include "index.h"

struct tenants;

/* NULL without memory. */
struct tenants *tenants_new(size_t max_bytes);
void tenants_free(struct tenants *);
/* The tenant's set, an empty one when there is none yet; the caller unrefs. NULL without memory.
 * id: uuid text. */
struct index_set *tenants_get(struct tenants *, const char *id);
/* Makes the caller the one that brings the tenant's set up to date: 1; 0 while another does, -1
 * without memory. */
int tenants_begin(struct tenants *, const char *id);
/* Ends that; set (taken) replaces the tenant's, NULL leaves it. */
void tenants_end(struct tenants *, const char *id, struct index_set *set);
/* How much memory all sets take more than when this was last asked: for a gauge. */
ptrdiff_t tenants_grown(struct tenants *);
unsigned tenants_count(struct tenants *);

#endif
