/* confidence.c: see confidence.h. */
#include "confidence.h"

#include <math.h>
#include <stdlib.h>

#include "plugins/text/sentence.h"
#include "plugins/text/terms.h"

#define QUESTION_TERMS_MAX 64u
#define PASSAGE_TERMS_MAX 2048u
#define SENTENCES_MAX 128u
#define PASSAGES_SEEN 5u

const char *const confidence_feature_names[FEATURES] = { "coverage", "sentence", "score", "margin",
	"unknown", "rarest" };

/*
 * Fitted by tests/bench/fit_confidence on the Cranfield development fold (110 queries with a judged
 * document among the first three; 129 with theirs hidden; 148 prompts of other fields) and 81
 * questions to the Debian FAQ (45 of them answerable). Held out, five folds: of the FAQ's questions
 * 7 % false refusals and no false answer at .5; of Cranfield's, whose queries are long and whose
 * hidden ones have their subject all around them, 51 % and 15 %; 1 % false answers to other fields.
 */
static const double intercept = -4.56;
static const double coefficient[FEATURES] = { 1.30, 2.64, 4.76, 1.99, -.14, -.08 };
/* When more than half of what is asked for stands in no passage, no answer is likely, however small
 * the collection. None of the answerable examples came to .25 there. */
#define UNKNOWN_MAX .5
#define UNKNOWN_CAP .45

struct question {
	uint64_t hash[QUESTION_TERMS_MAX];
	double idf[QUESTION_TERMS_MAX], total;
	size_t n, rarest;
};

struct scratch {
	struct terms_stemmer *stemmer;
	struct term terms[PASSAGE_TERMS_MAX];
	struct sentence sentences[SENTENCES_MAX];
	struct question q;
};

static ins_str
text_of(const json_t *j, const char *name)
{
	const json_t *v = json_object_get(j, name);
	ins_str s = { "", 0 };

	if (json_is_string(v)) {
		s.p = json_string_value(v);
		s.n = json_string_length(v);
	}
	return s;
}

/* The retriever's idf of a term; those it does not name are as rare as its rarest. */
static double
idf_of(struct scratch *x, const json_t *terms, uint64_t hash)
{
	double idf, most = 0;
	const json_t *t;
	size_t i;

	json_array_foreach(terms, i, t)
	{
		ins_str z = text_of(t, "term");
		struct term one;

		idf = json_number_value(json_object_get(t, "idf"));
		most = idf > most ? idf : most;
		if (terms_scan(x->stemmer, z.p, z.n, &one, 1) >= 1 && one.hash == hash)
			return idf;
	}
	return most > 0 ? most : 1;
}

static void
load_question(struct scratch *x, ins_str question, const json_t *terms)
{
	struct question *q = &x->q;
	size_t i, n;

	n = terms_scan(x->stemmer, question.p, question.n, x->terms, PASSAGE_TERMS_MAX);
	for (i = 0; i < n && i < PASSAGE_TERMS_MAX && q->n < QUESTION_TERMS_MAX; i++)
		if (!x->terms[i].stop)
			q->hash[q->n++] = x->terms[i].hash;
	q->n = terms_unique(q->hash, q->n);
	for (i = 0; i < q->n; i++) {
		q->idf[i] = idf_of(x, terms, q->hash[i]);
		q->total += q->idf[i];
		if (q->idf[i] > q->idf[q->rarest])
			q->rarest = i;
	}
}

/* Which of the question's terms stand in a text: bit i for term i. */
static uint64_t
held(struct scratch *x, ins_str s)
{
	size_t i, k, n = terms_scan(x->stemmer, s.p, s.n, x->terms, PASSAGE_TERMS_MAX);
	uint64_t bits = 0;

	for (i = 0; i < n && i < PASSAGE_TERMS_MAX; i++)
		for (k = 0; k < x->q.n; k++)
			if (x->terms[i].hash == x->q.hash[k])
				bits |= UINT64_C(1) << k;
	return bits;
}

static double
share(const struct question *q, uint64_t bits)
{
	double got = 0;
	size_t i;

	for (i = 0; i < q->n; i++)
		if (bits >> i & 1)
			got += q->idf[i];
	return q->total > 0 ? got / q->total : 0;
}

static double
best_sentence(struct scratch *x, ins_str content, ins_str title)
{
	size_t i, n = sentence_split(content.p, content.n, x->sentences, SENTENCES_MAX);
	double best = share(&x->q, held(x, title)), c;

	for (i = 0; i < n; i++) {
		ins_str s = { content.p + x->sentences[i].begin,
			x->sentences[i].end - x->sentences[i].begin };

		c = share(&x->q, held(x, s));
		best = c > best ? c : best;
	}
	return best;
}

static double
raw_score(const json_t *record)
{
	const json_t *raw = json_object_get(json_object_get(record, "scores"), "bm25");

	return json_number_value(json_is_number(raw) ? raw : json_object_get(record, "score"));
}

static void
measure(struct scratch *x, const json_t *records, struct confidence *ret)
{
	const json_t *first = json_array_get(records, 0), *rec;
	double s1 = raw_score(first), s2 = raw_score(json_array_get(records, 1));
	uint64_t best = 0, any = 0, bits;
	double c, *f = ret->feature;
	size_t i;

	json_array_foreach(records, i, rec)
	{
		if (i == PASSAGES_SEEN)
			break;
		bits = held(x, text_of(rec, "content")) | held(x, text_of(rec, "title"));
		any |= bits;
		if (i == 0)
			best = bits;
		/* The best passage by the retriever is not always the one with the best sentence.
		 */
		c = i < 2 ? best_sentence(x, text_of(rec, "content"), text_of(rec, "title")) : 0;
		f[FEATURE_SENTENCE] = c > f[FEATURE_SENTENCE] ? c : f[FEATURE_SENTENCE];
	}
	f[FEATURE_COVERAGE] = share(&x->q, best);
	f[FEATURE_SCORE] = json_number_value(json_object_get(first, "score"));
	/* one passage alone is no distance to anything */
	f[FEATURE_MARGIN] = s2 > 0 && s2 < s1 ? (s1 - s2) / s1 : 0;
	f[FEATURE_UNKNOWN] = 1 - share(&x->q, any);
	f[FEATURE_RAREST] = (double)(best >> x->q.rarest & 1);
}

int
confidence_measure(ins_str question, const json_t *found, struct confidence *ret)
{
	const json_t *records = json_object_get(found, "records");
	struct scratch *x = calloc(1, sizeof *x);

	memset(ret, 0, sizeof *ret);
	if (x == NULL || (x->stemmer = terms_stemmer_new()) == NULL) {
		free(x);
		return -INS_ENOMEM;
	}
	load_question(x, question, json_object_get(json_object_get(found, "stats"), "terms"));
	ret->terms = (unsigned)x->q.n;
	if (x->q.n > 0 && json_array_size(records) > 0)
		measure(x, records, ret);
	else
		ret->terms = 0;
	terms_stemmer_free(x->stemmer);
	free(x);
	return 0;
}

double
confidence_value(const struct confidence *c)
{
	double z = intercept, p;
	size_t i;

	if (c->terms == 0 || c->feature[FEATURE_COVERAGE] <= 0)
		return 0;
	for (i = 0; i < FEATURES; i++)
		z += coefficient[i] * c->feature[i];
	p = 1 / (1 + exp(-z));
	return c->feature[FEATURE_UNKNOWN] > UNKNOWN_MAX && p > UNKNOWN_CAP ? UNKNOWN_CAP : p;
}
