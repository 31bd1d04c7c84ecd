/* check_bm25: analysis, segments, sets and ranking of the local index, without a host. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/index_local/index.h"
#include "plugins/index_local/tenants.h"

static const struct index_params params = { 1.2, .75, 2 };
static struct index_query q;

/* ---------------------------------------------------------------- analysis */

static char terms[1024];

static void
collect(void *arg, const char *term, size_t n, const char *word, size_t word_n)
{
	size_t at = strlen(terms);

	snprintf(terms + at, sizeof terms - at, "%s%.*s", at == 0 ? "" : " ", (int)n, term);
}

static const struct {
	const char *text, *terms;
} analysed[] = {
	{ "The Running dogs", "run dog" },
	{ "Stra\xc3\x9f"
	  "e \xc3\x89"
	  "cole NA\xc3\x8fVE",
	    "strass ecol naiv" },
	{ "e\xcc\x81"
	  "cole",
	    "ecol" },
	{ "\xce\x91\xce\xb8\xce\xae\xce\xbd\xce\xb1 "
	  "\xd0\x9c\xd0\xbe\xd1\x81\xd0\xba\xd0\xb2\xd0\xb0",
	    "\xce\xb1\xce\xb8\xce\xb7\xce\xbd\xce\xb1 "
	    "\xd0\xbc\xd0\xbe\xd1\x81\xd0\xba\xd0\xb2\xd0\xb0" },
	{ "\xef\xbc\xa1\xef\xbc\xa2 \xef\xac\x81sh", "ab fish" }, /* full width, ligature */
	{ "don't Debian's system\xe2\x80\x99s", "debian system" },
	{ "python 3.11 and 1,000 files. v2", "python 3.11 1,000 file v2" },
	{ "sources.list apt-get /etc/apt", "sourc list apt get etc apt" },
	{ "\xe4\xb8\xad\xe6\x96\x87\xe5\xad\x97",
	    "\xe4\xb8\xad\xe6\x96\x87 \xe6\x96\x87\xe5\xad\x97" },
	{ "a\xe4\xb8\xad"
	  "b",
	    "\xe4\xb8\xad b" },
	{ "", "" },
	{ "?!. -- ''", "" },
	{ "x\xff\xfey", "x y" },
};

START_TEST(text_becomes_terms)
{
	struct analyzer *a = analyzer_new();

	terms[0] = '\0';
	analyze(a, analysed[_i].text, strlen(analysed[_i].text), collect, NULL);
	ck_assert_str_eq(terms, analysed[_i].terms);
	analyzer_free(a);
}
END_TEST

START_TEST(endless_words_are_cut)
{
	struct analyzer *a = analyzer_new();
	char *p = malloc(100000);

	memset(p, '9', 100000);
	terms[0] = '\0';
	analyze(a, p, 100000, collect, NULL);
	ck_assert_uint_eq(strlen(terms), TERM_MAX - 1);
	free(p);
	analyzer_free(a);
}
END_TEST

/* ---------------------------------------------------------------- sets */

static void
id_of(uint8_t id[16], unsigned n)
{
	memset(id, 0, 16);
	id[14] = (uint8_t)(n >> 8);
	id[15] = (uint8_t)n;
}

static unsigned
number_of(const uint8_t id[16])
{
	return (unsigned)id[14] << 8 | id[15];
}

/* One chunk per document. */
static struct segment *
segment_of(const char *const *texts, const char *title, unsigned from, unsigned n, uint32_t version)
{
	struct segment_builder *b = segment_builder_new();
	uint8_t id[16];
	unsigned i;

	for (i = from; i < from + n; i++) {
		id_of(id, i);
		segment_builder_add(
		    b, id, id, version, 1, title, strlen(title), texts[i], strlen(texts[i]));
	}
	return segment_builder_finish(b);
}

static struct index_set *
with(struct index_set *old, struct segment *added)
{
	struct index_set *s = index_set_apply(old, NULL, 0, added);

	ck_assert_ptr_nonnull(s);
	index_set_unref(old);
	return s;
}

static struct index_set *
without(struct index_set *old, unsigned n, uint32_t version, int gone)
{
	struct index_change c = { .version = version, .gone = gone };
	struct index_set *s;

	id_of(c.document, n);
	s = index_set_apply(old, &c, 1, NULL);
	ck_assert_ptr_nonnull(s);
	index_set_unref(old);
	return s;
}

static void
search(const struct index_set *s, const char *text, unsigned top)
{
	ck_assert_int_eq(index_query_init(&q, s, text, strlen(text)), 0);
	ck_assert_int_eq(index_search(&q, s, &params, top, NULL, NULL), 0);
}

static const char *const texts[] = { "apple banana", "banana banana cherry",
	"cherry date elderberry fig", "apple", "grape", "banana grape fig fig fig",
	"date date date apple", "honeydew melon" };
#define N_TEXTS (sizeof texts / sizeof texts[0])

START_TEST(scores_are_bm25)
{
	struct index_set *s = with(index_set_new(), segment_of(texts, "", 0, N_TEXTS, 1));
	double avg = 22.0 / 8, idf = log(1 + (8 - 3 + .5) / (3 + .5)), tf = 2, len = 3;

	ck_assert_uint_eq(s->n_chunks, 8);
	ck_assert_uint_eq(s->text_len, 22);
	search(s, "banana", 10);
	ck_assert_uint_eq(q.n_hits, 3);
	ck_assert_uint_eq(number_of(q.hits[0].chunk->id), 1);
	ck_assert_double_eq_tol(
	    q.hits[0].score, idf * tf * 2.2 / (tf + 1.2 * (.25 + .75 * len / avg)), 1e-6);
	ck_assert_double_eq_tol(q.hits[0].normalised, q.hits[0].score / (idf * 2.2), 1e-6);
	ck_assert_double_eq_tol(q.terms[0].idf, idf, 1e-9);
	ck_assert_uint_eq(q.terms[0].df, 3);
	ck_assert_int_eq(q.terms[0].found, 1);
	index_set_unref(s);
}
END_TEST

START_TEST(coverage_is_the_idf_weighted_share_of_terms)
{
	struct index_set *s = with(index_set_new(), segment_of(texts, "", 0, N_TEXTS, 1));
	double known, unknown;

	search(s, "What is honeydew quux?", 3);
	ck_assert_uint_eq(q.n_terms, 2);
	ck_assert_uint_eq(q.n_hits, 1);
	known = log(1 + 7.5 / 1.5);
	unknown = log(1 + 8.5 / .5);
	ck_assert_double_eq_tol(q.hits[0].coverage, known / (known + unknown), 1e-9);
	ck_assert_int_eq(q.terms[1].found, 0);
	ck_assert_str_eq(q.terms[0].word, "honeydew");
	index_set_unref(s);
}
END_TEST

START_TEST(words_of_the_title_count)
{
	struct index_set *s = with(index_set_new(), segment_of(texts, "", 0, 4, 1));

	s = with(s, segment_of(texts, "banana", 4, 1, 1)); /* "grape" */
	search(s, "banana", 10);
	ck_assert_uint_eq(q.n_hits, 3);
	/* as good as two in a text, better than one */
	ck_assert_uint_eq(number_of(q.hits[0].chunk->id), 1);
	ck_assert_uint_eq(number_of(q.hits[1].chunk->id), 4);
	ck_assert_double_eq(q.hits[0].score, q.hits[1].score);
	index_set_unref(s);
}
END_TEST

static void
same_results(const struct index_set *a, const struct index_set *b, const char *text)
{
	static struct index_query mine;
	unsigned i;

	search(a, text, 10);
	mine = q;
	search(b, text, 10);
	ck_assert_uint_eq(mine.n_hits, q.n_hits);
	for (i = 0; i < q.n_hits; i++) {
		ck_assert_uint_eq(
		    number_of(mine.hits[i].chunk->id), number_of(q.hits[i].chunk->id));
		ck_assert_double_eq(mine.hits[i].score, q.hits[i].score);
	}
}

START_TEST(scores_do_not_depend_on_how_chunks_came)
{
	struct index_set *one = with(index_set_new(), segment_of(texts, "t", 0, N_TEXTS, 1)),
			 *many = index_set_new();
	unsigned i;

	for (i = 0; i < N_TEXTS; i++)
		many = with(many, segment_of(texts, "t", i, 1, 1));
	ck_assert_uint_le(many->n_parts, 4);
	same_results(one, many, "banana fig apple");
	/* and not on what was there before */
	one = without(one, 5, 2, 0);
	many = without(many, 5, 2, 0);
	one = with(one, segment_of(texts, "t", 5, 1, 2));
	many = with(many, segment_of(texts, "t", 5, 1, 2));
	same_results(one, many, "banana fig apple");
	index_set_unref(one);
	index_set_unref(many);
}
END_TEST

START_TEST(deleted_documents_are_not_found_nor_counted)
{
	struct index_set *s = with(index_set_new(), segment_of(texts, "", 0, N_TEXTS, 1)), *rest;
	unsigned i;

	s = without(s, 1, 0, 1);
	search(s, "banana", 10);
	ck_assert_uint_eq(q.n_hits, 2);
	ck_assert_uint_eq(q.terms[0].df, 2);
	ck_assert_uint_eq(s->n_chunks, 7);
	ck_assert_uint_eq(s->n_documents, 7);
	rest = with(index_set_new(), segment_of(texts, "", 0, 1, 1));
	rest = with(rest, segment_of(texts, "", 2, N_TEXTS - 2, 1));
	same_results(s, rest, "banana fig date apple");
	index_set_unref(rest);
	for (i = 0; i < N_TEXTS; i++)
		s = without(s, i, 0, 1);
	ck_assert_uint_eq(s->n_parts, 0);
	search(s, "banana", 10);
	ck_assert_uint_eq(q.n_hits, 0);
	index_set_unref(s);
}
END_TEST

START_TEST(a_new_version_replaces_the_old)
{
	struct index_set *s = with(index_set_new(), segment_of(texts, "", 0, N_TEXTS, 1)), *t;
	struct index_change c = { .version = 2 };

	id_of(c.document, 0);
	t = index_set_apply(s, &c, 1, segment_of(texts, "", 0, 1, 2));
	search(s, "banana apple", 10); /* who reads the old set keeps it */
	ck_assert_uint_eq(q.n_hits, 5);
	search(t, "banana apple", 10);
	ck_assert_uint_eq(q.n_hits, 5);
	ck_assert_uint_eq(q.hits[0].document->version, 2);
	ck_assert_uint_eq(t->n_documents, 8);
	index_set_unref(s);
	index_set_unref(t);
}
END_TEST

START_TEST(many_small_changes_stay_few_segments)
{
	struct index_set *s = index_set_new();
	struct segment_builder *b;
	char text[64];
	uint8_t id[16];
	unsigned i, worst = 0;

	for (i = 0; i < 1000; i++) {
		b = segment_builder_new();
		id_of(id, i);
		snprintf(text, sizeof text, "common word%u word%u", i, i / 10);
		segment_builder_add(b, id, id, 1, 1, "", 0, text, strlen(text));
		s = with(s, segment_builder_finish(b));
		if (s->n_parts > worst)
			worst = s->n_parts;
		if (i % 3 == 0)
			s = without(s, i / 2, 0, 1);
	}
	ck_assert_uint_le(worst, 11);
	search(s, "word997", 10);
	ck_assert_uint_eq(q.n_hits, 1);
	search(s, "common", 100);
	ck_assert_uint_eq(q.n_hits, 100);
	ck_assert_uint_eq(q.terms[0].df, s->n_chunks);
	index_set_unref(s);
}
END_TEST

static int
odd(void *arg, const struct seg_document *d)
{
	return d->id[15] & 1;
}

START_TEST(filters_apply_inside_the_search)
{
	struct index_set *s = with(index_set_new(), segment_of(texts, "", 0, N_TEXTS, 1));

	ck_assert_int_eq(index_query_init(&q, s, "apple banana", 12), 0);
	ck_assert_int_eq(index_search(&q, s, &params, 2, odd, NULL), 0);
	ck_assert_uint_eq(q.n_hits, 2);
	ck_assert_uint_eq(number_of(q.hits[0].chunk->id) & 1, 1);
	ck_assert_uint_eq(number_of(q.hits[1].chunk->id) & 1, 1);
	index_set_unref(s);
}
END_TEST

START_TEST(queries_without_terms_find_nothing)
{
	struct index_set *s = with(index_set_new(), segment_of(texts, "", 0, N_TEXTS, 1));
	char *p = malloc(1000000);
	unsigned i;

	search(s, "who are you", 10);
	ck_assert_uint_eq(q.n_terms, 0);
	ck_assert_uint_eq(q.n_hits, 0);
	for (i = 0; i < 1000000 / 5; i++) {
		char w[16];

		snprintf(w, sizeof w, "%04x ", i & 0xffff);
		memcpy(p + i * 5, w, 5);
	}
	ck_assert_int_eq(index_query_init(&q, s, p, 1000000), 0);
	ck_assert_uint_eq(q.n_terms, INDEX_QUERY_TERMS_MAX);
	free(p);
	index_set_unref(s);
}
END_TEST

START_TEST(least_used_tenants_leave_when_memory_is_full)
{
	struct segment *seg = segment_of(texts, "", 0, N_TEXTS, 1);
	struct index_set *held, *s = index_set_new();
	size_t one;
	struct tenants *t;
	char id[32];
	int i;

	s = with(s, seg);
	one = s->bytes;
	t = tenants_new(one * 5 / 2);
	for (i = 0; i < 3; i++) {
		snprintf(id, sizeof id, "tenant-%d", i);
		ck_assert_int_eq(tenants_begin(t, id), 1);
		ck_assert_int_eq(tenants_begin(t, id), 0); /* one reads, others wait */
		tenants_end(t, id, index_set_ref(s));
		ck_assert_int_eq(tenants_begin(t, id), 1);
		tenants_end(t, id, NULL);
	}
	ck_assert_uint_eq(tenants_count(t), 2);
	ck_assert_int_eq(tenants_grown(t), (ptrdiff_t)(2 * one));
	ck_assert_int_eq(tenants_grown(t), 0);
	held = tenants_get(t, "tenant-1"); /* now the last used one */
	ck_assert_uint_eq(held->n_chunks, N_TEXTS);
	ck_assert_int_eq(tenants_begin(t, "tenant-3"), 1);
	tenants_end(t, "tenant-3", index_set_ref(s));
	index_set_unref(held);
	held = tenants_get(t, "tenant-1");
	ck_assert_uint_eq(held->n_chunks, N_TEXTS);
	index_set_unref(held);
	held = tenants_get(t, "tenant-2"); /* read again, from nothing */
	ck_assert_uint_eq(held->n_chunks, 0);
	tenants_free(t); /* who reads keeps what he reads */
	search(held, "banana", 10);
	ck_assert_uint_eq(q.n_hits, 0);
	index_set_unref(held);
	index_set_unref(s);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("bm25");
	TCase *t = tcase_create("index");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, text_becomes_terms, 0, sizeof analysed / sizeof analysed[0]);
	tcase_add_test(t, endless_words_are_cut);
	tcase_add_test(t, scores_are_bm25);
	tcase_add_test(t, coverage_is_the_idf_weighted_share_of_terms);
	tcase_add_test(t, words_of_the_title_count);
	tcase_add_test(t, scores_do_not_depend_on_how_chunks_came);
	tcase_add_test(t, deleted_documents_are_not_found_nor_counted);
	tcase_add_test(t, a_new_version_replaces_the_old);
	tcase_add_test(t, many_small_changes_stay_few_segments);
	tcase_add_test(t, filters_apply_inside_the_search);
	tcase_add_test(t, queries_without_terms_find_nothing);
	tcase_add_test(t, least_used_tenants_leave_when_memory_is_full);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
