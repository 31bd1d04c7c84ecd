/* model.h: "ins.model/1": a provider of language models. Requests and results have OpenAI's shape.
 */
#ifndef INSULA_MODEL_H
#define INSULA_MODEL_H

#include <insula/insula.h>

#define INS_MODEL_IFACE "ins.model/1"

/* Takes what is generated, piece by piece. A negative return stops the generation, which returns
 * that code. */
typedef struct {
	void *arg;
	/* delta: OpenAI's choices[0].delta, as {"content": text} or {"tool_calls": [...]};
	 * borrowed. */
	INS_AWAITS
	int (*delta)(ins_ctx *, void *arg, const json_t *delta);
} ins_sink;

typedef struct {
	uint32_t size;
	void *self;
	/*
	 * The models: [{"id": "extractive-1", "tier": "SLM_A", "owned_by": "insula", "created":
	 * seconds}]. Borrowed, constant for the life of the instance. Does not suspend.
	 */
	const json_t *(*models)(void *self);
	/*
	 * Generates. in: a chat completion request ("model" is one of models(), "messages", and
	 * what else the client sent: "temperature", "max_tokens", "tools", "stop", ...), plus
	 * "passages": [retriever records] for a model that answers from documents. sink may be
	 * NULL: then only the result. The result, a new reference:
	 * {"model", "message": {"role": "assistant", "content", "tool_calls"?}, "finish_reason":
	 * "stop" | "length" | "tool_calls", "usage": {"prompt_tokens", "completion_tokens",
	 * "total_tokens"}, "citations"?: [{"document_id", "chunk_id", "title", "char_start",
	 * "char_end", "score", "marker": 1..}], "answered"?: false when the passages hold no
	 * answer} -INS_EINVAL, -INS_EUPSTREAM (also a stream that was cut: what came before was
	 * delivered), -INS_ETIMEOUT, -INS_ELIMIT (upstream 429), -INS_EUNAVAILABLE, -INS_ECANCELED
	 * (upstream is cancelled too).
	 */
	INS_AWAITS
	int (*generate)(
	    ins_ctx *, void *self, const json_t *in, const ins_sink *sink, json_t **ret_out);
} ins_model;

#endif
