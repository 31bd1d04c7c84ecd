/*
 * segment.c: see segment.h. The builder keeps a growing byte string per term and joins them at the
 * end; merging copies postings from finished segments, so a merge never needs the text again.
 */
#include "segment.h"

#include <stdlib.h>
#include <string.h>

#define POSTINGS_MAX UINT32_MAX
#define CHUNKS_MAX (UINT32_MAX / 4) /* a delta leaves a bit for the flag */

struct build_term {
	uint32_t name, df, last; /* last: chunk number + 1 */
	uint32_t len, cap;
	uint8_t *p;
	uint32_t text_tf, title_tf; /* of the chunk being added */
};

struct segment_builder {
	struct analyzer *analyzer;
	struct segment *seg;
	uint32_t cap_chunks, cap_documents;
	struct build_term *terms;
	uint32_t n_terms, cap_terms;
	uint32_t *table, table_mask;
	char *names;
	uint32_t names_n, names_cap;
	uint32_t *touched; /* terms of the chunk being added */
	uint32_t n_touched, cap_touched;
	int in_title, failed;
};

static uint32_t
hash(const char *p, size_t n)
{
	uint32_t h =
	    2166136261u; /* FNV-1a; the terms of a tenant only slow that tenant's own index */
	size_t i;

	for (i = 0; i < n; i++)
		h = (h ^ (uint8_t)p[i]) * 16777619u;
	return h ^ (h >> 15);
}

struct segment *
segment_ref(struct segment *s)
{
	__atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
	return s;
}

void
segment_unref(struct segment *s)
{
	if (s == NULL || __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	free(s->chunks);
	free(s->documents);
	free(s->terms);
	free(s->table);
	free(s->names);
	free(s->postings);
	free(s);
}

static int
name_is(const char *names, uint32_t at, const char *p, size_t n)
{
	return (uint8_t)names[at] == n && memcmp(names + at + 1, p, n) == 0;
}

const struct seg_term *
segment_find(const struct segment *s, const char *p, size_t n)
{
	uint32_t i, t;

	for (i = hash(p, n) & s->table_mask; (t = s->table[i]) != 0; i = (i + 1) & s->table_mask)
		if (name_is(s->names, s->terms[t - 1].name, p, n))
			return &s->terms[t - 1];
	return NULL;
}

void
posting_begin(const struct segment *s, const struct seg_term *t, struct posting_iter *it)
{
	it->p = s->postings + t->at;
	it->end = it->p + t->len;
	it->chunk = 0;
}

/* Makes room for one more of size bytes; *p may move. */
static int
grow(struct segment_builder *b, void **p, uint32_t n, uint32_t *cap, size_t size)
{
	uint32_t want = *cap == 0 ? 64 : *cap * 2;
	void *q;

	if (n < *cap)
		return 0;
	q = n >= CHUNKS_MAX ? NULL : realloc(*p, want * size);
	if (q == NULL) {
		b->failed = 1;
		return -1;
	}
	*p = q;
	*cap = want;
	return 0;
}

struct segment_builder *
segment_builder_new(void)
{
	struct segment_builder *b = calloc(1, sizeof *b);

	if (b == NULL)
		return NULL;
	b->seg = calloc(1, sizeof *b->seg);
	b->table_mask = 1023;
	b->table = calloc(b->table_mask + 1, sizeof *b->table);
	b->failed = b->seg == NULL || b->table == NULL;
	return b;
}

static void
rehash(struct segment_builder *b)
{
	uint32_t mask = b->table_mask * 2 + 1, i, k;
	uint32_t *t = calloc((size_t)mask + 1, sizeof *t);

	if (t == NULL) {
		b->failed = 1;
		return;
	}
	for (i = 0; i < b->n_terms; i++) {
		const char *name = b->names + b->terms[i].name;

		for (k = hash(name + 1, (uint8_t)name[0]) & mask; t[k] != 0; k = (k + 1) & mask)
			continue;
		t[k] = i + 1;
	}
	free(b->table);
	b->table = t;
	b->table_mask = mask;
}

/* The term's place, made if new; UINT32_MAX when memory ends. */
static uint32_t
intern(struct segment_builder *b, const char *p, size_t n)
{
	uint32_t i, t;
	char *q;

	for (i = hash(p, n) & b->table_mask; (t = b->table[i]) != 0; i = (i + 1) & b->table_mask)
		if (name_is(b->names, b->terms[t - 1].name, p, n))
			return t - 1;
	if (grow(b, (void **)&b->terms, b->n_terms, &b->cap_terms, sizeof *b->terms) != 0)
		return UINT32_MAX;
	if (b->names_n + n + 1 > b->names_cap) {
		q = b->names_cap > UINT32_MAX / 4 ? NULL
						  : realloc(b->names, b->names_cap * 2 + 4096);
		if (q == NULL) {
			b->failed = 1;
			return UINT32_MAX;
		}
		b->names = q;
		b->names_cap = b->names_cap * 2 + 4096;
	}
	t = b->n_terms++;
	memset(&b->terms[t], 0, sizeof b->terms[t]);
	b->terms[t].name = b->names_n;
	b->names[b->names_n] = (char)n;
	memcpy(b->names + b->names_n + 1, p, n);
	b->names_n += (uint32_t)n + 1;
	b->table[i] = t + 1;
	if (b->n_terms * 2 > b->table_mask)
		rehash(b);
	return t;
}

static void
add_posting(struct segment_builder *b, struct build_term *t, uint32_t chunk, uint32_t text_tf,
    uint32_t title_tf)
{
	uint32_t simple = text_tf == 1 && title_tf == 0, v;
	uint8_t *q;

	if (t->cap - t->len < 8) {
		uint32_t cap = t->cap == 0 ? 16 : t->cap * 2;

		q = t->cap > POSTINGS_MAX / 4 ? NULL : realloc(t->p, cap);
		if (q == NULL) {
			b->failed = 1;
			return;
		}
		t->p = q;
		t->cap = cap;
	}
	v = (chunk + 1 - t->last) << 1 | simple;
	t->last = chunk + 1;
	t->df++;
	for (; v >= 0x80; v >>= 7)
		t->p[t->len++] = (uint8_t)(v | 0x80);
	t->p[t->len++] = (uint8_t)v;
	if (!simple) {
		t->p[t->len++] = (uint8_t)(text_tf > 255 ? 255 : text_tf);
		t->p[t->len++] = (uint8_t)(title_tf > 255 ? 255 : title_tf);
	}
}

static void
on_term(void *arg, const char *term, size_t n, const char *word, size_t word_n)
{
	struct segment_builder *b = arg;
	struct seg_chunk *c = &b->seg->chunks[b->seg->n_chunks];
	struct build_term *t;
	uint32_t i;

	if (b->failed || n == 0)
		return;
	i = intern(b, term, n);
	if (i == UINT32_MAX ||
	    grow(b, (void **)&b->touched, b->n_touched, &b->cap_touched, sizeof *b->touched) != 0)
		return;
	t = &b->terms[i];
	if (t->text_tf == 0 && t->title_tf == 0)
		b->touched[b->n_touched++] = i;
	if (b->in_title) {
		t->title_tf++;
		c->title_len += c->title_len < UINT16_MAX;
	} else {
		t->text_tf++;
		c->text_len++;
	}
}

/* The number of the document; a new one unless it is the last one's. */
static int
document_of(struct segment_builder *b, const uint8_t id[16], uint32_t version, uint32_t *ret)
{
	struct segment *s = b->seg;

	if (s->n_documents > 0) {
		const struct seg_document *d = &s->documents[s->n_documents - 1];

		if (memcmp(d->id, id, 16) == 0 && d->version == version) {
			*ret = s->n_documents - 1;
			return 0;
		}
	}
	if (grow(b, (void **)&s->documents, s->n_documents, &b->cap_documents,
		sizeof *s->documents) != 0)
		return -1;
	memcpy(s->documents[s->n_documents].id, id, 16);
	s->documents[s->n_documents].version = version;
	*ret = s->n_documents++;
	return 0;
}

void
segment_builder_add(struct segment_builder *b, const uint8_t chunk[16], const uint8_t document[16],
    uint32_t version, int first, const char *title, size_t title_n, const char *text, size_t text_n)
{
	struct segment *s = b->seg;
	struct seg_chunk *c;
	uint32_t i;

	if (!b->failed && b->analyzer == NULL)
		b->failed = (b->analyzer = analyzer_new()) == NULL;
	if (b->failed ||
	    grow(b, (void **)&s->chunks, s->n_chunks, &b->cap_chunks, sizeof *s->chunks) != 0)
		return;
	c = &s->chunks[s->n_chunks];
	memset(c, 0, sizeof *c);
	memcpy(c->id, chunk, 16);
	c->first = (uint16_t)(first != 0);
	if (document_of(b, document, version, &c->document) != 0)
		return;
	b->n_touched = 0;
	b->in_title = 1;
	analyze(b->analyzer, title, title_n, on_term, b);
	b->in_title = 0;
	analyze(b->analyzer, text, text_n, on_term, b);
	for (i = 0; i < b->n_touched; i++) {
		struct build_term *t = &b->terms[b->touched[i]];

		add_posting(b, t, s->n_chunks, t->text_tf, t->title_tf);
		t->text_tf = t->title_tf = 0;
	}
	s->n_chunks++;
}

void
segment_builder_copy(struct segment_builder *b, const struct segment *from, const uint8_t *dead)
{
	struct segment *s = b->seg;
	uint32_t *to = malloc((from->n_chunks + 1) * sizeof *to), i, k;
	struct posting_iter it;
	struct posting p;

	if (to == NULL)
		b->failed = 1;
	for (i = 0; i < from->n_chunks && !b->failed; i++) {
		const struct seg_chunk *c = &from->chunks[i];
		const struct seg_document *d = &from->documents[c->document];

		to[i] = UINT32_MAX;
		if ((dead != NULL && (dead[i >> 3] >> (i & 7)) & 1) ||
		    grow(b, (void **)&s->chunks, s->n_chunks, &b->cap_chunks, sizeof *s->chunks) !=
			0)
			continue;
		s->chunks[s->n_chunks] = *c;
		if (document_of(b, d->id, d->version, &s->chunks[s->n_chunks].document) != 0)
			break;
		to[i] = s->n_chunks++;
	}
	for (i = 0; i < from->n_terms && !b->failed; i++) {
		const char *name = from->names + from->terms[i].name;

		k = UINT32_MAX;
		posting_begin(from, &from->terms[i], &it);
		while (posting_next(&it, &p)) {
			if (to[p.chunk] == UINT32_MAX)
				continue;
			if (k == UINT32_MAX)
				k = intern(b, name + 1, (uint8_t)name[0]);
			if (k == UINT32_MAX)
				break;
			add_posting(b, &b->terms[k], to[p.chunk], p.text_tf, p.title_tf);
		}
	}
	free(to);
}

/* Gives back what growing left over; a failing realloc leaves the old block, which is as good. */
static void
shrink(void *pp, size_t n)
{
	void **p = pp, *q;

	if (n > 0 && (q = realloc(*p, n)) != NULL)
		*p = q;
}

struct segment *
segment_builder_finish(struct segment_builder *b)
{
	struct segment *s = b->seg;
	size_t total = 0;
	uint32_t i;

	for (i = 0; i < b->n_terms; i++)
		total += b->terms[i].len;
	if (total > POSTINGS_MAX)
		b->failed = 1;
	if (!b->failed) {
		s->terms = malloc((b->n_terms + 1) * sizeof *s->terms);
		s->postings = malloc(total + 1);
		b->failed = s->terms == NULL || s->postings == NULL;
	}
	total = 0;
	for (i = 0; i < b->n_terms; i++) {
		struct build_term *t = &b->terms[i];

		if (!b->failed) {
			s->terms[i] = (struct seg_term){ t->name, t->df, (uint32_t)total, t->len };
			if (t->len > 0)
				memcpy(s->postings + total, t->p, t->len);
		}
		total += t->len;
		free(t->p);
	}
	if (!b->failed) {
		s->refs = 1;
		s->n_terms = b->n_terms;
		s->table = b->table;
		s->table_mask = b->table_mask;
		s->names = b->names;
		shrink(&s->names, b->names_n);
		shrink(&s->chunks, s->n_chunks * sizeof *s->chunks);
		shrink(&s->documents, s->n_documents * sizeof *s->documents);
		s->bytes = sizeof *s + s->n_chunks * sizeof *s->chunks +
		    s->n_documents * sizeof *s->documents + s->n_terms * sizeof *s->terms +
		    ((size_t)s->table_mask + 1) * 4 + b->names_n + total;
		b->table = NULL;
		b->names = NULL;
	} else if (s != NULL) {
		s->refs = 1;
		segment_unref(s);
		s = NULL;
	}
	analyzer_free(b->analyzer);
	free(b->terms);
	free(b->table);
	free(b->names);
	free(b->touched);
	free(b);
	return s;
}
