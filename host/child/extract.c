/*
 * extract.c: insula-extract MEDIA-TYPE < document > JSON. Turns a document into plain text and
 * blocks (sdk/include/insula/child.h has the shape) in a process that can do nothing else: the
 * parsers under it read bytes that strangers wrote.
 *
 * Exit: 0 done, 2 the document is refused (a sentence for its owner on standard error), 3 this
 * program cannot work here. Anything else is a crash or the sandbox.
 */
#include <errno.h>
#include <libxml/parser.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "child/doc.h"
#include "child/sandbox.h"

#define READ_STEP (1u << 20)

struct out {
	char p[64u << 10];
	size_t n;
};

static int
out_flush(struct out *o)
{
	size_t at = 0;
	ssize_t r;

	while (at < o->n) {
		r = write(1, o->p + at, o->n - at);
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return -1;
		at += (size_t)r;
	}
	o->n = 0;
	return 0;
}

static int
out_put(void *arg, const char *p, size_t n)
{
	struct out *o = arg;
	size_t k;

	while (n > 0) {
		k = sizeof o->p - o->n;
		if (k > n)
			k = n;
		memcpy(o->p + o->n, p, k);
		o->n += k;
		p += k;
		n -= k;
		if (o->n == sizeof o->p && out_flush(o) != 0)
			return -1;
	}
	return 0;
}

/* The whole of standard input, NULL when it is refused. */
static char *
read_all(struct doc *d, size_t *ret_n)
{
	size_t cap = 0, n = 0;
	char *p = NULL, *q;
	ssize_t r;

	for (;;) {
		if (n == cap) {
			cap = cap == 0 ? READ_STEP : cap * 2;
			q = realloc(p, cap);
			if (q == NULL) {
				doc_refuse(
				    d, "the document needs more memory than parsing may take");
				break;
			}
			p = q;
		}
		r = read(0, p + n, cap - n);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			doc_refuse(d, "the document could not be read");
		if (r <= 0)
			break;
		n += (size_t)r;
		if (n > DOC_INPUT_MAX) {
			doc_refuse(d, "the document is larger than %u MiB", DOC_INPUT_MAX >> 20);
			break;
		}
	}
	*ret_n = n;
	if (d->error[0] == '\0')
		return p;
	free(p);
	return NULL;
}

int
main(int argc, char **argv)
{
	static struct out out;
	static struct doc doc;
	char *p;
	size_t n;

	if (argc != 2) {
		dprintf(2, "usage: insula-extract MEDIA-TYPE < document > JSON\n");
		return 3;
	}
	xmlInitParser();
	charset_preload();
	if (sandbox_enter() != 0)
		return 3;

	doc_init(&doc);
	p = read_all(&doc, &n);
	if (p != NULL)
		extract_document(&doc, argv[1], p, n);
	free(p);
	if (doc.error[0] != '\0') {
		out_put(&out, doc.error, strlen(doc.error));
		out_put(&out, "\n", 1);
		if (write(2, out.p, out.n) < 0)
			_exit(3);
		_exit(2);
	}
	if (doc_json(&doc, out_put, &out) != 0 || out_flush(&out) != 0)
		_exit(3);
	_exit(0); /* nothing to tidy, and exit handlers of libraries may want more than the filter
		     allows */
}
