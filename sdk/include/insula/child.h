/* child.h: sandboxed helper processes (INS_CAP_CHILD): parsers of bytes that somebody else wrote.
 */
#ifndef INSULA_CHILD_H
#define INSULA_CHILD_H

#include <insula/insula.h>

/*
 * Runs one of the host's tools in a process of its own (no files, no network, bounded time and
 * memory) with one argument, gives it input on its standard input, and returns its standard output,
 * which ends with the task and is not counted against its memory. Input is borrowed until the call
 * returns.
 *
 * The one tool so far is "extract": arg is a media type (text/plain, text/markdown or text/html,
 * with or without a charset parameter), input the document, *ret a JSON text
 *   {"title": text or null, "text": plain text, "characters": n,
 *    "blocks": [{"type": "heading|paragraph|list_item|code|table", "level": 1..6 (headings),
 *                "start": n, "end": n (Unicode code points in text), "page": n (if known)}]}
 *
 * -INS_EINVAL with the tool's own sentence when it refuses the input, -INS_ETIMEOUT,
 * -INS_ECANCELED (the process is killed), -INS_EINTERNAL when it crashed or its sandbox stopped it.
 */
INS_AWAITS
static inline int
ins_child_run(ins_ctx *ctx, const char *tool, const char *arg, ins_str input, int64_t timeout_ms,
    ins_str *ret)
{
	return ins_api_->child->run(ctx, tool, arg, input, timeout_ms, ret);
}

#endif
