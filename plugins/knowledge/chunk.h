/*
 * chunk.h: cuts a document into passages along its structure. Pure.
 *
 * A heading begins a section, and a passage never spans two. Within a section blocks are packed up
 * to about 400 tokens; paragraphs longer than that are cut between sentences, tables and code stay
 * whole up to 1,600 tokens and are cut between lines past that. Where a section is cut, up to a
 * tenth of the passage is repeated, whole sentences only. A passage is always text[start, end) of
 * the document, so offsets are exact. The numbers: independent comparisons find 200 to 512 tokens
 * with little overlap as good as anything.
 */
#ifndef KNOWLEDGE_CHUNK_H
#define KNOWLEDGE_CHUNK_H

#include <stddef.h>
#include <stdint.h>

#define CHUNK_TOKENS 400u
#define CHUNK_TOKENS_HARD 1600u /* of a table or a piece of code */
#define CHUNK_OVERLAP 40u
#define CHUNK_SECTION_MAX 300u /* bytes of a passage's path of headings */
#define CHUNKS_MAX 50000u      /* of a document */

enum chunk_block_type { CHUNK_HEADING, CHUNK_PARAGRAPH, CHUNK_LIST_ITEM, CHUNK_CODE, CHUNK_TABLE };

struct chunk_block {
	uint32_t start, end; /* code points, ascending, not overlapping */
	uint32_t page;
	uint8_t type, level; /* level 1..6 of headings */
};

struct chunk {
	uint32_t start, end; /* code points */
	size_t at, n;        /* bytes */
	uint32_t tokens, page;
	char section[CHUNK_SECTION_MAX + 1]; /* "Chapter > Part" */
};

struct chunks {
	struct chunk *p;
	size_t n, cap;
};

/* About how many tokens a language model would count: four for three words, more for long ones, one
 * for each character of scripts without spaces. */
uint32_t chunk_tokens(const char *p, size_t n);
/* 0; -1 without memory, past CHUNKS_MAX (*why says it), or when the blocks do not fit the text. */
int chunk_split(const char *text, size_t n, const struct chunk_block *, size_t n_blocks,
    struct chunks *ret, const char **why);
void chunks_fini(struct chunks *);

#endif
