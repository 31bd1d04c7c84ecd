/* extract_int.h: between extract.c, which picks sentences, and extract_join.c, which writes them
 * down. */
#ifndef EXTRACT_INT_H
#define EXTRACT_INT_H

#include "extract.h"
#include "plugins/text/sentence.h"
#include "plugins/text/terms.h"

struct pick_sentence {
	struct sentence at;
	ins_str text; /* borrowed from the passage */
	uint64_t *terms;
	size_t n_terms, n_words;
	double score;
	unsigned passage, since; /* since: sentences from the heading, or the passage's start */
	int heading;             /* index of the heading above it, -1 = none */
	int picked;
};

struct picker {
	struct terms_stemmer *stemmer;
	struct pick_sentence *v;
	size_t n;
	uint64_t *question;
	size_t n_question;
	double idf[EXTRACT_TERMS_MAX];
};

/* Writes the picked sentences: see extract.h. order: best first. */
int extract_join(const struct picker *, const size_t *order, size_t n_order, unsigned max_tokens,
    struct extract_result *ret);

#endif
