/*
 * extract_text.c: plain text and Markdown, and the choice of the format.
 *
 * Markdown is CommonMark, parsed by cmark; its tree is walked with cmark's own iterator, so that
 * deep nesting costs no stack. Pipe tables are no part of CommonMark: a paragraph whose second line
 * is a delimiter row is taken for one.
 */
#include <cmark.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "child/doc.h"

static int
blank_line(const char *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (p[i] != ' ' && p[i] != '\t' && p[i] != '\r')
			return 0;
	return 1;
}

/* Paragraphs stand between blank lines, pages between form feeds (RFCs, pdftotext). */
void
extract_text(struct doc *d, const char *p, size_t n)
{
	const char *end = p + n, *eol;
	int open = 0;

	if (memchr(p, '\f', n) != NULL)
		d->page = 1;
	for (; p < end; p = eol + 1) {
		while (p < end && *p == '\f') {
			doc_end(d);
			open = 0;
			d->page++;
			p++;
		}
		eol = memchr(p, '\n', (size_t)(end - p));
		if (eol == NULL)
			eol = end;
		if (blank_line(p, (size_t)(eol - p))) {
			doc_end(d);
			open = 0;
			continue;
		}
		if (!open)
			doc_begin(d, DOC_PARAGRAPH, 0);
		else
			doc_newline(d);
		open = 1;
		doc_add(d, p, (size_t)(eol - p));
	}
}

/* "| --- | :-: |" */
static int
delimiter_row(const char *p)
{
	int dash = 0, bar = 0;

	for (; *p != '\0' && *p != '\n'; p++) {
		dash |= *p == '-';
		bar |= *p == '|';
		if (strchr("|-: \t", *p) == NULL)
			return 0;
	}
	return dash && bar;
}

/* The text of a leaf block's inline nodes; line ends stay line ends. */
static void
inlines(struct doc_buf *b, struct doc *d, cmark_node *block)
{
	cmark_iter *it = cmark_iter_new(block);
	cmark_event_type ev;

	b->n = 0;
	while (it != NULL && (ev = cmark_iter_next(it)) != CMARK_EVENT_DONE) {
		cmark_node *node = cmark_iter_get_node(it);
		cmark_node_type type = cmark_node_get_type(node);
		const char *z = NULL;
		size_t n;

		if (ev == CMARK_EVENT_ENTER && (type == CMARK_NODE_TEXT || type == CMARK_NODE_CODE))
			z = cmark_node_get_literal(node);
		else if (ev == CMARK_EVENT_ENTER &&
		    (type == CMARK_NODE_SOFTBREAK || type == CMARK_NODE_LINEBREAK))
			z = "\n";
		if (z == NULL)
			continue;
		n = strlen(z);
		if (b->n + n + 1 > b->cap) {
			char *q = realloc(b->p, (b->n + n + 1) * 2);

			if (q == NULL) {
				doc_refuse(
				    d, "the document needs more memory than parsing may take");
				break;
			}
			b->p = q;
			b->cap = (b->n + n + 1) * 2;
		}
		memcpy(b->p + b->n, z, n);
		b->n += n;
		b->p[b->n] = '\0';
	}
	if (it != NULL)
		cmark_iter_free(it);
}

static void
lines(struct doc *d, const char *p)
{
	size_t n;

	for (;; p += n + 1) {
		n = strcspn(p, "\n");
		doc_add(d, p, n);
		if (p[n] == '\0')
			return;
		doc_newline(d);
	}
}

static void
leaf(struct doc *d, cmark_node *node, struct doc_buf *b, int in_item)
{
	const char *nl, *z;

	switch (cmark_node_get_type(node)) {
	case CMARK_NODE_HEADING:
		inlines(b, d, node);
		doc_begin(d, DOC_HEADING, cmark_node_get_heading_level(node));
		doc_add(d, b->p, b->n);
		if (cmark_node_get_heading_level(node) == 1)
			doc_set_title(d, b->p, b->n);
		break;
	case CMARK_NODE_PARAGRAPH:
		inlines(b, d, node);
		if (b->n == 0)
			return;
		nl = strchr(b->p, '\n');
		if (nl != NULL && memchr(b->p, '|', (size_t)(nl - b->p)) != NULL &&
		    delimiter_row(nl + 1)) {
			doc_begin(d, DOC_TABLE, 0);
			lines(d, b->p);
		} else {
			doc_begin(d, in_item ? DOC_LIST_ITEM : DOC_PARAGRAPH, 0);
			doc_add(d, b->p, b->n);
		}
		break;
	case CMARK_NODE_CODE_BLOCK:
		z = cmark_node_get_literal(node);
		doc_begin(d, DOC_CODE, 0);
		doc_add(d, z, strlen(z));
		break;
	case CMARK_NODE_HTML_BLOCK:
		z = cmark_node_get_literal(node);
		doc_end(d);
		extract_html(d, z, strlen(z));
		return;
	default: return;
	}
	doc_end(d);
}

void
extract_markdown(struct doc *d, const char *p, size_t n)
{
	struct doc_buf b = { NULL, 0, 0 };
	cmark_node *root;
	cmark_iter *it;
	cmark_event_type ev;
	int in_item = 0;

	root = cmark_parse_document(p, n, CMARK_OPT_DEFAULT);
	it = root == NULL ? NULL : cmark_iter_new(root);
	if (it == NULL)
		doc_refuse(d, "the document needs more memory than parsing may take");
	while (
	    it != NULL && d->error[0] == '\0' && (ev = cmark_iter_next(it)) != CMARK_EVENT_DONE) {
		cmark_node *node = cmark_iter_get_node(it);

		if (cmark_node_get_type(node) == CMARK_NODE_ITEM)
			in_item += ev == CMARK_EVENT_ENTER ? 1 : -1;
		else if (ev == CMARK_EVENT_ENTER)
			leaf(d, node, &b, in_item > 0);
	}
	if (it != NULL)
		cmark_iter_free(it);
	if (root != NULL)
		cmark_node_free(root);
	free(b.p);
}

/* The charset parameter of a media type; -1 = none, -2 = one that we do not know (its label in
 * *ret). */
static int
charset_param(const char *type, const char **ret, size_t *ret_n)
{
	const char *p = type;
	int r;

	while ((p = strchr(p, ';')) != NULL) {
		p++;
		while (*p == ' ' || *p == '\t')
			p++;
		if (strncasecmp(p, "charset=", 8) != 0)
			continue;
		*ret = p + 8;
		*ret_n = strcspn(p + 8, ";");
		r = charset_find(*ret, *ret_n);
		return r >= 0 ? r : -2;
	}
	return -1;
}

static int
is_type(const char *type, const char *want)
{
	size_t n = strlen(want);

	return strncasecmp(type, want, n) == 0 &&
	    (type[n] == '\0' || type[n] == ';' || type[n] == ' ');
}

int
extract_document(struct doc *d, const char *media_type, const char *p, size_t n)
{
	void (*format)(struct doc *, const char *, size_t);
	const char *label = NULL;
	char *utf8 = NULL;
	size_t label_n = 0, at;
	ptrdiff_t bad;
	int cs;

	if (is_type(media_type, "text/plain"))
		format = extract_text;
	else if (is_type(media_type, "text/markdown"))
		format = extract_markdown;
	else if (is_type(media_type, "text/html"))
		format = extract_html;
	else
		return doc_refuse(
		    d, "documents of the media type %.80s cannot be read", media_type);
	cs = charset_param(media_type, &label, &label_n);
	if (cs == -2)
		return doc_refuse(
		    d, "the charset %.*s is not known", label_n > 40 ? 40 : (int)label_n, label);
	if (cs == -1)
		cs = format == extract_html ? charset_sniff_html(p, n) : charset_find("utf-8", 5);
	if (!charset_is_utf8(cs)) {
		if (charset_decode(cs, p, n, &utf8, &at) != 0)
			return at == SIZE_MAX
			    ? doc_refuse(d, "the document needs more memory than parsing may take")
			    : doc_refuse(d, "byte %zu of the document is not valid %s", at,
				  charset_name(cs));
		p = utf8;
		n = at;
	}
	bad = doc_utf8_check(p, n);
	if (bad >= 0)
		doc_refuse(d, "byte %td of the document is not valid UTF-8", bad);
	else if (n > 0)
		format(d, p, n);
	free(utf8);
	return doc_finish(d);
}
