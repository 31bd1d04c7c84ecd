/*
 * openai_chat_models.c: a chat completion by a language model.
 *
 * The candidates are tried in order: an error that may be another's luck (upstream away, limit,
 * time) moves on to the next, as long as the client has seen nothing. Once a piece was sent there
 * is no way back, since a second model would begin another sentence. A client that leaves ends the
 * generation: the sink's write says so, and so does every await inside the model.
 */
#include "openai.h"

#include <string.h>

INS_AWAITS
static int
send_delta(ins_ctx *ctx, void *arg, const json_t *delta)
{
	return answer_delta(arg, delta);
}

/* Asks one model. The service is got for this call and not kept. */
INS_AWAITS
static int
ask(struct answer *a, const struct candidate *c, json_t **ret)
{
	const ins_model *model = ins_service(
	    a->ctx, a->openai->host, NEED_MODEL, c->provider, NULL);
	const ins_sink sink = { .arg = a, .delta = send_delta };
	json_t *in = ins_json_end(a->ctx, chat_model_input(a->request, c->id));

	*ret = NULL;
	if (in == NULL)
		return ins_fail(a->ctx, INS_ENOMEM, "out of memory");
	return model->generate(a->ctx, model->self, in, a->request->stream ? &sink : NULL, ret);
}

/* A stream that delivered nothing piece by piece, as a model without streaming does. */
INS_AWAITS
static int
finish(struct answer *a, json_t *result)
{
	const json_t *message = json_object_get(result, "message");
	json_t *delta;
	int r = 0;

	if (!a->request->stream)
		return answer_whole(a, result, NULL);
	if (!a->begun) {
		delta = ins_json_end(a->ctx,
		    json_pack("{s:O?, s:O?}", "content", json_object_get(message, "content"),
			"tool_calls", json_object_get(message, "tool_calls")));
		r = delta == NULL ? -INS_ENOMEM : answer_delta(a, delta);
	}
	return r == 0 ? answer_end(a, result, NULL) : r;
}

int
openai_chat_models(ins_ctx *ctx, struct openai *openai, const struct chat_request *request,
    const struct target *target)
{
	struct answer *a = ins_alloc(ctx, sizeof *a);
	char id[37];
	json_t *result;
	int r;

	ins_uuid7(id);
	if (a == NULL || answer_init(a, ctx, openai, request, id, target->candidate[0].id) != 0)
		return ins_fail(ctx, INS_ENOMEM, "out of memory");
	for (unsigned i = 0;; i++) {
		a->reply.model = target->candidate[i].id;
		a->tier = target->candidate[i].tier;
		a->fallbacks = i;
		r = ask(a, &target->candidate[i], &result);
		if (r == 0) {
			if (ins_json_end(ctx, result) == NULL)
				return answer_failed(a, -INS_ENOMEM);
			answer_meter(a, result);
			r = finish(a, result);
			return r == 0 ? 0 : answer_failed(a, r);
		}
		if (a->begun || i + 1 == target->n || !reply_is_retryable(r) ||
		    ins_cancelled(ctx)) {
			answer_meter_failed(a, r);
			return answer_failed(a, r);
		}
		ins_add(openai->fallbacks, target->candidate[i].tier, 1);
		ins_log(ctx, INS_LOG_WARN, "chat.fallback",
		    json_pack("{s:s, s:s, s:i, s:s}", "model", target->candidate[i].id, "provider",
			target->candidate[i].name, "code", -r, "error", ins_last_error(ctx)));
		ins_clear_error(ctx);
	}
}
