/* openai.h: what the files of this plugin share. */
#ifndef OPENAI_H
#define OPENAI_H

#include <insula/meter.h>
#include <insula/model.h>
#include <insula/policy.h>
#include <insula/runs.h>

#include "openai_reply.h"
#include "openai_request.h"

/* The order of the descriptor's needs. */
enum { NEED_MODEL, NEED_POLICY, NEED_RUNS, NEED_METER };

#define OPENAI_CANDIDATES_MAX 16u /* models that are tried for one request */

struct conf {
	int32_t meter_first;
};

struct openai {
	ins_host *host;
	struct conf conf;
	ins_metric *requests;    /* by what became of them */
	ins_metric *fallbacks;   /* by the tier that failed */
	ins_metric *first_token; /* seconds */
	ins_metric *unmetered;   /* completions whose usage could not be stored */
};

/* One model that can serve the request. */
struct candidate {
	uint32_t provider; /* its number among those of NEED_MODEL */
	const char *id, *tier, *name;
};

/* What a model's name stands for. */
struct target {
	const char *workflow; /* or NULL */
	unsigned n;
	struct candidate candidate[OPENAI_CANDIDATES_MAX]; /* in the order to try */
};

/* Finds out. 0; -INS_EMODEL with the client's text set. */
int openai_resolve(ins_ctx *, struct openai *, const struct chat_request *, struct target *ret);

/* GET /v1/models, GET /v1/models/{id} */
int openai_list_models(ins_ctx *, void *self);
int openai_get_model(ins_ctx *, void *self);

/* An answer on its way to the client, streamed or whole. */
struct answer {
	ins_ctx *ctx;
	struct openai *openai;
	const struct chat_request *request;
	struct reply reply;
	struct text frames; /* reused from frame to frame */
	int64_t start_us;   /* monotonic */
	const char *tier;   /* of the model; NULL for a workflow, which picks its own */
	unsigned fallbacks; /* models that failed before */
	size_t streamed;    /* bytes of the model's pieces that went out */
	int begun; /* the status has been sent: no fallback, no other status from here on */
};

/* Prepares an answer that ends with the task. suffix: what follows "chatcmpl-" in its id. */
int answer_init(struct answer *, ins_ctx *, struct openai *, const struct chat_request *,
    const char *suffix, const char *model);
/* Streamed: the head with the role, at once; a piece (begins if need be); the proper end. */
INS_AWAITS
int answer_begin(struct answer *);
INS_AWAITS
int answer_delta(struct answer *, const json_t *delta);
INS_AWAITS
int answer_end(struct answer *, const json_t *result, const json_t *extra);
/* Whole. Takes nothing. */
int answer_whole(struct answer *, const json_t *result, const json_t *extra);
/* The end of an answer that failed with r: the host's error reply when nothing was sent yet, else
 * an error frame and no [DONE]. Returns what the handler should. */
INS_AWAITS
int answer_failed(struct answer *, int r);

/* Meters the answer of a model that is done with result, before the answer's end; and one that
 * failed with r, after it may have used something. */
INS_AWAITS
void answer_meter(struct answer *, const json_t *result);
INS_AWAITS
void answer_meter_failed(struct answer *, int r);

/* The two ways to an answer. */
INS_AWAITS
int openai_chat_models(
    ins_ctx *, struct openai *, const struct chat_request *, const struct target *);
INS_AWAITS
int openai_chat_workflow(
    ins_ctx *, struct openai *, const struct chat_request *, const char *workflow);

#endif
