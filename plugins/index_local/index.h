/*
 * index.h: the index of one tenant at one moment: an immutable set of segments with the chunks in
 * them that are no longer true, and BM25 over it. A change makes a new set that shares what stayed
 * the same; readers keep the one they began with. Pure: no SQL, no host; any thread.
 *
 * Scores are a function of the live chunks alone, however they are spread over segments: document
 * frequencies count live chunks only, and ties go to the smaller chunk id.
 */
#ifndef INDEX_LOCAL_INDEX_H
#define INDEX_LOCAL_INDEX_H

#include "segment.h"

#define INDEX_PARTS_MAX 24u /* merging keeps sizes in geometric order: 2^24 times the smallest */
#define INDEX_QUERY_TERMS_MAX 64u
#define INDEX_TOP_MAX 100u
#define INDEX_TITLE_BOOST \
	2.0 /* Cranfield, development fold: nDCG@10 .521 at 0, .526 at 1, .527 at 2 */

struct index_part {
	struct segment *segment;
	uint8_t *dead; /* a bit per chunk, owned; NULL = none */
	uint32_t n_dead;
};

struct index_set {
	int refs;
	unsigned n_parts;
	struct index_part parts[INDEX_PARTS_MAX];
	uint32_t n_chunks, n_documents; /* live */
	uint64_t text_len, title_len;   /* terms of the live chunks */
	size_t bytes;
	/* how far it follows PostgreSQL: kept by whoever pulls, copied along */
	int64_t complete;        /* all changes up to this number are in it */
	int64_t document_change; /* the last document change applied */
	int64_t chunk_change;    /* the last chunk row read: its change number and place */
	int32_t chunk_ordinal;
};

struct index_params {
	double k1, b;
	double title_boost; /* a word of the title counts as so many words of the text */
};

/* A document that changed: its chunks of versions below `version` are no longer true; all of them,
 * when it is gone. */
struct index_change {
	uint8_t document[16];
	uint32_t version;
	int gone;
};

struct index_set *index_set_new(void); /* an empty one */
struct index_set *index_set_ref(struct index_set *);
void index_set_unref(struct index_set *);
/* A new set: old without what the changes end, plus `added` (taken; may be NULL or empty), merged
 * when there are too many segments. NULL without memory. */
struct index_set *index_set_apply(
    const struct index_set *old, const struct index_change *, size_t n, struct segment *added);

struct index_term {
	char word[TERM_MAX];    /* as asked, folded */
	uint8_t term_n, weight; /* weight: times it stands in the query */
	char term[TERM_MAX];
	uint32_t df;
	double idf;
	int found; /* in the best chunk */
};

struct index_hit {
	const struct seg_chunk *chunk;
	const struct seg_document *document;
	double score;      /* raw BM25 */
	double normalised; /* of the most that this query could score, 0..1 */
	double coverage;   /* idf-weighted share of the query's terms in this chunk */
	uint64_t terms;    /* bit i: holds term i */
};

struct index_query {
	struct index_term terms[INDEX_QUERY_TERMS_MAX];
	unsigned n_terms;
	uint64_t postings; /* how many the search will read: the price */
	struct index_hit hits[INDEX_TOP_MAX];
	unsigned n_hits;
};

/* Analyses the text and looks the terms up; 0, or -1 without memory. */
int index_query_init(struct index_query *, const struct index_set *, const char *text, size_t n);
/* Fills hits, best first, at most top (<= INDEX_TOP_MAX), those that accept() agrees to (NULL =
 * all). They point into the set. 0, or -1 without memory. */
int index_search(struct index_query *, const struct index_set *, const struct index_params *,
    unsigned top, int (*accept)(void *arg, const struct seg_document *), void *arg);

#endif
