/*
 * auth_cache.h: two bounded tables of one event loop, keyed by SHA-256 of a credential: what was
 * accepted, and (apart from it, so that garbage displaces no good entry) what was refused.
 */
#ifndef AUTH_CACHE_H
#define AUTH_CACHE_H

#include <stddef.h>
#include <stdint.h>

#define CACHE_KEY_LEN 32u

struct cache; /* fixed number of slots of fixed size; second-chance (CLOCK) eviction */

/* slots: 1 .. 1 << 20. drop (may be NULL) lets go of what a value holds when it is replaced or
 * evicted, and at the end. NULL when there is no memory. */
struct cache *cache_new(unsigned slots, size_t value_size, void (*drop)(void *value));
void cache_free(struct cache *);

/* The value under a key, or NULL. Stays where it is until the next cache_put or cache_remove: do
 * not keep it across an await. */
void *cache_get(struct cache *, const unsigned char key[CACHE_KEY_LEN]);

/* A zeroed value under a key; one that was there is dropped, the least used one is when the table
 * is full. */
void *cache_put(struct cache *, const unsigned char key[CACHE_KEY_LEN]);

void cache_remove(struct cache *, const unsigned char key[CACHE_KEY_LEN]);
unsigned cache_count(const struct cache *);

#endif
