/*
 * upstream_script.h: what the test upstream answers, decided by the model's name.
 *
 *   up-echo         says "You said: " and the last message; usage told
 *   up-cite         an answer with the marker [1]
 *   up-tools        two tool calls, their arguments in pieces
 *   up-crlf         the same stream with a BOM, comments and CRLF, CR
 *   up-no-stream    answers with JSON although a stream was asked for
 *   up-no-done      finish_reason, and then the end without [DONE]
 *   up-no-usage     tells no usage      up-bad-usage   tells a negative one
 *   up-status-NNN   that status with an error body that quotes the Authorization header;
 *                   429 and 503 with Retry-After: 7
 *   up-slow-MS      the head after MS milliseconds
 *   up-drip-MS      that long between chunks; 40 of them
 *   up-hang         never answers       up-hang-mid    two chunks, then nothing
 *   up-cut          two chunks, then the connection closes inside the chunked coding
 *   up-cut-clean    two chunks, then a proper end of the coding, without finish_reason and [DONE]
 *   up-error-mid    two chunks, then an error as a chunk
 *   up-bad-json     no JSON             up-bad-shape   JSON of another shape
 *   up-bad-http     no HTTP             up-html        a page
 *   up-huge         content without end
 *
 * An answer is a script: pieces of bytes with a delay before each, and how it ends. Pure.
 */
#ifndef TESTS_UPSTREAM_SCRIPT_H
#define TESTS_UPSTREAM_SCRIPT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#define SCRIPT_PIECES_MAX 128

enum script_end {
	SCRIPT_KEEP,  /* the connection serves on */
	SCRIPT_CLOSE, /* it closes */
	SCRIPT_HANG,  /* nothing more comes */
};

struct script_piece {
	char *p;
	size_t n;
	uint64_t delay_ms;
	unsigned repeat; /* times more */
};

struct script {
	struct script_piece pieces[SCRIPT_PIECES_MAX];
	size_t n;
	enum script_end end;
};

/* request: the parsed body, or NULL. authorization: the header's text or "". */
void script_make(struct script *, const json_t *request, const char *authorization);
/* A JSON answer, for the upstream's own routes; takes j. */
void script_json(struct script *, int status, json_t *j);
void script_fini(struct script *);

#endif
