/*
 * sentence.c: see sentence.h.
 *
 * First lines are gathered into blocks (a paragraph, an item, a heading, a line of code), then
 * prose and items are cut at full stops. A full stop ends a sentence when a capital, a digit, a
 * quote or a bracket follows white space and the word before it is no abbreviation; one that stands
 * alone (" . ", as old collections print it) ends one always.
 */
#include "sentence.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define HEADING_MAX 100u /* bytes of a heading without a mark */
#define HEADING_NUMBERED_MAX 300u

static const char *const abbreviations[] = { "e.g", "i.e", "etc", "vs", "cf", "mr", "mrs", "ms",
	"dr", "prof", "st", "fig", "figs", "no", "nos", "sec", "ch", "vol", "pp", "ed", "al",
	"approx", "inc", "ltd", "co", "corp", "dept", "est", "jan", "feb", "mar", "apr", "jun",
	"jul", "aug", "sep", "sept", "oct", "nov", "dec" };

struct out {
	struct sentence *v;
	size_t n, max;
	uint16_t paragraph;
};

static void
add(struct out *o, const char *p, size_t begin, size_t end, enum sentence_kind kind)
{
	/* a bracket that closes a sentence before this one belongs to neither */
	while (
	    begin < end && (isspace((unsigned char)p[begin]) || strchr(")],;", p[begin]) != NULL))
		begin++;
	while (end > begin && isspace((unsigned char)p[end - 1]))
		end--;
	if (begin == end || o->n == o->max)
		return;
	o->v[o->n].begin = (uint32_t)begin;
	o->v[o->n].end = (uint32_t)end;
	o->v[o->n].kind = (uint16_t)kind;
	o->v[o->n].paragraph = o->paragraph;
	o->n++;
}

/* Is the word that ends before p[dot] an abbreviation or an initial? */
static int
abbreviated(const char *p, size_t begin, size_t dot)
{
	size_t w = dot, len, i;

	while (w > begin && (isalnum((unsigned char)p[w - 1]) || p[w - 1] == '.'))
		w--;
	len = dot - w;
	if (len == 0)
		return 0;
	if (len == 1)
		return isupper((unsigned char)p[w]) != 0;
	for (i = 0; i < sizeof abbreviations / sizeof *abbreviations; i++)
		if (strlen(abbreviations[i]) == len &&
		    strncasecmp(abbreviations[i], p + w, len) == 0)
			return 1;
	return 0;
}

/* Does a sentence end with p[i]? Closing quotes and brackets after it belong to it: *ret_end. */
static int
ends_at(const char *p, size_t begin, size_t i, size_t end, size_t *ret_end)
{
	size_t k = i + 1;
	unsigned char next;

	if (p[i] != '.' && p[i] != '!' && p[i] != '?')
		return 0;
	while (k < end && strchr(".!?\"')]", p[k]) != NULL)
		k++;
	*ret_end = k;
	if (k == end)
		return 1;
	if (!isspace((unsigned char)p[k]))
		return 0;
	if (i > begin && isspace((unsigned char)p[i - 1]))
		return 1;
	while (k < end && isspace((unsigned char)p[k]))
		k++;
	if (k == end)
		return 1;
	next = (unsigned char)p[k];
	if (!isupper(next) && !isdigit(next) && next < 0x80 && strchr("\"'([<*`", next) == NULL)
		return 0;
	return p[i] != '.' || !abbreviated(p, begin, i);
}

static void
cut(struct out *o, const char *p, size_t begin, size_t end, enum sentence_kind kind)
{
	size_t from = begin, i, stop;

	for (i = begin; i < end; i++) {
		if (!ends_at(p, from, i, end, &stop))
			continue;
		add(o, p, from, stop, kind);
		kind = SENTENCE_PROSE;
		from = stop;
		i = stop - 1;
	}
	add(o, p, from, end, kind);
}

/* Length of a bullet or number at the start of a line, with the space after it; 0 = none. */
static size_t
bullet(const char *p, size_t n)
{
	size_t i = 0;

	if (n >= 2 && strchr("-*+", p[0]) != NULL && isspace((unsigned char)p[1]))
		return 2;
	if (n >= 4 && memcmp(p, "\xe2\x80\xa2", 3) == 0 && isspace((unsigned char)p[3]))
		return 4;
	while (i < n && i < 3 && isdigit((unsigned char)p[i]))
		i++;
	if (i > 0 && i + 1 < n && (p[i] == '.' || p[i] == ')') && isspace((unsigned char)p[i + 1]))
		return i + 2;
	return 0;
}

/* "9.1. ", "4.5.2 ": how manuals number their sections. */
static int
numbered(const char *p, size_t n)
{
	size_t i = 0;
	int dots = 0;

	while (i < n && (isdigit((unsigned char)p[i]) || (i > 0 && p[i] == '.')))
		dots += p[i++] == '.';
	return dots > 0 && i > 2 && i < n && p[i] == ' ';
}

/* A block of one line: short and without a full stop at its end or a colon that leads on, or with
 * the number of a section in front of it. */
static int
heading_like(const char *p, size_t begin, size_t end)
{
	size_t n = end - begin;

	if (n == 0 || memchr(p + begin, '\n', n) != NULL)
		return 0;
	if (numbered(p + begin, n))
		return n <= HEADING_NUMBERED_MAX;
	return n <= HEADING_MAX && strchr(".!:;,", p[end - 1]) == NULL;
}

/* Ends the block [begin, end) that was gathered. followed: more text comes after it, so it can be a
 * heading; a question alone at the end of a passage is prose. */
static void
flush(struct out *o, const char *p, size_t begin, size_t end, enum sentence_kind kind, int followed)
{
	while (end > begin && isspace((unsigned char)p[end - 1]))
		end--;
	if (begin == end)
		return;
	o->paragraph++;
	if (kind == SENTENCE_PROSE && followed && heading_like(p, begin, end))
		add(o, p, begin, end, SENTENCE_HEADING);
	else
		cut(o, p, begin, end, kind);
}

size_t
sentence_split(const char *p, size_t n, struct sentence *ret, size_t max)
{
	struct out o = { ret, 0, max, 0 };
	enum sentence_kind kind = SENTENCE_PROSE;
	size_t line = 0, begin = 0, end = 0, mark;
	int fenced = 0;

	while (line < n) {
		const char *nl = memchr(p + line, '\n', n - line);
		size_t stop = nl == NULL ? n : (size_t)(nl - p), text = line, indent = 0;

		for (; text < stop && (p[text] == ' ' || p[text] == '\t'); text++)
			indent += p[text] == '\t' ? 4 : 1;
		mark = bullet(p + text, stop - text);
		if (stop - text >= 3 && memcmp(p + text, "```", 3) == 0) {
			flush(&o, p, begin, end, kind, 0);
			begin = end = stop;
			fenced = !fenced;
			o.paragraph++;
		} else if (fenced || (indent >= 4 && begin == end && mark == 0)) {
			add(&o, p, text, stop, SENTENCE_CODE);
			begin = end = stop;
		} else if (text == stop) {
			flush(&o, p, begin, end, kind, stop < n);
			begin = end = stop;
			kind = SENTENCE_PROSE;
		} else if (p[text] == '#' && begin == end && text + 1 < stop &&
		    (p[text + 1] == '#' || p[text + 1] == ' ') && indent == 0) {
			while (text < stop && p[text] == '#')
				text++;
			o.paragraph++;
			add(&o, p, text, stop, SENTENCE_HEADING);
			begin = end = stop;
		} else if (mark != 0) {
			flush(&o, p, begin, end, kind, 0);
			begin = text + mark;
			end = stop;
			kind = SENTENCE_ITEM;
		} else {
			if (begin == end) {
				begin = text;
				kind = SENTENCE_PROSE;
			}
			end = stop;
		}
		line = stop + 1;
	}
	flush(&o, p, begin, end, kind, 0);
	return o.n;
}
