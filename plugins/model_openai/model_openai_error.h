/*
 * model_openai_error.h: what a provider's failure means to our client, and what the log may say of
 * it.
 *
 * The client learns the kind of failure and, where the request itself was wrong, the provider's
 * sentence. A provider's 401 is our own misconfiguration and must not look like the client's. No
 * text of a provider's is passed on before its secrets are gone: some quote the key that they
 * refused. Pure.
 */
#ifndef MODEL_OPENAI_ERROR_H
#define MODEL_OPENAI_ERROR_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#define ERROR_RETRY_MAX_S 3600

struct upstream_error {
	int code;        /* INS_E* */
	int64_t retry_s; /* 0 = the provider said nothing usable */
	int show;        /* text may go to the client, else only to the log */
	char text[240];  /* the provider's sentence, redacted; "" when it gave none */
	char reason[64]; /* its error code or type, redacted */
};

/* status: of the answer, or 200 for an error inside a stream. body: parsed, or NULL. key: ours.
 * retry_after: the header's text, not terminated; now_s: seconds since 1970. */
void error_judge(int status, const json_t *body, const char *retry_after, size_t retry_after_n,
    const char *key, int64_t now_s, struct upstream_error *ret);
/* Copies z into out without the key, without anything that looks like one ("sk-...", "Bearer ..."),
 * and without control characters; cut to fit, never inside a UTF-8 sequence. */
void error_redact(const char *z, const char *key, char *out, size_t out_n);

#endif
