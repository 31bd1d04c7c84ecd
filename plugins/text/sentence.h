/*
 * sentence.h: cuts a passage into sentences, list items, headings and lines of code.
 *
 * Pure, no allocation. The pieces are byte ranges of the passage, in order, without the white space
 * around them and, for list items, without the bullet.
 */
#ifndef PLUGINS_TEXT_SENTENCE_H
#define PLUGINS_TEXT_SENTENCE_H

#include <stddef.h>
#include <stdint.h>

enum sentence_kind {
	SENTENCE_PROSE,
	SENTENCE_ITEM, /* "- text", "1. text": the first sentence of the item; the rest is prose */
	SENTENCE_HEADING, /* "# text", or a short line of its own without a full stop */
	SENTENCE_CODE     /* a line indented by four columns or a tab, or inside ``` */
};

struct sentence {
	uint32_t begin, end;
	uint16_t kind;
	uint16_t paragraph; /* changes at blank lines, headings and items */
};

/* At most max are stored; the rest of the passage is left out. Returns how many were stored. */
size_t sentence_split(const char *p, size_t n, struct sentence *ret, size_t max);

#endif
