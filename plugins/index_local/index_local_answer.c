/* index_local_answer.c: hits and the rows fetched for them, as the retriever's JSON
 * (sdk/include/insula/retriever.h). */
#include "index_local.h"

int
uuid_parse(const char *z, uint8_t out[16])
{
	unsigned n = 0, v;

	for (; z != NULL && *z != '\0' && n < 16; z += *z == '-') {
		if (sscanf(z, "%2x", &v) != 1)
			return -1;
		out[n++] = (uint8_t)v;
		z += 2;
	}
	return n == 16 ? 0 : -1;
}

void
uuid_print(const uint8_t id[16], char out[37])
{
	static const char digits[] = "0123456789abcdef";
	unsigned i;

	for (i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*out++ = '-';
		*out++ = digits[id[i] >> 4];
		*out++ = digits[id[i] & 15];
	}
	*out = '\0';
}

static json_t *
record(const struct index_hit *h, const ins_rows *rows, size_t row)
{
	ins_str metadata = ins_value_str(rows, row, 9);
	json_t *m = json_loadb(
	    metadata.p == NULL ? "{}" : metadata.p, metadata.p == NULL ? 2 : metadata.n, 0, NULL);
	json_t *page = ins_value(rows, row, 7) == NULL ? json_null()
						       : json_integer(ins_value_int(rows, row, 7));

	if (m != NULL && ins_value(rows, row, 10) != NULL && ins_value(rows, row, 10)[0] != '\0' &&
	    json_object_get(m, "source_url") == NULL)
		json_object_set_new(m, "source_url", json_string(ins_value(rows, row, 10)));
	return json_pack("{s:s, s:f, s:s, s:s, s:s, s:I, s:s, s:I, s:I, s:o, s:{s:f, s:f}, s:o}",
	    "content", ins_value(rows, row, 2), "score", h->normalised, "title",
	    ins_value(rows, row, 3), "document_id", ins_value(rows, row, 1), "chunk_id",
	    ins_value(rows, row, 0), "version", (json_int_t)ins_value_int(rows, row, 8), "section",
	    ins_value(rows, row, 4), "char_start", (json_int_t)ins_value_int(rows, row, 5),
	    "char_end", (json_int_t)ins_value_int(rows, row, 6), "page", page, "scores", "bm25",
	    h->score, "coverage", h->coverage, "metadata", m);
}

json_t *
answer_make(const struct index_set *set, const struct index_query *q, const struct request *rq,
    const ins_rows *rows)
{
	json_t *records = json_array(), *terms = json_array();
	size_t n = rows == NULL ? 0 : ins_rows_count(rows), row;
	uint8_t id[16];
	unsigned i;

	for (i = 0; i < q->n_hits;
	     i++) /* a passage that went between ranking and fetching has no row */
		for (row = 0; row < n; row++)
			if (uuid_parse(ins_value(rows, row, 0), id) == 0 &&
			    memcmp(id, q->hits[i].chunk->id, 16) == 0) {
				json_array_append_new(records, record(&q->hits[i], rows, row));
				break;
			}
	for (i = 0; i < q->n_terms; i++)
		json_array_append_new(terms,
		    json_pack("{s:s, s:f, s:b}", "term", q->terms[i].word, "idf", q->terms[i].idf,
			"found", q->terms[i].found));
	return json_pack("{s:o, s:{s:I, s:I, s:o, s:f}}", "records", records, "stats", "documents",
	    (json_int_t)set->n_documents, "chunks", (json_int_t)set->n_chunks, "terms", terms,
	    "coverage", q->n_hits == 0 ? 0. : q->hits[0].coverage);
}
