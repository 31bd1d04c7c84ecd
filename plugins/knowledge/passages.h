/*
 * passages.h: from the extraction program's answer to the rows of chunks, as JSON for
 * jsonb_to_recordset, cut into slices so that no statement is huge. Pure; made for a thread of the
 * pool.
 */
#ifndef KNOWLEDGE_PASSAGES_H
#define KNOWLEDGE_PASSAGES_H

#include <insula/insula.h>

#include "chunk.h"
#include "knowledge.h"

struct passages {
	/* in */
	ins_str json;
	/* out; freed by passages_fini */
	json_t *root;
	const char *title; /* NULL when the document has none; of root, as is text */
	ins_str text;
	int64_t characters;
	size_t n_chunks;
	char *slices[SLICES_MAX];
	size_t slice_n[SLICES_MAX], n_slices;
	char error[160]; /* "" or why not */
};

void passages_make(void *passages);
void passages_fini(struct passages *);

#endif
