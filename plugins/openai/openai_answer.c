/*
 * openai_answer.c: the order of an answer: status, role, pieces, reason, usage, [DONE]; or an
 * error.
 *
 * The status waits for the first piece, so that until then a failure has a status of its own and
 * another model can be tried. After it there are two ends only: the true one, with [DONE], and an
 * error frame without: a client never takes a cut answer for a whole one. The host fills silences
 * with comments (heartbeat) once the stream has begun. Runs in the request's task.
 */
#include "openai.h"

#include <stdlib.h>
#include <string.h>

#define HEARTBEAT_MS 15000

static void
let_go(void *arg)
{
	struct answer *a = arg;

	free(a->frames.p);
	free(a->reply.head.p);
}

int
answer_init(struct answer *a, ins_ctx *ctx, struct openai *openai,
    const struct chat_request *request, const char *suffix, const char *model)
{
	memset(a, 0, sizeof *a);
	a->ctx = ctx;
	a->openai = openai;
	a->request = request;
	a->start_us = ins_mono_us();
	a->reply.created = ins_now_us() / 1000000;
	a->reply.model = model;
	a->reply.with_usage = request->include_usage;
	snprintf(a->reply.id, sizeof a->reply.id, "chatcmpl-%s", suffix);
	return ins_cleanup(ctx, let_go, a);
}

/* Who answers, known for certain only now that the first byte goes out. */
static void
set_headers(struct answer *a)
{
	char fallbacks[16];

	ins_observe(a->openai->first_token, (double)(ins_mono_us() - a->start_us) / 1e6);
	ins_set_header(a->ctx, "x-insula-model", a->reply.model);
	if (a->tier == NULL)
		return;
	snprintf(fallbacks, sizeof fallbacks, "%u", a->fallbacks);
	ins_set_header(a->ctx, "x-insula-tier", a->tier);
	ins_set_header(a->ctx, "x-insula-attempted-fallbacks", fallbacks);
}

/* Sends what was written into the buffer. */
INS_AWAITS
static int
flush(struct answer *a)
{
	int r = a->frames.failed ? -INS_ENOMEM : ins_write(a->ctx, a->frames.p, a->frames.n);

	a->frames.n = 0;
	return r;
}

/* The status and the headers; the chunk with the role stands in the buffer then. */
static int
begin(struct answer *a)
{
	int r;

	set_headers(a);
	ins_set_header(a->ctx, "cache-control", "no-cache");
	ins_set_header(
	    a->ctx, "x-accel-buffering", "no"); /* nginx in front would collect the stream */
	r = ins_stream(a->ctx, 200, "text/event-stream; charset=utf-8");
	if (r != 0)
		return r;
	a->begun = 1;
	reply_first_chunk(&a->frames, &a->reply);
	return ins_heartbeat(a->ctx, HEARTBEAT_MS, ins_s(": ping\n\n"));
}

int
answer_begin(struct answer *a)
{
	int r = begin(a);

	return r == 0 ? flush(a) : r;
}

int
answer_delta(struct answer *a, const json_t *delta)
{
	int r;

	if (!a->begun) {
		r = begin(a);
		if (r != 0)
			return r;
	}
	a->streamed += json_string_length(json_object_get(delta, "content"));
	if (json_object_get(delta, "tool_calls") != NULL)
		a->streamed += json_dumpb(
		    json_object_get(delta, "tool_calls"), NULL, 0, JSON_COMPACT);
	reply_chunk(&a->frames, &a->reply, delta);
	return flush(a);
}

int
answer_end(struct answer *a, const json_t *result, const json_t *extra)
{
	const char *reason = json_string_value(json_object_get(result, "finish_reason"));
	int r;

	if (!a->begun) {
		r = begin(a);
		if (r != 0)
			return r;
	}
	reply_last_chunk(&a->frames, &a->reply, reason == NULL ? "stop" : reason,
	    json_object_get(result, "citations"), extra);
	if (a->request->include_usage)
		reply_usage_chunk(&a->frames, &a->reply, json_object_get(result, "usage"));
	reply_done(&a->frames);
	r = flush(a);
	ins_add(a->openai->requests, r == 0 ? "completed" : "canceled", 1);
	return r;
}

int
answer_whole(struct answer *a, const json_t *result, const json_t *extra)
{
	set_headers(a);
	ins_add(a->openai->requests, "completed", 1);
	return ins_reply_take(a->ctx, 200, reply_completion(&a->reply, result, extra));
}

int
answer_failed(struct answer *a, int r)
{
	if (ins_cancelled(a->ctx) || r == -INS_ECANCELED) {
		ins_add(a->openai->requests, "canceled", 1);
		return r;
	}
	if (!a->begun) {
		ins_add(a->openai->requests, "failed", 1);
		return r;
	}
	ins_add(a->openai->requests, "cut", 1);
	ins_log(a->ctx, INS_LOG_WARN, "chat.cut",
	    json_pack("{s:i, s:s}", "code", -r, "error", ins_last_error(a->ctx)));
	a->frames.n = 0;
	reply_error_frame(&a->frames, r, ins_last_error(a->ctx));
	/* The frame says it all; the stream itself then ends properly, so that the frame arrives.
	 */
	return flush(a);
}
