/*
 * terms.h: words, stems and stop words of English text, for the plugins that compare a question
 * with passages.
 *
 * Pure: no I/O, no state but the stemmer, which belongs to one task at a time. A term is known by a
 * 64-bit hash of its stem: sets of terms are sorted arrays of numbers, and a collision (one in 2^40
 * or so for a few thousand terms) costs a slightly wrong score, nothing else.
 */
#ifndef PLUGINS_TEXT_TERMS_H
#define PLUGINS_TEXT_TERMS_H

#include <stddef.h>
#include <stdint.h>

#define TERMS_WORD_MAX                                                            \
	64u /* bytes; longer words are cut, which keeps base64 out of the stemmer \
	     */

struct terms_stemmer;

/* NULL when memory is out. */
struct terms_stemmer *terms_stemmer_new(void);
void terms_stemmer_free(struct terms_stemmer *);

struct term {
	uint64_t hash;       /* of the stem */
	uint32_t begin, end; /* bytes in the text */
	uint32_t stop;       /* 1: a word like "the" or "how", which says nothing of the subject */
};

/*
 * The words of p[0..n), in order; at most max are stored. Returns how many there are. A word is a
 * run of letters, digits and bytes above 127; '.', '-', '_', '+' and '\'' inside a word join its
 * parts ("apt-get", "3.1") and each part of a hyphenated word does not count again.
 */
size_t terms_scan(
    struct terms_stemmer *, const char *p, size_t n, struct term *ret_terms, size_t max);

/* Sorts and removes doubles; returns how many are left. */
size_t terms_unique(uint64_t *hashes, size_t n);
int terms_has(const uint64_t *sorted, size_t n, uint64_t hash);

#endif
