/*
 * extract_html.c: HTML through libxml2's parser, as a stream of events, not as a tree: memory stays
 * with the text and nesting costs nothing but a counter. The parser loads nothing (NONET, no DTD)
 * and expands no entities but HTML's own.
 *
 * What is chrome and not content is left out: scripts, styles, navigation, the banner and footer of
 * a page, and the navigation and contents lists of DocBook (classes navheader, navfooter, toc).
 */
#include <libxml/HTMLparser.h>
#include <libxml/parser.h>
#include <string.h>
#include <strings.h>

#include "child/doc.h"

#define HTML_DEPTH_MAX 2000 /* of open elements */

enum kind {
	K_INLINE,
	K_BLOCK,  /* ends the paragraph before and after */
	K_SKIP,   /* neither it nor what is inside */
	K_BANNER, /* skipped unless inside an article: then it holds the article's own title */
	K_HEADING,
	K_ITEM,
	K_PRE,
	K_TABLE,
	K_ROW,
	K_CELL,
	K_BR,
	K_TITLE,
	K_ARTICLE,
};

static const struct {
	const char *name;
	enum kind kind;
} elements[] = {
	{ "address", K_BLOCK },
	{ "article", K_ARTICLE },
	{ "aside", K_BLOCK },
	{ "audio", K_SKIP },
	{ "blockquote", K_BLOCK },
	{ "body", K_BLOCK },
	{ "br", K_BR },
	{ "button", K_SKIP },
	{ "canvas", K_SKIP },
	{ "caption", K_BLOCK },
	{ "center", K_BLOCK },
	{ "dd", K_ITEM },
	{ "details", K_BLOCK },
	{ "dialog", K_SKIP },
	{ "dir", K_BLOCK },
	{ "div", K_BLOCK },
	{ "dl", K_BLOCK },
	{ "dt", K_ITEM },
	{ "fieldset", K_BLOCK },
	{ "figcaption", K_BLOCK },
	{ "figure", K_BLOCK },
	{ "footer", K_BANNER },
	{ "form", K_BLOCK },
	{ "h1", K_HEADING },
	{ "h2", K_HEADING },
	{ "h3", K_HEADING },
	{ "h4", K_HEADING },
	{ "h5", K_HEADING },
	{ "h6", K_HEADING },
	{ "header", K_BANNER },
	{ "hr", K_BLOCK },
	{ "iframe", K_SKIP },
	{ "legend", K_BLOCK },
	{ "li", K_ITEM },
	{ "listing", K_PRE },
	{ "main", K_ARTICLE },
	{ "map", K_SKIP },
	{ "math", K_SKIP },
	{ "menu", K_BLOCK },
	{ "nav", K_SKIP },
	{ "noframes", K_SKIP },
	{ "noscript", K_SKIP },
	{ "object", K_SKIP },
	{ "ol", K_BLOCK },
	{ "option", K_SKIP },
	{ "p", K_BLOCK },
	{ "plaintext", K_PRE },
	{ "pre", K_PRE },
	{ "script", K_SKIP },
	{ "section", K_BLOCK },
	{ "select", K_SKIP },
	{ "style", K_SKIP },
	{ "summary", K_BLOCK },
	{ "svg", K_SKIP },
	{ "table", K_TABLE },
	{ "tbody", K_INLINE },
	{ "td", K_CELL },
	{ "template", K_SKIP },
	{ "textarea", K_SKIP },
	{ "th", K_CELL },
	{ "title", K_TITLE },
	{ "tr", K_ROW },
	{ "ul", K_BLOCK },
	{ "video", K_SKIP },
	{ "xmp", K_PRE },
};

struct html {
	struct doc *d;
	htmlParserCtxtPtr ctxt;
	int depth;
	int skip; /* depth of the element that is skipped, 0 = none */
	int article, items, pre, title;
	int table;  /* open tables */
	int layout; /* a table proved to hold more than cells of text: its parts are blocks of their
		       own */
	int cells;  /* of this row so far */
	int heading; /* 1..6 */
};

static enum kind
kind_of(const char *name)
{
	size_t lo = 0, hi = sizeof elements / sizeof elements[0], mid;
	int c;

	while (lo < hi) {
		mid = (lo + hi) / 2;
		c = strcasecmp(name, elements[mid].name);
		if (c == 0)
			return elements[mid].kind;
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return K_INLINE;
}

static int
has_token(const char *value, const char *const *tokens)
{
	size_t n, i;

	for (; *value != '\0'; value += n) {
		value += strspn(value, " \t\r\n");
		n = strcspn(value, " \t\r\n");
		for (i = 0; tokens[i] != NULL; i++)
			if (strlen(tokens[i]) == n && n > 0 &&
			    strncasecmp(tokens[i], value, n) == 0)
				return 1;
	}
	return 0;
}

static int
is_chrome(const xmlChar **atts)
{
	static const char *const classes[] = { "navheader", "navfooter", "toc", "navbar",
		"breadcrumb", "breadcrumbs", "sphinxsidebar", "headerlink", NULL };
	static const char *const roles[] = { "navigation", "banner", "contentinfo", "search",
		"menu", "menubar", NULL };
	size_t i;

	for (i = 0; atts != NULL && atts[i] != NULL; i += 2) {
		const char *name = (const char *)atts[i];
		const char *value = atts[i + 1] == NULL ? "" : (const char *)atts[i + 1];

		if ((strcasecmp(name, "class") == 0 && has_token(value, classes)) ||
		    (strcasecmp(name, "role") == 0 && has_token(value, roles)) ||
		    strcasecmp(name, "hidden") == 0)
			return 1;
	}
	return 0;
}

/* Where words go when no block is open: what the elements around them say. */
static void
open_block(struct html *h)
{
	if (h->d->open)
		return;
	if (h->heading != 0)
		doc_begin(h->d, DOC_HEADING, h->heading);
	else if (h->pre > 0)
		doc_begin(h->d, DOC_CODE, 0);
	else if (h->table > 0 && !h->layout)
		doc_begin(h->d, DOC_TABLE, 0);
	else
		doc_begin(h->d, h->items > 0 ? DOC_LIST_ITEM : DOC_PARAGRAPH, 0);
}

static void
table_is_layout(struct html *h)
{
	if (h->table == 0 || h->layout)
		return;
	h->layout = 1;
	doc_end(h->d);
}

static void
start_element(void *arg, const xmlChar *xname, const xmlChar **atts)
{
	struct html *h = arg;
	const char *name = (const char *)xname;
	enum kind kind = kind_of(name);

	h->depth++;
	if (h->skip != 0)
		return;
	if (h->depth > HTML_DEPTH_MAX) {
		doc_refuse(h->d, "its elements are nested deeper than %d", HTML_DEPTH_MAX);
		xmlStopParser(h->ctxt);
		return;
	}
	if (kind == K_SKIP || (kind == K_BANNER && h->article == 0) ||
	    (h->depth > 2 && is_chrome(atts))) { /* never html or body themselves */
		h->skip = h->depth;
		if (kind != K_INLINE)
			doc_end(h->d);
		return;
	}
	switch (kind) {
	case K_ARTICLE: h->article++; /* fall through */
	case K_BANNER:
	case K_BLOCK:
		if (h->table == 0 || h->layout)
			doc_end(h->d);
		break;
	case K_HEADING:
		table_is_layout(h);
		doc_end(h->d);
		h->heading = name[1] - '0';
		break;
	case K_ITEM:
		table_is_layout(h);
		doc_end(h->d);
		h->items++;
		break;
	case K_PRE:
		table_is_layout(h);
		doc_end(h->d);
		h->pre++;
		break;
	case K_TABLE:
		table_is_layout(h); /* one in another */
		doc_end(h->d);
		if (h->table++ == 0)
			h->layout = 0;
		break;
	case K_ROW:
		if (h->layout)
			doc_end(h->d);
		else
			doc_newline(h->d);
		h->cells = 0;
		break;
	case K_CELL:
		if (h->layout) {
			doc_end(h->d);
		} else if (h->cells++ > 0) {
			open_block(h);
			doc_add(h->d, " | ", 3);
		}
		break;
	case K_BR:
		if (h->table > 0 && !h->layout)
			doc_add(h->d, " ", 1);
		else
			doc_newline(h->d);
		break;
	case K_TITLE: h->title = h->depth; break;
	default: break;
	}
}

static void
end_element(void *arg, const xmlChar *xname)
{
	struct html *h = arg;
	const char *name = (const char *)xname;

	if (h->skip != 0) {
		if (h->skip == h->depth)
			h->skip = 0;
		h->depth--;
		return;
	}
	switch (kind_of(name)) {
	case K_ARTICLE: h->article -= h->article > 0; /* fall through */
	case K_BANNER:
	case K_BLOCK:
		if (h->table == 0 || h->layout)
			doc_end(h->d);
		else
			doc_add(h->d, " ", 1); /* paragraphs of one cell */
		break;
	case K_HEADING:
		if (name[1] == '1' && h->d->open)
			doc_set_title(h->d, h->d->cur.p, h->d->cur.n);
		doc_end(h->d);
		h->heading = 0;
		break;
	case K_ITEM:
		doc_end(h->d);
		h->items -= h->items > 0;
		break;
	case K_PRE:
		doc_end(h->d);
		h->pre -= h->pre > 0;
		break;
	case K_TABLE:
		doc_end(h->d);
		if (h->table > 0 && --h->table == 0)
			h->layout = 0;
		break;
	case K_TITLE: h->title = 0; break;
	default: break;
	}
	h->depth--;
}

static void
characters(void *arg, const xmlChar *p, int n)
{
	struct html *h = arg;
	int i;

	if (h->skip != 0 || n <= 0)
		return;
	if (h->title != 0) {
		doc_set_title(h->d, (const char *)p, (size_t)n);
		return;
	}
	if (!h->d->open && h->pre == 0) { /* white space between blocks opens none */
		for (i = 0; i < n && strchr(" \t\r\n", p[i]) != NULL; i++)
			continue;
		if (i == n)
			return;
	}
	open_block(h);
	doc_add(h->d, (const char *)p, (size_t)n);
	if (h->d->error[0] != '\0')
		xmlStopParser(h->ctxt);
}

static void
structured_error(void *arg, xmlErrorPtr e)
{
	struct html *h = arg;

	if (e != NULL && e->code == XML_ERR_NO_MEMORY)
		doc_refuse(h->d, "the document needs more memory than parsing may take");
}

void
extract_html(struct doc *d, const char *p, size_t n)
{
	struct html h = { .d = d };
	xmlSAXHandler sax;

	h.ctxt = htmlNewParserCtxt();
	if (h.ctxt == NULL) {
		doc_refuse(d, "the document needs more memory than parsing may take");
		return;
	}
	memset(&sax, 0, sizeof sax);
	sax.initialized = XML_SAX2_MAGIC;
	sax.startElement = start_element;
	sax.endElement = end_element;
	sax.characters = characters;
	sax.ignorableWhitespace = characters;
	sax.serror = structured_error;
	*h.ctxt->sax = sax;
	h.ctxt->userData = &h;
	htmlCtxtReadMemory(h.ctxt, p, (int)n, NULL, "UTF-8",
	    HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING | HTML_PARSE_NONET |
		HTML_PARSE_IGNORE_ENC | HTML_PARSE_NODEFDTD);
	doc_end(d);
	htmlFreeParserCtxt(h.ctxt);
}
