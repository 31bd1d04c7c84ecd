/* openai_reply.h: the shapes of OpenAI's answers: completion, chunks, error, model. Pure. */
#ifndef OPENAI_REPLY_H
#define OPENAI_REPLY_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#define REPLY_ID_MAX 64u

/* A growing text: one frame, or several that leave together. Zero it first; free() p at the end. */
struct text {
	char *p;
	size_t n, room;
	int failed; /* no memory: sticky */
};

/* What all parts of one answer have in common. */
struct reply {
	char id[REPLY_ID_MAX]; /* "chatcmpl-..." */
	int64_t created;       /* seconds since 1970 */
	const char *model;
	int with_usage;   /* stream_options.include_usage */
	struct text head; /* how each chunk begins: made with the first; free(head.p) */
};

void text_add(struct text *, const char *p, size_t n);
void text_add_z(struct text *, const char *z);
/* Compact JSON; NULL adds "null". */
void text_add_json(struct text *, const json_t *);

/*
 * A whole answer, a new reference. result: {"message", "finish_reason", "usage", "citations"?} as
 * ins_model gives it; extra (may be NULL): members that are added at the top.
 */
json_t *reply_completion(const struct reply *, const json_t *result, const json_t *extra);

/* Frames of a streamed answer, each "data: {...}\n\n". A piece; the one with the finish_reason
 * (which also carries citations and extra); the one with the usage; the end. */
void reply_chunk(struct text *, struct reply *, const json_t *delta);
void reply_first_chunk(struct text *, struct reply *); /* says the role */
void reply_last_chunk(struct text *, struct reply *, const char *finish_reason,
    const json_t *citations, const json_t *extra);
void reply_usage_chunk(struct text *, struct reply *, const json_t *usage);
void reply_done(struct text *);

/* An error inside a stream: after it comes nothing, above all no [DONE]. code: INS_E*, either sign;
 * message may be empty. */
void reply_error_frame(struct text *, int code, const char *message);

/* The number of an error code's name ("EUPSTREAM") or of OpenAI's word for it ("upstream_error");
 * EINTERNAL when it is neither. */
int reply_code_named(const char *name);
/* 1 when the same request may succeed elsewhere or later. */
int reply_is_retryable(int code);

/* One of GET /v1/models, a new reference. kind: "tier", "model" or "workflow"; tier may be NULL. */
json_t *reply_model(
    const char *id, int64_t created, const char *owned_by, const char *kind, const char *tier);

/* usage with the three counts that OpenAI requires, zero where they are missing; a new reference.
 */
json_t *reply_usage(const json_t *usage);

#endif
