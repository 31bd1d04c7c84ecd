/*
 * model_openai_cite.h: the citations of an answer that was given from passages: the markers "[2]"
 * or
 * "[1, 3]" in its text, each with the passage it names. Markers without a passage cite nothing.
 * Pure.
 */
#ifndef MODEL_OPENAI_CITE_H
#define MODEL_OPENAI_CITE_H

#include <jansson.h>
#include <stddef.h>

/* passages: a list of retriever records, of which the model saw the first n. A new list, in the
 * order of first mention, each passage once; NULL when memory is out. */
json_t *cite(const char *text, size_t text_n, const json_t *passages, size_t n);

#endif
