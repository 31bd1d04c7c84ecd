/* extract.c: scores and picks; extract_join.c writes the text. See extract.h. */
#include "extract.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "extract_int.h"

#define K1 1.2
#define B .5
#define LAMBDA .7
#define PICK_MIN .4     /* of the best score: what is weaker would only pad the answer */
#define PASSAGE_MIN .65 /* of the best score: what the best sentence of a passage must reach */
#define HEADING_WEIGHT .8
#define HEADING_FADE .75 /* for each sentence further from the heading */
#define DEFAULT_SENTENCES 6u

static void
terms_of(struct terms_stemmer *st, ins_str s, struct pick_sentence *ret)
{
	struct term t[EXTRACT_TERMS_MAX];
	size_t i, n = terms_scan(st, s.p, s.n, t, EXTRACT_TERMS_MAX), k = 0;

	if (n > EXTRACT_TERMS_MAX)
		n = EXTRACT_TERMS_MAX;
	ret->terms = malloc((n + 1) * sizeof *ret->terms);
	if (ret->terms == NULL) {
		ret->n_terms = 0;
		return;
	}
	for (i = 0; i < n; i++)
		if (!t[i].stop)
			ret->terms[k++] = t[i].hash;
	ret->n_words = n;
	/* Term frequency inside one sentence says little; the set is enough. */
	ret->n_terms = terms_unique(ret->terms, k);
}

static int
load(struct picker *p, const struct extract_passage *passages, size_t n)
{
	struct sentence cut[EXTRACT_SENTENCES_MAX];
	size_t i, k, m;

	for (i = 0; i < n; i++) {
		int heading = -1;
		unsigned since = 0;

		m = sentence_split(passages[i].content.p, passages[i].content.n, cut,
		    EXTRACT_SENTENCES_MAX - p->n);
		for (k = 0; k < m; k++) {
			struct pick_sentence *s = &p->v[p->n];

			s->passage = (unsigned)i;
			s->at = cut[k];
			s->text.p = passages[i].content.p + cut[k].begin;
			s->text.n = cut[k].end - cut[k].begin;
			terms_of(p->stemmer, s->text, s);
			if (s->terms == NULL)
				return -INS_ENOMEM;
			if (s->at.kind == SENTENCE_HEADING) {
				/* A heading below a heading without text between them refines it:
				 * both count, and the lower one stands for both. */
				heading = (int)p->n;
				since = 0;
			}
			s->heading = heading;
			s->since = since++;
			p->n++;
		}
	}
	return 0;
}

static double
idf(const struct picker *p, uint64_t hash)
{
	size_t i, df = 0;

	for (i = 0; i < p->n; i++)
		df += (size_t)terms_has(p->v[i].terms, p->v[i].n_terms, hash);
	return log(1 + ((double)p->n - (double)df + .5) / ((double)df + .5));
}

static double
bm25(const struct picker *p, const struct pick_sentence *s, double mean)
{
	double norm = K1 * (1 - B + B * (double)s->n_words / mean), sum = 0;
	size_t i;

	for (i = 0; i < p->n_question; i++)
		if (terms_has(s->terms, s->n_terms, p->question[i]))
			sum += p->idf[i] * (K1 + 1) / (1 + norm);
	return sum;
}

/* The share of the question that a passage covers, its title included. */
static double
passage_coverage(const struct picker *p, unsigned passage, const uint64_t *title, size_t n_title)
{
	double all = 0, got = 0;
	size_t i, k;

	for (i = 0; i < p->n_question; i++) {
		int found = terms_has(title, n_title, p->question[i]);

		for (k = 0; k < p->n && !found; k++)
			found = p->v[k].passage == passage &&
			    terms_has(p->v[k].terms, p->v[k].n_terms, p->question[i]);
		all += p->idf[i];
		got += found ? p->idf[i] : 0;
	}
	return all > 0 ? got / all : 0;
}

static int
score(struct picker *p, const struct extract_passage *passages, size_t n, double *ret_coverage)
{
	double mean = 0, c;
	size_t i;

	for (i = 0; i < p->n_question; i++)
		p->idf[i] = idf(p, p->question[i]);
	*ret_coverage = 0;
	for (i = 0; i < n; i++) {
		struct pick_sentence title = { 0 };

		terms_of(p->stemmer, passages[i].title, &title);
		if (title.terms == NULL)
			return -INS_ENOMEM;
		c = passage_coverage(p, (unsigned)i, title.terms, title.n_terms);
		free(title.terms);
		if (c > *ret_coverage)
			*ret_coverage = c;
	}
	for (i = 0; i < p->n; i++)
		mean += (double)p->v[i].n_words;
	mean = p->n == 0 || mean == 0 ? 1 : mean / (double)p->n;
	for (i = 0; i < p->n; i++) {
		struct pick_sentence *s = &p->v[i];
		double own;

		if (s->at.kind == SENTENCE_HEADING)
			continue;
		own = bm25(p, s, mean);
		if (s->heading >= 0)
			own += HEADING_WEIGHT * pow(HEADING_FADE, s->since - 1) *
			    bm25(p, &p->v[s->heading], mean);
		/* The first lines of a passage introduce it. */
		own *= s->since <= 1 ? 1.1 : 1;
		if (s->at.kind == SENTENCE_CODE)
			own *= .6;
		s->score = own * (.5 + .5 * passages[s->passage].score);
	}
	return 0;
}

static double
overlap(const struct pick_sentence *a, const struct pick_sentence *b)
{
	size_t i, both = 0;

	for (i = 0; i < a->n_terms; i++)
		both += (size_t)terms_has(b->terms, b->n_terms, a->terms[i]);
	if (a->n_terms + b->n_terms == both)
		return 1;
	return (double)both / (double)(a->n_terms + b->n_terms - both);
}

/* Marks the sentences of the answer, best first: order[] holds their indexes. */
static size_t
pick(struct picker *p, unsigned max, size_t *order)
{
	double top = 0, best_of[EXTRACT_PASSAGES_MAX] = { 0 };
	size_t i, k, n = 0;

	for (i = 0; i < p->n; i++) {
		double *of = &best_of[p->v[i].passage];

		top = p->v[i].score > top ? p->v[i].score : top;
		*of = p->v[i].score > *of ? p->v[i].score : *of;
	}
	while (top > 0 && n < max) {
		double best = -1e9;
		size_t at = p->n;

		for (i = 0; i < p->n; i++) {
			double like = 0, mmr;

			if (p->v[i].picked || p->v[i].score < PICK_MIN * top ||
			    best_of[p->v[i].passage] < PASSAGE_MIN * top)
				continue;
			for (k = 0; k < n; k++) {
				double o = overlap(&p->v[i], &p->v[order[k]]);

				like = o > like ? o : like;
			}
			if (like > .85)
				continue;
			mmr = LAMBDA * p->v[i].score / top - (1 - LAMBDA) * like;
			if (mmr > best) {
				best = mmr;
				at = i;
			}
		}
		if (at == p->n)
			break;
		p->v[at].picked = 1;
		order[n++] = at;
	}
	return n;
}

static void
picker_fini(struct picker *p)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		free(p->v[i].terms);
	terms_stemmer_free(p->stemmer);
	free(p->question);
	free(p->v);
}

int
extract_answer(const struct extract_passage *passages, size_t n, ins_str question,
    struct extract_limits limits, struct extract_result *ret)
{
	struct picker p = { 0 };
	struct pick_sentence q = { 0 };
	size_t order[EXTRACT_PICKS_MAX], n_order;
	unsigned max = limits.sentences == 0 ? DEFAULT_SENTENCES : limits.sentences;
	int r = -INS_ENOMEM;

	memset(ret, 0, sizeof *ret);
	if (n > EXTRACT_PASSAGES_MAX)
		n = EXTRACT_PASSAGES_MAX;
	if (max > EXTRACT_PICKS_MAX)
		max = EXTRACT_PICKS_MAX;
	p.stemmer = terms_stemmer_new();
	p.v = calloc(EXTRACT_SENTENCES_MAX + 1, sizeof *p.v);
	if (p.stemmer == NULL || p.v == NULL)
		goto out;
	terms_of(p.stemmer, question, &q);
	p.question = q.terms;
	p.n_question = q.n_terms;
	if (p.question == NULL)
		goto out;
	if ((r = load(&p, passages, n)) != 0 || (r = score(&p, passages, n, &ret->coverage)) != 0)
		goto out;
	if (ret->coverage < EXTRACT_COVERAGE_MIN)
		goto out;
	n_order = pick(&p, max, order);
	r = extract_join(&p, order, n_order, limits.tokens, ret);
out:
	picker_fini(&p);
	return r;
}

void
extract_free(struct extract_result *r)
{
	size_t i;

	for (i = 0; i < r->n_pieces; i++)
		free(r->pieces[i].text);
	memset(r, 0, sizeof *r);
}
