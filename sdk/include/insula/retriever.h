/* retriever.h: "ins.retriever/1": finds passages of the tenant's documents. JSON in, JSON out. */
#ifndef INSULA_RETRIEVER_H
#define INSULA_RETRIEVER_H

#include <insula/insula.h>

#define INS_RETRIEVER_IFACE "ins.retriever/1"

typedef struct {
	uint32_t size;
	void *self;
	/*
	 * in:  {"query": text, "top_k": 1..100 (10), "score_threshold": 0..1 (0),
	 * "metadata_condition":
	 *       {"logical_operator": "and|or", "conditions": [{"name", "comparison_operator",
	 * "value"}]} as Dify's (optional)} out: {"records": [{"content", "score" 0..1, "title",
	 * "section", "document_id", "version", "chunk_id", "char_start", "char_end", "page" or
	 * null, "scores": {"bm25": raw, "coverage": 0..1}, "metadata": {...}}], "stats":
	 * {"documents": n, "chunks": n, "terms": [{"term", "idf", "found"}], "coverage": 0..1}}
	 * Records come best first. score is the share of the most that this query could score; it
	 * falls with each term that the passage lacks. coverage is the idf-weighted share of the
	 * query's terms in the passage, in stats that of the best one; found says whether the best
	 * one holds the term, whose text is the word as asked, in lower case. Offsets count Unicode
	 * code points in the document's extracted text. -INS_EINVAL, -INS_EUNAVAILABLE.
	 */
	INS_AWAITS
	int (*search)(ins_ctx *, void *self, const json_t *in, json_t **ret_out);
} ins_retriever;

#endif
