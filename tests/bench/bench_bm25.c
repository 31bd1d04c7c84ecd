/*
 * bench_bm25 DIR: quality and speed of the index on a test collection (docs.jsonl, queries.jsonl,
 * qrels.jsonl of Cranfield's shape). Links the plugin's own code. Prints one line per measure; a
 * skip line when DIR is not there.
 *
 * nDCG@10 is trec_eval's: binary gains, 1 / log2(rank + 1), ideal over all relevant documents of
 * the query.
 */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "plugins/index_local/index.h"

#define QUERIES_MAX 1000
#define JUDGED_MAX 20000
#define FLOOR_NDCG 0.50

static struct {
	int query, doc;
} judged[JUDGED_MAX];
static unsigned n_judged;

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Calls fn for every line of DIR/name; -1 when the file is absent. */
static int
each(const char *dir, const char *name, void (*fn)(const json_t *, void *), void *arg)
{
	char path[4096], *line = NULL;
	size_t cap = 0;
	ssize_t n;
	json_t *j;
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	f = fopen(path, "r");
	if (f == NULL)
		return -1;
	while ((n = getline(&line, &cap, f)) > 0) {
		j = json_loadb(line, (size_t)n, 0, NULL);
		if (j != NULL)
			fn(j, arg);
		json_decref(j);
	}
	free(line);
	fclose(f);
	return 0;
}

static int
integer(const json_t *j, const char *key)
{
	return (int)json_integer_value(json_object_get(j, key));
}

static const char *
text(const json_t *j, const char *key)
{
	const char *z = json_string_value(json_object_get(j, key));

	return z == NULL ? "" : z;
}

static void
add_doc(const json_t *j, void *arg)
{
	uint8_t id[16] = { 0 };
	int n = integer(j, "id");

	memcpy(id + 12, &n, sizeof n);
	segment_builder_add(arg, id, id, 1, 1, text(j, "title"), strlen(text(j, "title")),
	    text(j, "text"), strlen(text(j, "text")));
}

static void
add_judgement(const json_t *j, void *arg)
{
	if (n_judged == JUDGED_MAX)
		return;
	judged[n_judged].query = integer(j, "query");
	judged[n_judged++].doc = integer(j, "doc");
}

struct run {
	const struct index_set *set;
	struct index_params params;
	unsigned n;
	double ndcg, seconds, worst;
};

static void
run_query(const json_t *j, void *arg)
{
	static struct index_query q;
	struct run *r = arg;
	int id = integer(j, "id"), doc;
	double dcg = 0, ideal = 0, t = now(), took;
	unsigned i, k, relevant = 0;

	if (index_query_init(&q, r->set, text(j, "text"), strlen(text(j, "text"))) != 0 ||
	    index_search(&q, r->set, &r->params, 10, NULL, NULL) != 0)
		exit(1);
	took = now() - t;
	r->seconds += took;
	if (took > r->worst)
		r->worst = took;
	for (k = 0; k < n_judged; k++)
		relevant += judged[k].query == id;
	for (i = 0; i < q.n_hits; i++) {
		memcpy(&doc, q.hits[i].document->id + 12, sizeof doc);
		for (k = 0; k < n_judged; k++)
			if (judged[k].query == id && judged[k].doc == doc)
				dcg += 1 / log2(i + 2);
	}
	for (i = 0; i < relevant && i < 10; i++)
		ideal += 1 / log2(i + 2);
	if (relevant > 0) {
		r->ndcg += dcg / ideal;
		r->n++;
	}
}

int
main(int argc, char **argv)
{
	struct segment_builder *b = segment_builder_new();
	struct index_set *empty = index_set_new(), *set;
	struct run r = { .params = { 1.2, .75, INDEX_TITLE_BOOST } };
	double t = now();

	if (argc < 2) {
		fprintf(stderr, "usage: bench_bm25 DIR [K1 B TITLE_BOOST]\n");
		return 2;
	}
	if (argc == 5)
		r.params = (struct index_params){ atof(argv[2]), atof(argv[3]), atof(argv[4]) };
	if (b == NULL || empty == NULL)
		return 1;
	if (each(argv[1], "docs.jsonl", add_doc, b) != 0) {
		printf("bm25: skipped, %s/docs.jsonl is not there\n", argv[1]);
		segment_unref(segment_builder_finish(b));
		index_set_unref(empty);
		return 0;
	}
	set = index_set_apply(empty, NULL, 0, segment_builder_finish(b));
	if (set == NULL)
		return 1;
	t = now() - t;
	each(argv[1], "qrels.jsonl", add_judgement, NULL);
	r.set = set;
	each(argv[1], "queries.jsonl", run_query, &r);
	printf("bm25 index: %u documents in %.0f ms, %.1f MB\n", set->n_chunks, t * 1e3,
	    (double)set->bytes / 1e6);
	printf("bm25 search: %.0f us mean, %.0f us worst\n", r.seconds / r.n * 1e6, r.worst * 1e6);
	printf("bm25 nDCG@10: %.4f over %u queries (development fold; floor %.2f)\n", r.ndcg / r.n,
	    r.n, FLOOR_NDCG);
	index_set_unref(set);
	index_set_unref(empty);
	return r.ndcg / r.n >= FLOOR_NDCG ? 0 : 1;
}
