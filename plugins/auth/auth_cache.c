/*
 * auth_cache.c: a fixed-size hash table with second-chance eviction.
 *
 * Loop-affine: no locks. All memory is taken at the start (untouched pages cost nothing), so a
 * flood of credentials cannot make it grow, and a hit is one hash step, one compare and one store.
 * CLOCK rather than a list of least recent use: a hit writes one byte instead of six pointers, and
 * a burst of entries that are seen once leaves those that are seen often.
 */
#include "auth_cache.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX

struct slot {
	unsigned char key[CACHE_KEY_LEN];
	uint32_t next; /* in its bucket; in the free list for an empty slot */
	uint8_t used;  /* there is a value */
	uint8_t hit;   /* since the clock's hand last came by */
	max_align_t value[];
};

struct cache {
	unsigned slots, count, hand, mask;
	size_t value_size, slot_size;
	void (*drop)(void *);
	uint32_t free_list;
	uint32_t *buckets;
	unsigned char *memory;
};

static struct slot *
slot_at(const struct cache *c, uint32_t i)
{
	return (struct slot *)(c->memory + c->slot_size * i);
}

struct cache *
cache_new(unsigned slots, size_t value_size, void (*drop)(void *))
{
	struct cache *c = calloc(1, sizeof *c);
	size_t align = _Alignof(max_align_t);
	unsigned buckets = 1;

	assert(slots >= 1 && slots <= 1u << 20);
	if (c == NULL)
		return NULL;
	while (buckets < slots)
		buckets *= 2;
	c->slots = slots;
	c->mask = buckets - 1;
	c->value_size = value_size;
	c->slot_size = (sizeof(struct slot) + value_size + align - 1) / align * align;
	c->drop = drop;
	c->free_list = NONE; /* slots that were never used are found by the hand */
	c->buckets = malloc(buckets * sizeof *c->buckets);
	c->memory = calloc(slots, c->slot_size);
	if (c->buckets == NULL || c->memory == NULL) {
		free(c->buckets);
		free(c->memory);
		free(c);
		return NULL;
	}
	memset(c->buckets, 0xff, buckets * sizeof *c->buckets);
	return c;
}

void
cache_free(struct cache *c)
{
	if (c == NULL)
		return;
	for (unsigned i = 0; i < c->slots && c->drop != NULL; i++)
		if (slot_at(c, i)->used)
			c->drop(slot_at(c, i)->value);
	free(c->buckets);
	free(c->memory);
	free(c);
}

/* Keys are digests (or hold a random uuid): any of their bits are as good as a hash, folded so that
 * a uuid's time part alone does not decide. */
static uint32_t
bucket_of(const struct cache *c, const unsigned char *key)
{
	uint64_t w[4];

	memcpy(w, key, sizeof w);
	w[0] ^= w[1] ^ w[2] ^ w[3];
	return (uint32_t)(w[0] * UINT64_C(0x9e3779b97f4a7c15) >> 32) & c->mask;
}

/* The link that points to the key's slot, or the NONE at the end of its bucket. */
static uint32_t *
find(const struct cache *c, const unsigned char *key)
{
	uint32_t *link = &c->buckets[bucket_of(c, key)];

	while (*link != NONE && memcmp(slot_at(c, *link)->key, key, CACHE_KEY_LEN) != 0)
		link = &slot_at(c, *link)->next;
	return link;
}

void *
cache_get(struct cache *c, const unsigned char key[CACHE_KEY_LEN])
{
	uint32_t i = *find(c, key);

	if (i == NONE)
		return NULL;
	slot_at(c, i)->hit = 1;
	return slot_at(c, i)->value;
}

static void
empty(struct cache *c, uint32_t i)
{
	struct slot *s = slot_at(c, i);

	if (c->drop != NULL)
		c->drop(s->value);
	memset(s->value, 0, c->value_size);
	s->used = s->hit = 0;
	c->count--;
}

void
cache_remove(struct cache *c, const unsigned char key[CACHE_KEY_LEN])
{
	uint32_t *link = find(c, key), i = *link;

	if (i == NONE)
		return;
	*link = slot_at(c, i)->next;
	empty(c, i);
	slot_at(c, i)->next = c->free_list;
	c->free_list = i;
}

/* A slot to fill: a freed one, one never used, or the first that was not hit since the hand's last
 * round. Ends within two rounds: the first clears all marks. */
static uint32_t
claim(struct cache *c)
{
	uint32_t i = c->free_list;

	if (i != NONE) {
		c->free_list = slot_at(c, i)->next;
		return i;
	}
	for (;;) {
		struct slot *s = slot_at(c, i = c->hand);

		c->hand = c->hand + 1 == c->slots ? 0 : c->hand + 1;
		if (!s->used)
			return i;
		if (!s->hit) {
			*find(c, s->key) = s->next;
			empty(c, i);
			return i;
		}
		s->hit = 0;
	}
}

void *
cache_put(struct cache *c, const unsigned char key[CACHE_KEY_LEN])
{
	uint32_t *link = find(c, key), i = *link;
	struct slot *s;

	if (i != NONE) {
		empty(c, i);
	} else {
		i = claim(c); /* may change the bucket: look for its head again */
		link = &c->buckets[bucket_of(c, key)];
		slot_at(c, i)->next = *link;
		*link = i;
		memcpy(slot_at(c, i)->key, key, CACHE_KEY_LEN);
	}
	s = slot_at(c, i);
	s->used = 1;
	c->count++;
	return s->value;
}

unsigned
cache_count(const struct cache *c)
{
	return c->count;
}
