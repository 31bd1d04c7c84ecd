/*
 * analyze.c: see analyze.h. Folding and character classes are utf8proc's, stems libstemmer's
 * (English Porter 2); the list of function words is the one that PostgreSQL's english configuration
 * uses, in folded form.
 */
#include "analyze.h"

#include <libstemmer.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

struct analyzer {
	struct sb_stemmer *stemmer;
	analyze_fn fn;
	void *arg;
	char word[TERM_MAX];
	size_t n;
	int full;     /* the rest of the word is dropped */
	int plain;    /* letters only: can be stemmed */
	char last[4]; /* the character before, of a run without spaces */
	size_t last_n;
	int last_paired;
};

/* clang-format off */
static const char *const stopwords[] = {
	"a", "about", "above", "after", "again", "against", "all", "am", "an", "and", "any", "are", "aren't", "as", "at",
	"be", "because", "been", "before", "being", "below", "between", "both", "but", "by", "can", "can't", "cannot",
	"could", "couldn't", "did", "didn't", "do", "does", "doesn't", "doing", "don", "don't", "down", "during", "each",
	"few", "for", "from", "further", "had", "hadn't", "has", "hasn't", "have", "haven't", "having", "he", "he's",
	"her", "here", "here's", "hers", "herself", "him", "himself", "his", "how", "how's", "i", "i'd", "i'll", "i'm",
	"i've", "if", "in", "into", "is", "isn't", "it", "it's", "its", "itself", "just", "let's", "me", "more", "most",
	"my", "myself", "no", "nor", "not", "now", "of", "off", "on", "once", "only", "or", "other", "our", "ours",
	"ourselves", "out", "over", "own", "s", "same", "shan't", "she", "she's", "should", "shouldn't", "so", "some",
	"such", "t", "than", "that", "that's", "the", "their", "theirs", "them", "themselves", "then", "there", "there's",
	"these", "they", "they're", "this", "those", "through", "to", "too", "under", "until", "up", "very", "was",
	"wasn't", "we", "we're", "we've", "were", "weren't", "what", "what's", "when", "where", "where's", "which",
	"while", "who", "who's", "whom", "why", "will", "with", "won't", "would", "wouldn't", "you", "you'd", "you'll",
	"you're", "you've", "your", "yours", "yourself", "yourselves",
};
/* clang-format on */

static int
compare_stopword(const void *key, const void *elem)
{
	return strcmp(key, *(const char *const *)elem);
}

struct analyzer *
analyzer_new(void)
{
	struct analyzer *a = calloc(1, sizeof *a);

	if (a == NULL)
		return NULL;
	a->stemmer = sb_stemmer_new("english", "UTF_8");
	if (a->stemmer == NULL) {
		free(a);
		return NULL;
	}
	return a;
}

void
analyzer_free(struct analyzer *a)
{
	if (a == NULL)
		return;
	sb_stemmer_delete(a->stemmer);
	free(a);
}

static void
word_begin(struct analyzer *a)
{
	a->n = 0;
	a->full = 0;
	a->plain = 1;
}

static void
word_add(struct analyzer *a, const char *p, size_t n)
{
	if (a->full || a->n + n > TERM_MAX - 1) {
		a->full = 1; /* never half a character */
		return;
	}
	memcpy(a->word + a->n, p, n);
	a->n += n;
}

static void
word_end(struct analyzer *a)
{
	const sb_symbol *stem;

	while (a->n > 0 && (a->word[a->n - 1] == '\'' || a->word[a->n - 1] == '.'))
		a->n--;
	if (a->n == 0)
		return;
	a->word[a->n] = '\0';
	if (bsearch(a->word, stopwords, sizeof stopwords / sizeof stopwords[0], sizeof stopwords[0],
		compare_stopword) != NULL)
		return word_begin(a);
	if (a->plain) {
		stem = sb_stemmer_stem(a->stemmer, (const sb_symbol *)a->word, (int)a->n);
		if (stem != NULL)
			a->fn(a->arg, (const char *)stem, (size_t)sb_stemmer_length(a->stemmer),
			    a->word, a->n);
	} else {
		a->fn(a->arg, a->word, a->n, a->word, a->n);
	}
	word_begin(a);
}

/* Scripts that are written without spaces between words. */
static int
is_unspaced(utf8proc_int32_t c)
{
	return (c >= 0x3400 && c <= 0x9fff) || (c >= 0x3040 && c <= 0x30ff) ||
	    (c >= 0xac00 && c <= 0xd7a3) || (c >= 0xf900 && c <= 0xfaff) ||
	    (c >= 0x20000 && c <= 0x3ffff) || (c >= 0x0e01 && c <= 0x0e5b);
}

static void
run_end(struct analyzer *a)
{
	if (a->last_n != 0 && !a->last_paired)
		a->fn(a->arg, a->last, a->last_n, a->last, a->last_n);
	a->last_n = 0;
	a->last_paired = 0;
}

static void
run_add(struct analyzer *a, const char *p, size_t n)
{
	char pair[8];

	if (a->last_n != 0) {
		memcpy(pair, a->last, a->last_n);
		memcpy(pair + a->last_n, p, n);
		a->fn(a->arg, pair, a->last_n + n, pair, a->last_n + n);
	}
	a->last_paired = a->last_n != 0;
	memcpy(a->last, p, n);
	a->last_n = n;
}

static int
is_word_char(utf8proc_int32_t c)
{
	switch (utf8proc_category(c)) {
	case UTF8PROC_CATEGORY_LU:
	case UTF8PROC_CATEGORY_LL:
	case UTF8PROC_CATEGORY_LT:
	case UTF8PROC_CATEGORY_LM:
	case UTF8PROC_CATEGORY_LO:
	case UTF8PROC_CATEGORY_MN:
	case UTF8PROC_CATEGORY_MC:
	case UTF8PROC_CATEGORY_ND:
	case UTF8PROC_CATEGORY_NL:
	case UTF8PROC_CATEGORY_NO: return 1;
	default: return 0;
	}
}

static void
fold_add(struct analyzer *a, utf8proc_int32_t c)
{
	utf8proc_int32_t out[8];
	utf8proc_uint8_t bytes[4];
	utf8proc_ssize_t n, i;
	int boundary = 0;

	n = utf8proc_decompose_char(c, out, 8,
	    (utf8proc_option_t)(UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT | UTF8PROC_CASEFOLD |
		UTF8PROC_STRIPMARK | UTF8PROC_IGNORE),
	    &boundary);
	for (i = 0; i < n && i < 8; i++) {
		if (out[i] == ' ')
			continue;
		if (out[i] > 0x7f || out[i] < 'a' || out[i] > 'z')
			a->plain = a->plain && out[i] > 0x7f;
		word_add(a, (const char *)bytes, (size_t)utf8proc_encode_char(out[i], bytes));
	}
}

/* A digit or letter on both sides keeps "don't", "3.11" and "1,000" in one piece. */
static int
joins(const char *p, size_t i, size_t n)
{
	unsigned char before, after;

	if (i == 0 || i + 1 >= n)
		return 0;
	before = (unsigned char)p[i - 1];
	after = (unsigned char)p[i + 1];
	if (p[i] == '\'')
		return ((before | 0x20) >= 'a' && (before | 0x20) <= 'z') &&
		    ((after | 0x20) >= 'a' && (after | 0x20) <= 'z');
	return before >= '0' && before <= '9' && after >= '0' && after <= '9';
}

void
analyze(struct analyzer *a, const char *text, size_t n, analyze_fn fn, void *arg)
{
	utf8proc_int32_t c;
	utf8proc_ssize_t len;
	size_t i = 0;
	char b;

	a->fn = fn;
	a->arg = arg;
	a->last_n = 0;
	a->last_paired = 0;
	word_begin(a);
	while (i < n) {
		b = text[i];
		if ((unsigned char)b < 0x80) {
			if (a->last_n != 0)
				run_end(a);
			if (b >= 'A' && b <= 'Z')
				b |= 0x20;
			if (b >= 'a' && b <= 'z') {
				word_add(a, &b, 1);
			} else if ((b >= '0' && b <= '9') ||
			    ((b == '.' || b == ',') && joins(text, i, n))) {
				a->plain = 0;
				word_add(a, &b, 1);
			} else if (b == '\'' && joins(text, i, n)) {
				word_add(a, &b, 1);
			} else {
				word_end(a);
			}
			i++;
			continue;
		}
		len = utf8proc_iterate((const utf8proc_uint8_t *)text + i,
		    (utf8proc_ssize_t)(n - i > 4 ? 4 : n - i), &c);
		if (len <= 0) {
			word_end(a);
			i++;
			continue;
		}
		if (is_unspaced(c)) {
			word_end(a);
			run_add(a, text + i, (size_t)len);
		} else {
			if (a->last_n != 0)
				run_end(a);
			if (c == 0x2019 && a->n > 0 && i + 3 < n && (text[i + 3] | 0x20) >= 'a' &&
			    (text[i + 3] | 0x20) <= 'z')
				word_add(a, "'", 1);
			else if (is_word_char(c))
				fold_add(a, c);
			else
				word_end(a);
		}
		i += (size_t)len;
	}
	run_end(a);
	word_end(a);
}
