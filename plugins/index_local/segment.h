/*
 * segment.h: an immutable inverted index over some chunks of one tenant. Built once, then only
 * read: any number of threads may search it. Deletions live outside, in the set that holds it
 * (index.h).
 *
 * A posting list is delta-coded bytes, two per posting at most in the common case; the text itself
 * is not kept.
 */
#ifndef INDEX_LOCAL_SEGMENT_H
#define INDEX_LOCAL_SEGMENT_H

#include <stddef.h>
#include <stdint.h>

#include "analyze.h"

struct seg_document {
	uint8_t id[16];
	uint32_t version;
};

struct seg_chunk {
	uint8_t id[16];
	uint32_t document; /* into documents */
	uint32_t text_len; /* terms */
	uint16_t title_len;
	uint16_t first; /* the document's first chunk: counts documents */
};

struct seg_term {
	uint32_t name;    /* offset into names */
	uint32_t df;      /* chunks that hold it */
	uint32_t at, len; /* bytes of postings */
};

struct segment {
	int refs;
	uint32_t n_chunks, n_documents, n_terms;
	struct seg_chunk *chunks;
	struct seg_document *documents;
	struct seg_term *terms;
	uint32_t *table; /* open addressing: term number + 1, 0 = free */
	uint32_t table_mask;
	char *names; /* length byte, then the bytes */
	uint8_t *postings;
	size_t bytes; /* of memory, in all */
};

struct segment *segment_ref(struct segment *);
void segment_unref(struct segment *);
/* NULL when no chunk holds the term. */
const struct seg_term *segment_find(const struct segment *, const char *term, size_t n);

struct posting {
	uint32_t chunk;
	uint32_t text_tf, title_tf; /* at most 255 each */
};

struct posting_iter {
	const uint8_t *p, *end;
	uint32_t chunk;
};
void posting_begin(const struct segment *, const struct seg_term *, struct posting_iter *);
/* 1 and the next posting, in order of chunks; 0 at the end. */
static inline int
posting_next(struct posting_iter *it, struct posting *ret)
{
	uint32_t v = 0, shift = 0;
	uint8_t b;

	if (it->p == it->end)
		return 0;
	do {
		b = *it->p++;
		v |= (uint32_t)(b & 0x7f) << shift;
		shift += 7;
	} while (b & 0x80);
	it->chunk += v >> 1;
	ret->chunk = it->chunk - 1;
	if (v & 1) {
		ret->text_tf = 1;
		ret->title_tf = 0;
	} else {
		ret->text_tf = *it->p++;
		ret->title_tf = *it->p++;
	}
	return 1;
}

/* Builds one. Any failing allocation is remembered: finish then returns NULL. */
struct segment_builder;
struct segment_builder *segment_builder_new(void);
/* title and text become terms. Chunks of one document stand together. */
void segment_builder_add(struct segment_builder *, const uint8_t chunk[16],
    const uint8_t document[16], uint32_t version, int first, const char *title, size_t title_n,
    const char *text, size_t text_n);
/* Copies the chunks of another segment whose bit in dead (NULL = none) is clear. */
void segment_builder_copy(struct segment_builder *, const struct segment *, const uint8_t *dead);
/* Frees the builder. */
struct segment *segment_builder_finish(struct segment_builder *);

#endif
