/* retriever.h: "ins.retriever/1": finds passages of the tenant's documents. JSON in, JSON out. */
#ifndef INSULA_RETRIEVER_H
#define INSULA_RETRIEVER_H

#include <insula/insula.h>

#define INS_RETRIEVER_IFACE "ins.retriever/1"

typedef struct {
	uint32_t size;
	void *self;
	/*
	 * in:  {"query": text, "top_k": 1..100 (10), "score_threshold": 0..1 (0), "knowledge_id":
	 * text (optional)} out: {"records": [{"content", "score" 0..1, "title", "document_id",
	 * "chunk_id", "char_start", "char_end", "scores": {"bm25": raw}, "metadata": {...}}],
	 *       "stats": {"documents": n, "chunks": n, "terms": [{"term", "idf", "found"}],
	 *                 "coverage": 0..1 (idf-weighted share of the query's terms in the best
	 * passage)}} Records come best first. Offsets count Unicode code points in the document's
	 * extracted text. -INS_EINVAL, -INS_EUNAVAILABLE.
	 */
	INS_AWAITS
	int (*search)(ins_ctx *, void *self, const json_t *in, json_t **ret_out);
} ins_retriever;

#endif
