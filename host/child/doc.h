/*
 * doc.h: the document that the extraction program builds: plain text in normal form C and the
 * blocks that it is made of. Formats (extract_*.c) add words; this file alone decides about white
 * space, separators, offsets and limits, so that every format obeys the same rules.
 *
 * Part of insula-extract, not of the host; also linked into its tests and fuzz targets. One thread.
 */
#ifndef HOST_CHILD_DOC_H
#define HOST_CHILD_DOC_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define DOC_INPUT_MAX (64u << 20) /* bytes of a document */
#define DOC_TEXT_MAX                                                                           \
	(24u << 20)           /* bytes of its text: its passages must fit into one transaction \
			       */
#define DOC_BLOCKS_MAX 50000u /* what comes after is joined to the last one */
#define DOC_TITLE_MAX 500u    /* bytes */
#define DOC_NFC_RUN_MAX (64u << 10) /* bytes normalised at once */

enum doc_block_type {
	DOC_HEADING,
	DOC_PARAGRAPH,
	DOC_LIST_ITEM,
	DOC_CODE,
	DOC_TABLE,
	DOC_BLOCK_TYPES
};

struct doc_block {
	uint8_t type, level;
	uint32_t page;       /* 0 = the format knows no pages */
	uint32_t start, end; /* code points in the text */
};

struct doc_buf {
	char *p;
	size_t n, cap;
};

struct doc {
	struct doc_buf text, cur, title;
	struct doc_block *blocks;
	uint32_t n_blocks, cap_blocks;
	uint32_t chars; /* code points of text */
	uint32_t page;
	int open; /* a block is being written */
	enum doc_block_type type;
	int level, verbatim;
	char error[200]; /* "" or why the document is refused: a sentence for its owner */
};

void doc_init(struct doc *);
void doc_fini(struct doc *);
/* The first refusal wins; always returns -1. */
int doc_refuse(struct doc *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Closes the open block, if any, and begins one. level is 1..6 for headings. Text of code keeps its
 * white space. */
void doc_begin(struct doc *, enum doc_block_type, int level);
/* Adds valid UTF-8 to the open block; runs of white space become one space unless the block is
 * code. Without an open block nothing is added. */
void doc_add(struct doc *, const char *p, size_t n);
/* A line break that stays one. */
void doc_newline(struct doc *);
/* Closes the open block; one without visible text leaves no trace. */
void doc_end(struct doc *);
/* The first title that holds visible text wins. */
void doc_set_title(struct doc *, const char *p, size_t n);

/* Ends the document: refuses one without text. 0 or -1 (doc.error). */
int doc_finish(struct doc *);
/* Writes it as JSON through put, which returns 0 or -1. */
int doc_json(const struct doc *, int (*put)(void *, const char *, size_t), void *arg);

/* The first byte that is not part of valid UTF-8, or -1. */
ptrdiff_t doc_utf8_check(const char *p, size_t n);

/* The whole program but for the sandbox: media type as the first line of extract.h says. 0 or -1
 * (doc.error). */
int extract_document(struct doc *, const char *media_type, const char *p, size_t n);

/* Formats; the input is valid UTF-8. */
void extract_text(struct doc *, const char *p, size_t n);
void extract_markdown(struct doc *, const char *p, size_t n);
void extract_html(struct doc *, const char *p, size_t n);

/*
 * Character sets that documents may declare, by the WHATWG's labels. A charset is an index; -1 is
 * none. glibc loads converters from files, which the sandbox forbids: charset_preload() opens all
 * of them before.
 */
void charset_preload(void);
int charset_find(const char *label, size_t n);
const char *charset_name(int charset);
int charset_is_utf8(int charset);
/* 0 and a new buffer, -1 when the bytes do not fit (*ret_n is the offset) or memory ends (*ret_n is
 * SIZE_MAX). */
int charset_decode(int charset, const char *p, size_t n, char **ret, size_t *ret_n);
/* What the page says of itself: byte order mark, then <meta> or <?xml encoding in the first 1,024
 * bytes. */
int charset_sniff_html(const char *p, size_t n);

#endif
