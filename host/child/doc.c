/*
 * doc.c: see doc.h. Normal form C comes from utf8proc, a run of non-ASCII text at a time: a cut
 * before an ASCII character that no combining mark follows never changes the result, and documents
 * are mostly ASCII.
 */
#include "child/doc.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

void
doc_init(struct doc *d)
{
	memset(d, 0, sizeof *d);
}

void
doc_fini(struct doc *d)
{
	free(d->text.p);
	free(d->cur.p);
	free(d->title.p);
	free(d->blocks);
	memset(d, 0, sizeof *d);
}

int
doc_refuse(struct doc *d, const char *fmt, ...)
{
	va_list ap;

	if (d->error[0] == '\0') {
		va_start(ap, fmt);
		vsnprintf(d->error, sizeof d->error, fmt, ap);
		va_end(ap);
	}
	return -1;
}

static int
buf_add(struct doc *d, struct doc_buf *b, const char *p, size_t n)
{
	size_t cap = b->cap == 0 ? 4096 : b->cap;
	char *q;

	if (n == 0)
		return 0;
	if (b->n + n > DOC_TEXT_MAX)
		return doc_refuse(
		    d, "the document holds more than %u MiB of text", DOC_TEXT_MAX >> 20);
	while (cap < b->n + n)
		cap *= 2;
	if (cap != b->cap) {
		q = realloc(b->p, cap);
		if (q == NULL)
			return doc_refuse(
			    d, "the document needs more memory than parsing may take");
		b->p = q;
		b->cap = cap;
	}
	memcpy(b->p + b->n, p, n);
	b->n += n;
	return 0;
}

ptrdiff_t
doc_utf8_check(const char *p, size_t n)
{
	utf8proc_int32_t cp;
	utf8proc_ssize_t r;
	size_t i = 0;

	while (i < n) {
		if ((unsigned char)p[i] < 0x80) {
			i++;
			continue;
		}
		r = utf8proc_iterate((const utf8proc_uint8_t *)p + i,
		    (utf8proc_ssize_t)(n - i > 4 ? 4 : n - i), &cp);
		if (r <= 0)
			return (ptrdiff_t)i;
		i += (size_t)r;
	}
	return -1;
}

void
doc_begin(struct doc *d, enum doc_block_type type, int level)
{
	doc_end(d);
	d->open = 1;
	d->type = type;
	d->level = type == DOC_HEADING ? level : 0;
	d->verbatim = type == DOC_CODE;
	d->cur.n = 0;
}

static int
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

static int
at_gap(const struct doc *d)
{
	return d->cur.n == 0 || d->cur.p[d->cur.n - 1] == ' ' || d->cur.p[d->cur.n - 1] == '\n';
}

/* Bytes of a character that is white space, or of one that is invisible and dropped (*drop); else
 * 0. */
static size_t
gap(const char *p, size_t n, int *drop)
{
	const unsigned char *u = (const unsigned char *)p;

	*drop = 0;
	if (is_space(p[0]))
		return 1;
	if (u[0] < 0x20 || u[0] == 0x7f) {
		*drop = 1;
		return 1;
	}
	if (n >= 2 && u[0] == 0xc2 && (u[1] == 0xa0 || u[1] == 0x85))
		return 2; /* no-break space, next line */
	if (n >= 2 && u[0] == 0xc2 && (u[1] < 0xa0 || u[1] == 0xad)) {
		*drop = 1; /* C1 controls, soft hyphen */
		return 2;
	}
	if (n >= 3 && u[0] == 0xe2 && u[1] == 0x80 &&
	    (u[2] <= 0x8a || u[2] == 0xa8 || u[2] == 0xa9 || u[2] == 0xaf))
		return 3; /* U+2000 .. 200A, 2028, 2029, 202F */
	if (n >= 3 && u[0] == 0xe3 && u[1] == 0x80 && u[2] == 0x80)
		return 3; /* ideographic space */
	if (n >= 3 && u[0] == 0xe2 && u[1] == 0x80 && u[2] == 0x8b) {
		*drop = 1; /* zero width space */
		return 3;
	}
	if (n >= 3 && u[0] == 0xef && u[1] == 0xbb && u[2] == 0xbf) {
		*drop = 1; /* byte order mark */
		return 3;
	}
	return 0;
}

void
doc_add(struct doc *d, const char *p, size_t n)
{
	size_t i = 0, from = 0, g;
	int drop;

	if (!d->open || d->error[0] != '\0')
		return;
	while (i < n) {
		if ((unsigned char)p[i] > ' ' && (unsigned char)p[i] < 0x7f) {
			i++;
			continue;
		}
		g = gap(p + i, n - i, &drop);
		if (g == 0) {
			i++;
			continue;
		}
		if (d->verbatim && (p[i] == ' ' || p[i] == '\t' || p[i] == '\n')) {
			i++;
			continue;
		}
		buf_add(d, &d->cur, p + from, i - from);
		if (!drop && p[i] != '\r' && d->verbatim)
			buf_add(d, &d->cur, " ", 1);
		else if (!drop && !d->verbatim && !at_gap(d))
			buf_add(d, &d->cur, " ", 1);
		i += g;
		from = i;
	}
	if (i > from) /* p is NULL for no text at all */
		buf_add(d, &d->cur, p + from, i - from);
}

void
doc_newline(struct doc *d)
{
	if (!d->open)
		return;
	if (!d->verbatim) {
		while (d->cur.n > 0 && d->cur.p[d->cur.n - 1] == ' ')
			d->cur.n--;
		if (d->cur.n == 0)
			return;
	}
	buf_add(d, &d->cur, "\n", 1);
}

/* Appends p in normal form C to the text and counts its code points. */
static void
add_nfc(struct doc *d, const char *p, size_t n)
{
	size_t i = 0, from, k;
	utf8proc_uint8_t *out;
	utf8proc_ssize_t r;

	while (i < n) {
		from = i;
		while (i < n && (unsigned char)p[i] < 0x80)
			i++;
		/* the last ASCII character may be the base of a combining mark */
		k = i < n && i > from ? i - 1 : i;
		if (buf_add(d, &d->text, p + from, k - from) != 0)
			return;
		d->chars += (uint32_t)(k - from);
		if (k == n)
			return;
		from = k;
		while (i < n && (unsigned char)p[i] >= 0x80 && i - from < DOC_NFC_RUN_MAX)
			i++;
		while (i < n && ((unsigned char)p[i] & 0xc0) == 0x80)
			i++; /* a long run is cut between characters */
		r = utf8proc_map((const utf8proc_uint8_t *)p + from, (utf8proc_ssize_t)(i - from),
		    &out, UTF8PROC_COMPOSE | UTF8PROC_STABLE);
		if (r < 0) {
			doc_refuse(d, "%s",
			    r == UTF8PROC_ERROR_NOMEM
				? "the document needs more memory than parsing may take"
				: "the document is not valid UTF-8");
			return;
		}
		for (k = 0; k < (size_t)r; k++)
			d->chars += (out[k] & 0xc0) != 0x80;
		k = (size_t)buf_add(d, &d->text, (const char *)out, (size_t)r);
		free(out);
		if (k != 0)
			return;
	}
}

static void
block_append(struct doc *d, uint32_t start)
{
	struct doc_block *q;
	uint32_t cap;

	if (d->n_blocks == DOC_BLOCKS_MAX) {
		q = &d->blocks[d->n_blocks - 1];
		q->type = DOC_PARAGRAPH;
		q->level = 0;
		q->end = d->chars;
		return;
	}
	if (d->n_blocks == d->cap_blocks) {
		cap = d->cap_blocks == 0 ? 256 : d->cap_blocks * 2;
		q = realloc(d->blocks, cap * sizeof *q);
		if (q == NULL) {
			doc_refuse(d, "the document needs more memory than parsing may take");
			return;
		}
		d->blocks = q;
		d->cap_blocks = cap;
	}
	q = &d->blocks[d->n_blocks++];
	q->type = (uint8_t)d->type;
	q->level = (uint8_t)d->level;
	q->page = d->page;
	q->start = start;
	q->end = d->chars;
}

void
doc_end(struct doc *d)
{
	const struct doc_block *last = d->n_blocks == 0 ? NULL : &d->blocks[d->n_blocks - 1];
	const char *p = d->cur.p;
	size_t n = d->cur.n;
	uint32_t start;

	if (!d->open)
		return;
	d->open = 0;
	if (n == 0) /* and p may be null */
		return;
	while (n > 0 && is_space(p[n - 1]))
		n--;
	if (d->verbatim) { /* leading blank lines go, leading blanks of the first line stay */
		size_t i = 0, line = 0;

		for (; i < n && is_space(p[i]); i++)
			if (p[i] == '\n')
				line = i + 1;
		p += line;
		n -= line;
	}
	if (n == 0 || d->error[0] != '\0')
		return;
	if (last != NULL) {
		const char *sep = d->type == DOC_LIST_ITEM && last->type == DOC_LIST_ITEM ? "\n"
											  : "\n\n";

		if (buf_add(d, &d->text, sep, strlen(sep)) != 0)
			return;
		d->chars += (uint32_t)strlen(sep);
	}
	start = d->chars;
	add_nfc(d, p, n);
	if (d->error[0] == '\0')
		block_append(d, start);
	if (d->cur.cap > (1u << 20)) { /* one huge block must not hold its memory twice */
		free(d->cur.p);
		d->cur.p = NULL;
		d->cur.cap = 0;
	}
	d->cur.n = 0;
}

void
doc_set_title(struct doc *d, const char *p, size_t n)
{
	struct doc tmp;

	if (d->title.n != 0 || n == 0)
		return;
	if (n > DOC_TITLE_MAX) {
		n = DOC_TITLE_MAX;
		while (n > 0 && ((unsigned char)p[n] & 0xc0) == 0x80)
			n--;
	}
	/* the same rules for white space and normal form as any block */
	doc_init(&tmp);
	doc_begin(&tmp, DOC_PARAGRAPH, 0);
	doc_add(&tmp, p, n);
	doc_end(&tmp);
	if (tmp.error[0] == '\0')
		buf_add(d, &d->title, tmp.text.p, tmp.text.n);
	doc_fini(&tmp);
}

int
doc_finish(struct doc *d)
{
	doc_end(d);
	if (d->error[0] == '\0' && d->n_blocks == 0)
		doc_refuse(d, "the document holds no text");
	return d->error[0] == '\0' ? 0 : -1;
}

static int
put_string(int (*put)(void *, const char *, size_t), void *arg, const char *p, size_t n)
{
	char esc[8];
	size_t i, from = 0;
	int r = put(arg, "\"", 1);

	for (i = 0; i < n && r == 0; i++) {
		unsigned char c = (unsigned char)p[i];

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		r = put(arg, p + from, i - from);
		from = i + 1;
		if (c == '\n')
			snprintf(esc, sizeof esc, "\\n");
		else if (c == '\t')
			snprintf(esc, sizeof esc, "\\t");
		else if (c < 0x20)
			snprintf(esc, sizeof esc, "\\u%04x", c);
		else
			snprintf(esc, sizeof esc, "\\%c", c);
		if (r == 0)
			r = put(arg, esc, strlen(esc));
	}
	if (r == 0)
		r = put(arg, p + from, n - from);
	return r != 0 ? r : put(arg, "\"", 1);
}

int
doc_json(const struct doc *d, int (*put)(void *, const char *, size_t), void *arg)
{
	static const char *const names[DOC_BLOCK_TYPES] = { "heading", "paragraph", "list_item",
		"code", "table" };
	char line[160];
	uint32_t i;
	int r, n;

	r = put(arg, "{\"title\":", 9);
	if (r == 0 && d->title.n == 0)
		r = put(arg, "null", 4);
	else if (r == 0)
		r = put_string(put, arg, d->title.p, d->title.n);
	if (r == 0)
		r = put(arg, ",\"text\":", 8);
	if (r == 0)
		r = put_string(put, arg, d->text.p, d->text.n);
	n = snprintf(line, sizeof line, ",\"characters\":%u,\"blocks\":[", d->chars);
	if (r == 0)
		r = put(arg, line, (size_t)n);
	for (i = 0; i < d->n_blocks && r == 0; i++) {
		const struct doc_block *b = &d->blocks[i];

		n = snprintf(line, sizeof line, "%s{\"type\":\"%s\",\"start\":%u,\"end\":%u",
		    i == 0 ? "" : ",", names[b->type], b->start, b->end);
		if (b->type == DOC_HEADING)
			n += snprintf(line + n, sizeof line - (size_t)n, ",\"level\":%u", b->level);
		if (b->page != 0)
			n += snprintf(line + n, sizeof line - (size_t)n, ",\"page\":%u", b->page);
		line[n++] = '}';
		r = put(arg, line, (size_t)n);
	}
	return r != 0 ? r : put(arg, "]}", 2);
}
