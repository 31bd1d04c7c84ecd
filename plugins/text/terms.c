/* terms.c: see terms.h. The stop words are Porter's list for English without "not" and "no" (which
 * change what a question asks), plus the words that questions to a help desk open with. */
#include "terms.h"

#include <ctype.h>
#include <libstemmer.h>
#include <stdlib.h>
#include <string.h>

struct terms_stemmer {
	struct sb_stemmer *sb;
};

/* Sorted for bsearch. */
static const char *const stop_words[] = { "a", "about", "above", "after", "again", "all", "also",
	"am", "an", "and", "any", "are", "as", "at", "be", "because", "been", "before", "being",
	"below", "between", "both", "but", "by", "can", "cannot", "could", "did", "do", "does",
	"doing", "don't", "during", "each", "few", "for", "from", "further", "had", "has", "have",
	"having", "he", "her", "here", "hers", "him", "his", "how", "however", "i", "i'd", "i'm",
	"i've", "if", "in", "into", "is", "it", "it's", "its", "itself", "let", "may", "me",
	"might", "more", "most", "must", "my", "myself", "of", "off", "on", "once", "only", "or",
	"other", "our", "ours", "out", "over", "own", "please", "same", "shall", "she", "should",
	"so", "some", "such", "tell", "than", "that", "the", "their", "theirs", "them", "then",
	"there", "these", "they", "this", "those", "through", "to", "too", "under", "until", "up",
	"upon", "us", "very", "was", "we", "were", "what", "what's", "when", "where", "whether",
	"which", "while", "who", "whom", "whose", "why", "will", "with", "would", "you", "your",
	"yours" };

struct terms_stemmer *
terms_stemmer_new(void)
{
	struct terms_stemmer *s = malloc(sizeof *s);

	if (s == NULL)
		return NULL;
	s->sb = sb_stemmer_new("english", "UTF_8");
	if (s->sb == NULL) {
		free(s);
		return NULL;
	}
	return s;
}

void
terms_stemmer_free(struct terms_stemmer *s)
{
	if (s == NULL)
		return;
	sb_stemmer_delete(s->sb);
	free(s);
}

static int
by_word(const void *a, const void *b)
{
	return strcmp(a, *(const char *const *)b);
}

/* FNV-1a: short keys, and no attacker gains from a collision inside one answer. */
static uint64_t
hash_bytes(const unsigned char *p, size_t n)
{
	uint64_t h = UINT64_C(14695981039346656037);
	size_t i;

	for (i = 0; i < n; i++)
		h = (h ^ p[i]) * UINT64_C(1099511628211);
	return h;
}

static int
is_word(unsigned char c)
{
	return isalnum(c) || c >= 0x80;
}

static int
joins(unsigned char c)
{
	return c == '.' || c == '-' || c == '_' || c == '+' || c == '\'';
}

size_t
terms_scan(struct terms_stemmer *s, const char *p, size_t n, struct term *ret_terms, size_t max)
{
	size_t i = 0, count = 0;

	while (i < n) {
		char word[TERMS_WORD_MAX + 1];
		const unsigned char *stem;
		size_t begin, len = 0;
		int stop;

		if (!is_word((unsigned char)p[i])) {
			i++;
			continue;
		}
		begin = i;
		while (i < n) {
			unsigned char c = (unsigned char)p[i];

			if (!is_word(c) &&
			    !(joins(c) && i + 1 < n && is_word((unsigned char)p[i + 1])))
				break;
			if (len < TERMS_WORD_MAX)
				word[len++] = (char)(c < 0x80 ? tolower(c) : c);
			i++;
		}
		if (count >= max) {
			count++;
			continue;
		}
		word[len] = '\0';
		stop = bsearch(word, stop_words, sizeof stop_words / sizeof *stop_words,
			   sizeof *stop_words, by_word) != NULL;
		stem = sb_stemmer_stem(s->sb, (const sb_symbol *)word, (int)len);
		if (stem != NULL)
			ret_terms[count].hash = hash_bytes(stem, (size_t)sb_stemmer_length(s->sb));
		else
			ret_terms[count].hash = hash_bytes((const unsigned char *)word, len);
		ret_terms[count].begin = (uint32_t)begin;
		ret_terms[count].end = (uint32_t)i;
		ret_terms[count].stop = (uint32_t)stop;
		count++;
	}
	return count;
}

static int
by_hash(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

size_t
terms_unique(uint64_t *hashes, size_t n)
{
	size_t i, k = 0;

	if (n == 0)
		return 0;
	qsort(hashes, n, sizeof *hashes, by_hash);
	for (i = 1; i < n; i++)
		if (hashes[i] != hashes[k])
			hashes[++k] = hashes[i];
	return k + 1;
}

int
terms_has(const uint64_t *sorted, size_t n, uint64_t hash)
{
	return n != 0 && bsearch(&hash, sorted, n, sizeof *sorted, by_hash) != NULL;
}
