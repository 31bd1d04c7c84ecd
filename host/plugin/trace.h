/* trace.h: request ids and W3C trace context. Pure, but for the random numbers of the thread. */
#ifndef HOST_TRACE_H
#define HOST_TRACE_H

#include "base/base.h"

/* "00-<trace id>-<span id>-<flags>" of a request: the trace of `parent` (a traceparent header, may
 * be anything) with a span of our own, or a new trace. */
void trace_make(const char *parent, size_t n, char ret[56]);
/* 1 if the header is a usable W3C traceparent. */
int trace_valid(const char *p, size_t n);
/* The client's id where it is sane (1 to 64 of A-Z a-z 0-9 . _ : -), else a new one. */
void trace_request_id(const char *given, size_t n, char ret[65]);

#endif
