/*
 * extract.h: answers a question with sentences of the passages. Pure; memory by malloc, freed by
 * extract_free. One result belongs to one task.
 */
#ifndef EXTRACT_H
#define EXTRACT_H

#include <insula/insula.h>

#define EXTRACT_PASSAGES_MAX 32u
#define EXTRACT_SENTENCES_MAX 512u /* of all passages together */
#define EXTRACT_TERMS_MAX 256u     /* of one sentence or question */
#define EXTRACT_PICKS_MAX 12u

struct extract_passage {
	ins_str content, title;
	double score; /* the retriever's, 0..1 */
};

struct extract_limits {
	unsigned sentences; /* at most; 0 = the default, 6 */
	unsigned tokens;    /* at most, by extract_tokens(); 0 = no limit */
};

struct extract_piece {
	char *text; /* white space, markers and list signs included: pieces are sent one after the
		       other */
	unsigned passage; /* index of the passage it is from */
};

struct extract_result {
	struct extract_piece pieces[EXTRACT_PICKS_MAX];
	size_t n_pieces;
	unsigned cited[EXTRACT_PICKS_MAX]; /* passages in the order of their markers: [1] is
					      cited[0] */
	size_t n_cited;
	double coverage; /* idf-weighted share of the question's terms that the best passage holds
			  */
	int cut;         /* 1: the token limit ended it */
};

/*
 * Picks sentences. 0 with n_pieces == 0 when the passages hold no answer: no passage covers at
 * least EXTRACT_COVERAGE_MIN of the question. -INS_ENOMEM.
 *
 * Score of a sentence: BM25 (k1 1.2, b .5) of the question's terms, idf over all sentences of the
 * passages, plus the same for the heading above it, fading with the distance from the heading (a
 * page of questions and answers repeats the question there, and the answer seldom repeats its
 * words), times .5 + .5 * the passage's score. Then maximal marginal relevance (Carbonell and
 * Goldstein 1998) with lambda .7 and the Jaccard overlap of stems. Picked sentences stand in
 * document order within a passage, passages in the order of their best sentence.
 */
int extract_answer(const struct extract_passage *passages, size_t n, ins_str question,
    struct extract_limits limits, struct extract_result *ret);
void extract_free(struct extract_result *);

#define EXTRACT_COVERAGE_MIN .34

/* About how many tokens a language model would count: 4 for 3 words. */
unsigned extract_tokens(ins_str text);

#endif
