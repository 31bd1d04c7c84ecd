/* index.c: sets: what changes end, and merging. See index.h; the search is in index_search.c. */
#include "index.h"

#include <stdlib.h>
#include <string.h>

struct index_set *
index_set_new(void)
{
	struct index_set *s = calloc(1, sizeof *s);

	if (s != NULL) {
		s->refs = 1;
		s->bytes = sizeof *s;
	}
	return s;
}

struct index_set *
index_set_ref(struct index_set *s)
{
	__atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
	return s;
}

void
index_set_unref(struct index_set *s)
{
	unsigned i;

	if (s == NULL || __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	for (i = 0; i < s->n_parts; i++) {
		segment_unref(s->parts[i].segment);
		free(s->parts[i].dead);
	}
	free(s);
}

/* Changes by document id: open addressing over the caller's array. */
struct change_map {
	const struct index_change *changes;
	uint32_t *slots, mask;
};

static uint32_t
id_hash(const uint8_t id[16])
{
	uint64_t v;

	memcpy(&v, id + 8, 8); /* the random half of a version 7 uuid */
	return (uint32_t)(v ^ (v >> 32));
}

static int
map_init(struct change_map *m, const struct index_change *c, size_t n)
{
	size_t cap = 16, i;
	uint32_t k;

	while (cap < n * 2)
		cap *= 2;
	m->changes = c;
	m->mask = (uint32_t)cap - 1;
	m->slots = calloc(cap, sizeof *m->slots);
	if (m->slots == NULL)
		return -1;
	for (i = 0; i < n; i++) {
		for (k = id_hash(c[i].document) & m->mask; m->slots[k] != 0; k = (k + 1) & m->mask)
			continue;
		m->slots[k] = (uint32_t)i + 1;
	}
	return 0;
}

/* A document may have changed more than once. */
static int
map_ends(const struct change_map *m, const struct seg_document *d)
{
	uint32_t k;

	for (k = id_hash(d->id) & m->mask; m->slots[k] != 0; k = (k + 1) & m->mask) {
		const struct index_change *c = &m->changes[m->slots[k] - 1];

		if (memcmp(c->document, d->id, 16) == 0 && (c->gone || d->version < c->version))
			return 1;
	}
	return 0;
}

/* Marks what the changes end in a part; 0 or -1. */
static int
part_kill(struct index_part *p, const struct change_map *m)
{
	const struct segment *s = p->segment;
	uint8_t *ended = calloc(s->n_documents + 1, 1);
	uint32_t i, any = 0;
	int r = -1;

	if (ended == NULL)
		return -1;
	for (i = 0; i < s->n_documents; i++)
		any |= ended[i] = (uint8_t)map_ends(m, &s->documents[i]);
	r = 0;
	if (any && p->dead == NULL)
		r = (p->dead = calloc(s->n_chunks / 8 + 1, 1)) == NULL ? -1 : 0;
	for (i = 0; any && r == 0 && i < s->n_chunks; i++)
		if (ended[s->chunks[i].document] && !((p->dead[i >> 3] >> (i & 7)) & 1)) {
			p->dead[i >> 3] |= (uint8_t)(1u << (i & 7));
			p->n_dead++;
		}
	free(ended);
	return r;
}

static int
part_copy(struct index_part *to, const struct index_part *from)
{
	size_t n = from->segment->n_chunks / 8 + 1;

	memset(to, 0, sizeof *to);
	if (from->dead != NULL) {
		to->dead = malloc(n);
		if (to->dead == NULL)
			return -1;
		memcpy(to->dead, from->dead, n);
		to->n_dead = from->n_dead;
	}
	to->segment = segment_ref(from->segment);
	return 0;
}

static uint32_t
part_live(const struct index_part *p)
{
	return p->segment->n_chunks - p->n_dead;
}

/* Replaces the parts from `first` on by one. */
static int
merge_from(struct index_set *s, unsigned first)
{
	struct segment_builder *b = segment_builder_new();
	struct segment *seg;
	unsigned i;

	if (b == NULL)
		return -1;
	for (i = first; i < s->n_parts; i++)
		segment_builder_copy(b, s->parts[i].segment, s->parts[i].dead);
	seg = segment_builder_finish(b);
	if (seg == NULL)
		return -1;
	for (i = first; i < s->n_parts; i++) {
		segment_unref(s->parts[i].segment);
		free(s->parts[i].dead);
	}
	s->n_parts = first + 1;
	s->parts[first] = (struct index_part){ .segment = seg };
	return 0;
}

/* Each part holds at least twice as many live chunks as the next one: log2(n) parts, and a chunk is
 * copied log2(n) times in its life. */
static int
merge(struct index_set *s)
{
	unsigned i, first = s->n_parts;
	uint64_t tail = 0;

	for (i = s->n_parts; i-- > 0;) {
		const struct index_part *p = &s->parts[i];

		if (part_live(p) < 2 * tail || p->n_dead * 2 > p->segment->n_chunks)
			first = i; /* a part that is mostly dead is written anew too */
		tail += part_live(p);
	}
	return first < s->n_parts ? merge_from(s, first) : 0;
}

static void
count(struct index_set *s)
{
	unsigned i;
	uint32_t k;

	s->n_chunks = s->n_documents = 0;
	s->text_len = s->title_len = 0;
	s->bytes = sizeof *s;
	for (i = 0; i < s->n_parts; i++) {
		const struct index_part *p = &s->parts[i];
		const struct segment *seg = p->segment;

		s->bytes += seg->bytes + (p->dead != NULL ? seg->n_chunks / 8 + 1 : 0);
		for (k = 0; k < seg->n_chunks; k++) {
			if (p->dead != NULL && (p->dead[k >> 3] >> (k & 7)) & 1)
				continue;
			s->n_chunks++;
			s->n_documents += seg->chunks[k].first;
			s->text_len += seg->chunks[k].text_len;
			s->title_len += seg->chunks[k].title_len;
		}
	}
}

struct index_set *
index_set_apply(
    const struct index_set *old, const struct index_change *c, size_t n, struct segment *added)
{
	struct index_set *s = index_set_new();
	struct change_map m = { NULL, NULL, 0 };
	int r = s == NULL ? -1 : 0;
	unsigned i;

	if (added != NULL && added->n_chunks == 0) {
		segment_unref(added);
		added = NULL;
	}
	if (r == 0 && n > 0)
		r = map_init(&m, c, n);
	for (i = 0; r == 0 && i < old->n_parts; i++) {
		struct index_part *p = &s->parts[s->n_parts];

		r = part_copy(p, &old->parts[i]);
		if (r != 0)
			break;
		s->n_parts++;
		if (n > 0)
			r = part_kill(p, &m);
		if (r == 0 && part_live(p) == 0) {
			segment_unref(p->segment);
			free(p->dead);
			s->n_parts--;
		}
	}
	free(m.slots);
	if (r == 0 && added != NULL && s->n_parts == INDEX_PARTS_MAX)
		r = merge_from(s, 0);
	if (r == 0 && added != NULL) {
		s->parts[s->n_parts++] = (struct index_part){ .segment = added };
		added = NULL;
	}
	segment_unref(added);
	if (r == 0)
		r = merge(s);
	if (r != 0) {
		index_set_unref(s);
		return NULL;
	}
	count(s);
	s->complete = old->complete;
	s->document_change = old->document_change;
	s->chunk_change = old->chunk_change;
	s->chunk_ordinal = old->chunk_ordinal;
	return s;
}
