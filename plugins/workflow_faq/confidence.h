/*
 * confidence.h: how likely it is that the passages found hold an answer to the question.
 *
 * Pure: measures a few features of what the retriever returned and puts them through a logistic
 * function. tests/bench/fit_confidence.c computes the coefficients, with this same code.
 */
#ifndef FAQ_CONFIDENCE_H
#define FAQ_CONFIDENCE_H

#include <insula/insula.h>

#define CONFIDENCE_ANSWER .8 /* from here on: an answer */
#define CONFIDENCE_LOW .5    /* from here on: an answer of a stronger tier, or one marked as such */

enum {
	FEATURE_COVERAGE, /* idf-weighted share of the question's terms in the best passage */
	FEATURE_SENTENCE, /* the same for its best single sentence, heading or title */
	FEATURE_SCORE,    /* the retriever's normalised score of the best passage */
	FEATURE_MARGIN,   /* (first - second) / first, of raw scores */
	FEATURE_UNKNOWN,  /* idf-weighted share of terms that no passage found holds */
	FEATURE_RAREST,   /* 1 when the best passage holds the question's rarest term */
	FEATURES
};
extern const char *const confidence_feature_names[FEATURES];

struct confidence {
	double feature[FEATURES];
	unsigned terms; /* of the question, without stop words */
};

/* found: a retriever's answer. 0 or -INS_ENOMEM. */
int confidence_measure(ins_str question, const json_t *found, struct confidence *ret);
/* 0..1; 0 when the question has no terms or nothing was found. */
double confidence_value(const struct confidence *);

#endif
