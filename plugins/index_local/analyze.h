/*
 * analyze.h: from text to index terms: words, folded (case, accents, compatibility forms), without
 * English function words, stemmed. The same for documents and queries. Chinese, Japanese and Korean
 * text, which has no spaces that help, becomes overlapping pairs of characters.
 *
 * Pure; one analyzer per thread.
 */
#ifndef INDEX_LOCAL_ANALYZE_H
#define INDEX_LOCAL_ANALYZE_H

#include <stddef.h>
#include <stdint.h>

#define TERM_MAX 64u /* bytes; longer words are cut */

struct analyzer;
/* NULL without memory. */
struct analyzer *analyzer_new(void);
void analyzer_free(struct analyzer *);

/* Called for each term, in order; word is the folded word before stemming. Both end with the call.
 */
typedef void (*analyze_fn)(void *arg, const char *term, size_t n, const char *word, size_t word_n);
void analyze(struct analyzer *, const char *text, size_t n, analyze_fn, void *arg);

#endif
