/*
 * index_search.c: BM25 (Robertson et al., TREC-3; idf as in Lucene: ln(1 + (N - df + .5) / (df +
 * .5))) over a set, a term at a time with one accumulator per chunk. Words of the title are words
 * of the text that count title_boost times, in frequency and in length, which is what BM25F with
 * one b does.
 *
 * The normalised score is the share of the most that the query could score: every term, saturated,
 * sums to idf * (k1 + 1). It falls with each term that is missing from the chunk, also with those
 * that no chunk holds.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "index.h"

struct scan {
	float *score;
	uint64_t *terms;
};

static void
on_term(void *arg, const char *term, size_t n, const char *word, size_t word_n)
{
	struct index_query *q = arg;
	struct index_term *t;
	unsigned i;

	if (n == 0 || n >= TERM_MAX || word_n >= TERM_MAX)
		return;
	for (i = 0; i < q->n_terms; i++)
		if (q->terms[i].term_n == n && memcmp(q->terms[i].term, term, n) == 0) {
			q->terms[i].weight += q->terms[i].weight < 255;
			return;
		}
	if (q->n_terms == INDEX_QUERY_TERMS_MAX)
		return;
	t = &q->terms[q->n_terms++];
	memset(t, 0, sizeof *t);
	memcpy(t->term, term, n);
	memcpy(t->word, word, word_n);
	t->term_n = (uint8_t)n;
	t->weight = 1;
}

static int
is_dead(const struct index_part *p, uint32_t chunk)
{
	return p->dead != NULL && (p->dead[chunk >> 3] >> (chunk & 7)) & 1;
}

static uint32_t
live_df(const struct index_part *p, const struct seg_term *t)
{
	struct posting_iter it;
	struct posting post;
	uint32_t n = 0;

	if (p->n_dead == 0)
		return t->df;
	posting_begin(p->segment, t, &it);
	while (posting_next(&it, &post))
		n += !is_dead(p, post.chunk);
	return n;
}

int
index_query_init(struct index_query *q, const struct index_set *s, const char *text, size_t n)
{
	struct analyzer *a = analyzer_new();
	const struct seg_term *t;
	unsigned i, k;

	q->n_terms = q->n_hits = 0;
	q->postings = 0;
	if (a == NULL)
		return -1;
	analyze(a, text, n, on_term, q);
	analyzer_free(a);
	for (i = 0; i < q->n_terms; i++)
		for (k = 0; k < s->n_parts; k++) {
			t = segment_find(s->parts[k].segment, q->terms[i].term, q->terms[i].term_n);
			if (t != NULL)
				q->postings += t->df;
		}
	return 0;
}

static void
scan_term(struct scan *a, const struct index_set *s, const struct index_part *p,
    const struct index_term *qt, unsigned bit, const struct index_params *pm)
{
	const struct segment *seg = p->segment;
	const struct seg_term *t = segment_find(seg, qt->term, qt->term_n);
	double avg = ((double)s->text_len + pm->title_boost * (double)s->title_len) /
	    (double)s->n_chunks;
	double top = qt->idf * qt->weight * (pm->k1 + 1), tf, len;
	struct posting_iter it;
	struct posting post;

	if (t == NULL)
		return;
	posting_begin(seg, t, &it);
	while (posting_next(&it, &post)) {
		const struct seg_chunk *c = &seg->chunks[post.chunk];

		tf = post.text_tf + pm->title_boost * post.title_tf;
		len = c->text_len + pm->title_boost * c->title_len;
		a->score[post.chunk] += (float)(top * tf /
		    (tf + pm->k1 * (1 - pm->b + pm->b * len / avg)));
		a->terms[post.chunk] |= UINT64_C(1) << bit;
	}
}

/* 1 if x comes before y. */
static int
better(const struct index_hit *x, const struct index_hit *y)
{
	if (x->score != y->score)
		return x->score > y->score;
	return memcmp(x->chunk->id, y->chunk->id, 16) < 0;
}

/* Keeps hits sorted: top is at most 100 and most candidates fail the first comparison. */
static void
offer(struct index_query *q, unsigned top, const struct index_hit *h)
{
	unsigned i;

	if (q->n_hits == top && !better(h, &q->hits[top - 1]))
		return;
	i = q->n_hits < top ? q->n_hits++ : top - 1;
	for (; i > 0 && better(h, &q->hits[i - 1]); i--)
		q->hits[i] = q->hits[i - 1];
	q->hits[i] = *h;
}

static void
rate(struct index_query *q, const struct index_params *pm)
{
	double total = 0, got;
	unsigned i, k;

	for (i = 0; i < q->n_terms; i++)
		total += q->terms[i].idf * q->terms[i].weight;
	for (k = 0; k < q->n_hits; k++) {
		struct index_hit *h = &q->hits[k];

		for (got = 0, i = 0; i < q->n_terms; i++)
			if ((h->terms >> i) & 1)
				got += q->terms[i].idf * q->terms[i].weight;
		h->coverage = total > 0 ? got / total : 0;
		h->normalised = total > 0 ? h->score / (total * (pm->k1 + 1)) : 0;
		if (h->normalised > 1)
			h->normalised = 1; /* float rounding */
	}
	for (i = 0; i < q->n_terms; i++)
		q->terms[i].found = q->n_hits > 0 && (q->hits[0].terms >> i) & 1;
}

int
index_search(struct index_query *q, const struct index_set *s, const struct index_params *pm,
    unsigned top, int (*accept)(void *, const struct seg_document *), void *arg)
{
	const struct seg_term *t;
	struct index_hit h;
	struct scan a;
	unsigned i, k;
	uint32_t c;

	q->n_hits = 0;
	for (i = 0; i < q->n_terms; i++) {
		q->terms[i].df = 0;
		for (k = 0; k < s->n_parts; k++) {
			t = segment_find(s->parts[k].segment, q->terms[i].term, q->terms[i].term_n);
			if (t != NULL)
				q->terms[i].df += live_df(&s->parts[k], t);
		}
		q->terms[i].idf = log(
		    1 + (s->n_chunks - q->terms[i].df + .5) / (q->terms[i].df + .5));
	}
	for (k = 0; k < s->n_parts && top > 0; k++) {
		const struct index_part *p = &s->parts[k];
		const struct segment *seg = p->segment;

		a.score = calloc(seg->n_chunks + 1, sizeof *a.score);
		a.terms = calloc(seg->n_chunks + 1, sizeof *a.terms);
		for (i = 0; a.score != NULL && a.terms != NULL && i < q->n_terms; i++)
			scan_term(&a, s, p, &q->terms[i], i, pm);
		for (c = 0; a.score != NULL && a.terms != NULL && c < seg->n_chunks; c++) {
			if (a.terms[c] == 0 ||
			    (q->n_hits == top && a.score[c] < q->hits[top - 1].score) ||
			    is_dead(p, c))
				continue;
			h.chunk = &seg->chunks[c];
			h.document = &seg->documents[h.chunk->document];
			h.score = a.score[c];
			h.terms = a.terms[c];
			if (accept == NULL || accept(arg, h.document))
				offer(q, top, &h);
		}
		i = a.score != NULL && a.terms != NULL;
		free(a.score);
		free(a.terms);
		if (!i)
			return -1;
	}
	rate(q, pm);
	return 0;
}
