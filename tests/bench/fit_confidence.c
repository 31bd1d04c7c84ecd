/*
 * fit_confidence CRANFIELD ROUTING [FAQ QUESTIONS]: computes the coefficients of
 * plugins/workflow_faq/confidence.c and prints how good they are.
 *
 * Searches with the BM25 of index_local and measures with the plugin's own code. Examples:
 *
 *	answerable	queries of the Cranfield development fold with a judged document among the
 *first three
 *	unanswerable	the same queries with their judged documents hidden (the hard kind: the
 *subject is there, the answer is not); those without a judged document among the first three;
 *			prompts of other fields (ROUTING/mmlu.jsonl, gsm8k.jsonl) asked of Cranfield
 *	FAQ		questions of QUESTIONS, answerable or not as marked, asked of the pages in
 *FAQ
 *
 * A logistic regression with a little L2, by Newton's method. What is printed under "held out"
 *comes from five folds: each example is judged by coefficients that were fitted without it.
 *
 * Prints C lines for confidence.c. No network, no server, single thread.
 */
#include <dirent.h>
#include <jansson.h>
#include <libxml/HTMLparser.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/index_local/index.h"
#include "plugins/workflow_faq/confidence.h"

#define DOCS_MAX 4000
#define EXAMPLES_MAX 4000
#define JUDGED_MAX 20000
#define FOLDS 5
#define WEIGHTS (FEATURES + 1)
#define L2 .5
#define ROUTING_STEP 60 /* every so many prompts of other fields are enough */

enum kind { K_RELEVANT, K_HIDDEN, K_MISSED, K_OTHER, K_FAQ_YES, K_FAQ_NO, KINDS };
static const char *const kind_names[KINDS] = { "cranfield, answerable", "cranfield, hidden",
	"cranfield, not found", "other fields", "faq, answerable", "faq, unanswerable" };

struct example {
	double x[WEIGHTS]; /* x[0] = 1 */
	int label;
	enum kind kind;
	double held_out;
	char text[120];
};
static struct example examples[EXAMPLES_MAX];
static unsigned n_examples;

struct corpus {
	char *text[DOCS_MAX], *title[DOCS_MAX];
	unsigned n;
	struct segment_builder *builder;
	struct index_set *set;
};
static struct corpus cranfield, faq;
static int doc_number[DOCS_MAX];
static struct {
	int query, doc;
} judged[JUDGED_MAX];
static unsigned n_judged;

static void
each(const char *dir, const char *name, void (*fn)(const json_t *, void *), void *arg)
{
	char path[4096], *line = NULL;
	size_t cap = 0;
	ssize_t n;
	FILE *f;

	snprintf(path, sizeof path, "%s%s%s", dir, *name ? "/" : "", name);
	f = fopen(path, "r");
	if (f == NULL) {
		printf("skip: %s is not there\n", path);
		exit(77);
	}
	while ((n = getline(&line, &cap, f)) > 0) {
		json_t *j = json_loadb(line, (size_t)n, 0, NULL);

		if (j != NULL)
			fn(j, arg);
		json_decref(j);
	}
	free(line);
	fclose(f);
}

static const char *
text_of(const json_t *j, const char *key)
{
	const char *z = json_string_value(json_object_get(j, key));

	return z == NULL ? "" : z;
}

/* ---------------------------------------------------------------- corpora */

static void
corpus_add(struct corpus *c, const char *title, const char *text)
{
	uint8_t id[16] = { 0 };

	if (c->n == DOCS_MAX || *text == '\0')
		return;
	memcpy(id + 12, &c->n, sizeof c->n);
	segment_builder_add(c->builder, id, id, 1, 1, title, strlen(title), text, strlen(text));
	c->title[c->n] = strdup(title);
	c->text[c->n++] = strdup(text);
}

static void
corpus_begin(struct corpus *c)
{
	c->builder = segment_builder_new();
}

static void
corpus_end(struct corpus *c)
{
	struct index_set *empty = index_set_new();

	c->set = index_set_apply(empty, NULL, 0, segment_builder_finish(c->builder));
	index_set_unref(empty);
}

static void
add_cranfield(const json_t *j, void *arg)
{
	(void)arg;
	doc_number[cranfield.n] = (int)json_integer_value(json_object_get(j, "id"));
	corpus_add(&cranfield, text_of(j, "title"), text_of(j, "text"));
}

static void
add_judged(const json_t *j, void *arg)
{
	(void)arg;
	if (n_judged == JUDGED_MAX)
		return;
	judged[n_judged].query = (int)json_integer_value(json_object_get(j, "query"));
	judged[n_judged++].doc = (int)json_integer_value(json_object_get(j, "doc"));
}

struct page {
	char title[200], text[4000];
	size_t n;
};

static void
page_flush(struct page *p)
{
	p->text[p->n] = '\0';
	corpus_add(&faq, p->title, p->n > 40 ? p->text : "");
	p->n = 0;
}

static void
page_put(struct page *p, const char *z)
{
	for (; *z; z++) {
		int space = *z == ' ' || *z == '\t' || *z == '\n' || *z == '\r';

		if (p->n + 3 >= sizeof p->text || (p->n > 1800 && *z == '.')) {
			p->text[p->n++] = '.';
			page_flush(p);
		} else if (!space) {
			p->text[p->n++] = *z;
		} else if (p->n > 0 && p->text[p->n - 1] != ' ' && p->text[p->n - 1] != '\n') {
			p->text[p->n++] = ' ';
		}
	}
}

static void
walk(struct page *p, const xmlNode *node)
{
	for (; node != NULL; node = node->next) {
		const char *name = node->name == NULL ? "" : (const char *)node->name;
		xmlChar *class = node->type == XML_ELEMENT_NODE
		    ? xmlGetProp((xmlNode *)(uintptr_t)node, (const xmlChar *)"class")
		    : NULL;
		int heading = name[0] == 'h' && name[1] >= '1' && name[1] <= '6' && !name[2];
		int skip = strcmp(name, "style") == 0 || strcmp(name, "head") == 0 ||
		    (class != NULL &&
			(strcmp((char *)class, "toc") == 0 ||
			    strncmp((char *)class, "nav", 3) == 0));
		int block = heading || strcmp(name, "p") == 0 || strcmp(name, "li") == 0 ||
		    strcmp(name, "pre") == 0 || strcmp(name, "dt") == 0;

		xmlFree(class);
		if (skip)
			continue;
		if (node->type == XML_TEXT_NODE)
			page_put(p, (const char *)node->content);
		if (heading)
			page_flush(p);
		else if (block && p->n > 0 && p->n + 3 < sizeof p->text)
			memcpy(p->text + p->n, "\n\n", 2), p->n += 2;
		walk(p, node->children);
		if (block && p->n > 0 && p->n + 3 < sizeof p->text)
			memcpy(p->text + p->n, "\n\n", 2), p->n += 2;
	}
}

static void
add_faq_page(const char *path)
{
	htmlDocPtr doc = htmlReadFile(path, NULL, HTML_PARSE_NOERROR | HTML_PARSE_NONET);
	struct page p = { .n = 0 };
	xmlNode *root = doc == NULL ? NULL : xmlDocGetRootElement(doc), *n;

	for (n = root == NULL ? NULL : root->children; n != NULL; n = n->next) {
		xmlNode *t = n->type == XML_ELEMENT_NODE ? n->children : NULL;

		for (; t != NULL; t = t->next)
			if (t->name != NULL && strcmp((const char *)t->name, "title") == 0) {
				xmlChar *z = xmlNodeGetContent(t);

				snprintf(p.title, sizeof p.title, "%s", (const char *)z);
				xmlFree(z);
			}
	}
	walk(&p, root);
	page_flush(&p);
	xmlFreeDoc(doc);
}

static void
load_faq(const char *dir)
{
	struct dirent **names;
	int i, n = scandir(dir, &names, NULL, alphasort);
	char path[4096];

	corpus_begin(&faq);
	for (i = 0; i < n; i++) {
		size_t len = strlen(names[i]->d_name);

		snprintf(path, sizeof path, "%s/%s", dir, names[i]->d_name);
		/* The package names each page twice, by a link: no page is its own neighbour. */
		if (len > 5 && strcmp(names[i]->d_name + len - 5, ".html") == 0 &&
		    strncmp(names[i]->d_name, "index", 5) != 0 && names[i]->d_type == DT_REG)
			add_faq_page(path);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	corpus_end(&faq);
}

/* ---------------------------------------------------------------- examples */

static unsigned
number_of(const struct seg_document *d)
{
	unsigned i;

	memcpy(&i, d->id + 12, sizeof i);
	return i;
}

static int
is_judged(int query, unsigned doc)
{
	unsigned i;

	for (i = 0; i < n_judged; i++)
		if (judged[i].query == query && judged[i].doc == doc_number[doc])
			return 1;
	return 0;
}

static int hide_query;
static int
not_hidden(void *arg, const struct seg_document *d)
{
	(void)arg;
	return !is_judged(hide_query, number_of(d));
}

/* What the retriever would answer. *ret_rank: place of the first judged document, -1 = none. */
static json_t *
search(struct corpus *c, const char *question, int query, int hide, int *ret_rank)
{
	static struct index_query q;
	const struct index_params params = { 1.2, .75, INDEX_TITLE_BOOST };
	json_t *records = json_array(), *terms = json_array();
	unsigned i;

	*ret_rank = -1;
	hide_query = query;
	if (index_query_init(&q, c->set, question, strlen(question)) != 0 ||
	    index_search(&q, c->set, &params, 5, hide ? not_hidden : NULL, NULL) != 0)
		exit(1);
	for (i = 0; i < q.n_hits; i++) {
		unsigned d = number_of(q.hits[i].document);

		if (*ret_rank < 0 && c == &cranfield && is_judged(query, d))
			*ret_rank = (int)i;
		json_array_append_new(records,
		    json_pack("{s:s, s:s, s:f, s:{s:f}}", "content", c->text[d], "title",
			c->title[d], "score", q.hits[i].normalised, "scores", "bm25",
			q.hits[i].score));
	}
	for (i = 0; i < q.n_terms; i++)
		json_array_append_new(terms,
		    json_pack("{s:s%, s:f}", "term", q.terms[i].term, (size_t)q.terms[i].term_n,
			"idf", q.terms[i].idf));
	return json_pack("{s:o, s:{s:o}}", "records", records, "stats", "terms", terms);
}

static void
example(const char *question, const json_t *found, int label, enum kind kind)
{
	struct example *e = &examples[n_examples];
	struct confidence c;
	ins_str s = { question, strlen(question) };
	unsigned i;

	if (n_examples == EXAMPLES_MAX || confidence_measure(s, found, &c) != 0)
		return;
	/* What has no term in common is refused without arithmetic. */
	if (c.terms == 0 || c.feature[FEATURE_COVERAGE] <= 0)
		return;
	e->x[0] = 1;
	for (i = 0; i < FEATURES; i++)
		e->x[i + 1] = c.feature[i];
	e->label = label;
	e->kind = kind;
	snprintf(e->text, sizeof e->text, "%s", question);
	n_examples++;
}

static void
add_query(const json_t *j, void *arg)
{
	const char *question = text_of(j, "text");
	int id = (int)json_integer_value(json_object_get(j, "id")), rank;
	json_t *found;

	(void)arg;
	found = search(&cranfield, question, id, 0, &rank);
	example(
	    question, found, rank >= 0 && rank < 3, rank >= 0 && rank < 3 ? K_RELEVANT : K_MISSED);
	json_decref(found);
	found = search(&cranfield, question, id, 1, &rank);
	example(question, found, 0, K_HIDDEN);
	json_decref(found);
}

static void
add_prompt(const json_t *j, void *arg)
{
	unsigned *count = arg;
	char *question, *nl;
	json_t *found;
	int rank;

	if ((*count)++ % ROUTING_STEP != 0)
		return;
	question = strdup(text_of(j, "prompt"));
	if ((nl = strchr(question, '\n')) != NULL)
		*nl = '\0';
	found = search(&cranfield, question, -1, 0, &rank);
	example(question, found, 0, K_OTHER);
	json_decref(found);
	free(question);
}

static void
add_faq_question(const json_t *j, void *arg)
{
	int label = json_is_true(json_object_get(j, "answerable")), rank;
	json_t *found = search(&faq, text_of(j, "text"), -1, 0, &rank);

	(void)arg;
	example(text_of(j, "text"), found, label, label ? K_FAQ_YES : K_FAQ_NO);
	json_decref(found);
}

/* ---------------------------------------------------------------- the fit */

static double
logistic(const double *w, const double *x)
{
	double z = 0;
	unsigned i;

	for (i = 0; i < WEIGHTS; i++)
		z += w[i] * x[i];
	return 1 / (1 + exp(-z));
}

/* Each kind weighs by the root of its size, so that the many do not drown the few. */
static double
weight_of(enum kind k)
{
	unsigned i, n = 0;

	for (i = 0; i < n_examples; i++)
		n += examples[i].kind == k;
	return 10 / sqrt(n);
}

static void
solve(double a[WEIGHTS][WEIGHTS + 1])
{
	unsigned i, k, m;

	for (i = 0; i < WEIGHTS; i++) {
		double pivot = a[i][i];

		for (k = i; k <= WEIGHTS; k++)
			a[i][k] /= pivot;
		for (m = 0; m < WEIGHTS; m++) {
			double by = a[m][i];

			for (k = i; m != i && k <= WEIGHTS; k++)
				a[m][k] -= by * a[i][k];
		}
	}
}

/* Leaves out one fold; fold < 0: none. */
static void
fit(double *w, int fold)
{
	double a[WEIGHTS][WEIGHTS + 1], by[KINDS];
	unsigned round, i, k, m;

	memset(w, 0, WEIGHTS * sizeof *w);
	for (i = 0; i < KINDS; i++)
		by[i] = weight_of((enum kind)i);
	for (round = 0; round < 30; round++) {
		memset(a, 0, sizeof a);
		for (k = 0; k < WEIGHTS; k++) {
			a[k][k] = k == 0 ? 1e-6 : L2;
			a[k][WEIGHTS] = -a[k][k] * w[k];
		}
		for (i = 0; i < n_examples; i++) {
			const struct example *e = &examples[i];
			double p, g;

			if (fold >= 0 && i % FOLDS == (unsigned)fold)
				continue;
			p = logistic(w, e->x);
			g = by[e->kind] * p * (1 - p);
			for (k = 0; k < WEIGHTS; k++) {
				a[k][WEIGHTS] += by[e->kind] * (e->label - p) * e->x[k];
				for (m = 0; m < WEIGHTS; m++)
					a[k][m] += g * e->x[k] * e->x[m];
			}
		}
		solve(a);
		for (k = 0; k < WEIGHTS; k++)
			w[k] += a[k][WEIGHTS];
	}
}

static void
report(void)
{
	unsigned k, i, bin;

	printf("held out                    n   >=.5   >=.8\n");
	for (k = 0; k < KINDS; k++) {
		unsigned n = 0, half = 0, high = 0;

		for (i = 0; i < n_examples; i++)
			if (examples[i].kind == k) {
				n++;
				half += examples[i].held_out >= CONFIDENCE_LOW;
				high += examples[i].held_out >= CONFIDENCE_ANSWER;
			}
		if (n > 0)
			printf("%-24s %4u  %4.0f %%  %4.0f %%\n", kind_names[k], n, 100. * half / n,
			    100. * high / n);
	}
	printf("calibration: of those held out with a confidence of about .., so many were "
	       "answerable\n");
	for (bin = 0; bin < 5; bin++) {
		double sum = 0;
		unsigned n = 0, yes = 0;

		for (i = 0; i < n_examples; i++)
			if ((unsigned)fmin(4, examples[i].held_out * 5) == bin) {
				n++;
				yes += (unsigned)examples[i].label;
				sum += examples[i].held_out;
			}
		if (n > 0)
			printf("  .%u to .%u: mean %.2f, answerable %.2f of %u\n", bin * 2,
			    bin * 2 + 2, sum / n, (double)yes / n, n);
	}
}

static void
mistakes(void)
{
	unsigned i;

	for (i = 0; i < n_examples; i++) {
		const struct example *e = &examples[i];

		if ((e->kind == K_FAQ_YES && e->held_out < CONFIDENCE_LOW) ||
		    (e->kind == K_FAQ_NO && e->held_out >= CONFIDENCE_LOW) || getenv("FIT_ALL"))
			printf("  %.2f %s: %s [%.2f %.2f %.2f %.2f %.2f %.0f]\n", e->held_out,
			    kind_names[e->kind], e->text, e->x[1], e->x[2], e->x[3], e->x[4],
			    e->x[5], e->x[6]);
	}
}

int
main(int argc, char **argv)
{
	double w[WEIGHTS];
	unsigned i, count = 0;
	int fold;

	if (argc != 3 && argc != 5) {
		fprintf(stderr, "usage: fit_confidence CRANFIELD ROUTING [FAQ QUESTIONS]\n");
		return 2;
	}
	corpus_begin(&cranfield);
	each(argv[1], "docs.jsonl", add_cranfield, NULL);
	corpus_end(&cranfield);
	each(argv[1], "qrels.jsonl", add_judged, NULL);
	each(argv[1], "queries.jsonl", add_query, NULL);
	each(argv[2], "mmlu.jsonl", add_prompt, &count);
	each(argv[2], "gsm8k.jsonl", add_prompt, &count);
	if (argc == 5) {
		load_faq(argv[3]);
		printf("faq: %u passages\n", faq.n);
		each(argv[4], "", add_faq_question, NULL);
	}
	for (fold = 0; fold < FOLDS; fold++) {
		fit(w, fold);
		for (i = (unsigned)fold; i < n_examples; i += FOLDS)
			examples[i].held_out = logistic(w, examples[i].x);
	}
	report();
	if (argc == 5) {
		printf("mistakes on the faq, held out:\n");
		mistakes();
	}
	fit(w, -1);
	printf("static const double intercept = %.2f;\nstatic const double coefficient[FEATURES] = "
	       "{",
	    w[0]);
	for (i = 0; i < FEATURES; i++)
		printf("%s%.2f", i == 0 ? " " : ", ", w[i + 1]);
	printf(" };\n");
	return 0;
}
