/*
 * faq.h: between the files of the workflow.
 *
 *	search -> route -> answer		(confidence .5 and more)
 *	search -> refuse			(less)
 *
 * workflow_faq.c: descriptor and services. faq_advance.c: what comes next; pure. faq_steps.c: the
 * steps.
 */
#ifndef FAQ_H
#define FAQ_H

#include <insula/insula.h>
#include <insula/model.h>
#include <insula/policy.h>
#include <insula/retriever.h>
#include <insula/workflow.h>

#include "confidence.h"

#define FAQ_NAME "faq_workflow"
#define FAQ_VERSION "1"
#define FAQ_QUESTION_MAX 4000u   /* characters, as the gateway's messages */
#define FAQ_PASSAGE_BYTES 6000u  /* of one passage in the log */
#define FAQ_CONTENT_BYTES 24000u /* of all of them */

enum { NEED_RETRIEVER, NEED_POLICY, NEED_MODEL };

struct conf {
	int64_t top_k;
	int64_t max_tokens;
	int64_t timeout;
};

struct faq {
	ins_host *host;
	struct conf conf;
	ins_workflow vtable;
};

int faq_advance(ins_ctx *, void *self, const json_t *state, const json_t *event, json_t **ret_out);
int faq_step(ins_ctx *, void *self, const char *name, const char *key, const json_t *in,
    const ins_sink *sink, json_t **ret_out);

/* The question of an input: "question", "query" or the last user message. New reference, NULL when
 * there is none. Pure. */
json_t *faq_question(const json_t *input);

#endif
