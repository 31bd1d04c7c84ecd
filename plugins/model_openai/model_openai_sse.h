/*
 * model_openai_sse.h: server-sent events from bytes that arrive in any pieces.
 *
 * Follows the parsing rules of the WHATWG HTML standard ("9.2.6 Interpreting an event stream"):
 * lines end in LF, CRLF or CR, a BOM may lead, a line that begins with a colon is a comment,
 * several data lines join with LF. Two deliberate differences: a last event without its blank line
 * is given out at the end (several servers leave the line away, and clients lost the last words of
 * an answer), and `id` and `retry` are ignored, since a chat stream is never resumed.
 *
 * Pure: no I/O, no thread. A line, and the data of one event, are each bounded by `max`.
 */
#ifndef MODEL_OPENAI_SSE_H
#define MODEL_OPENAI_SSE_H

#include "plugins/model_openai/model_openai_buf.h"

enum sse_result {
	SSE_MORE,     /* everything was eaten, no event yet */
	SSE_EVENT,    /* data and event are set, until the next call */
	SSE_TOO_LONG, /* a line or an event passed max (or memory is out): the stream is lost */
};

struct sse {
	struct buf line; /* an unfinished line */
	struct buf data; /* of the current event, lines joined */
	char event[32];  /* its type, cut to fit; "" when none was given */
	unsigned has_data : 1, ready : 1, skip_lf : 1, begun : 1;
};

void sse_init(struct sse *, size_t max);
void sse_fini(struct sse *);
/* Eats up to n bytes and says how many; call again with the rest after SSE_EVENT. */
enum sse_result sse_feed(struct sse *, const char *p, size_t n, size_t *ret_used);
/* The bytes are over: SSE_EVENT if an unfinished event was left, else SSE_MORE. */
enum sse_result sse_end(struct sse *);

#endif
