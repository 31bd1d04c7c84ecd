/*
 * workflow_faq: answers a question from the tenant's documents, or says that they hold no answer.
 * Descriptor and init; see faq.h.
 */
#include "faq.h"

static int
init(ins_host *host, const void *conf, void **ret_self)
{
	struct faq *faq = ins_new(host, sizeof *faq);

	faq->host = host;
	faq->conf = *(const struct conf *)conf;
	if (faq->conf.top_k < 1 || faq->conf.top_k > 20)
		return ins_conf_error(host, "top_k", "must be between 1 and 20");
	if (faq->conf.max_tokens < 1)
		return ins_conf_error(host, "max_tokens", "must be at least 1");
	if (faq->conf.timeout < 1)
		return ins_conf_error(host, "timeout", "must be at least 1ms");
	faq->vtable.size = sizeof faq->vtable;
	faq->vtable.self = faq;
	faq->vtable.name = FAQ_NAME;
	faq->vtable.version = FAQ_VERSION;
	faq->vtable.advance = faq_advance;
	faq->vtable.step = faq_step;
	*ret_self = faq;
	return ins_provide(host, INS_WORKFLOW_IFACE, FAQ_NAME, &faq->vtable);
}

static const ins_option options[] = {
	INS_OPT_INT(struct conf, top_k, "6", "passages that are searched for"),
	INS_OPT_INT(
	    struct conf, max_tokens, "600", "longest answer in tokens, unless the input says"),
	INS_OPT_MS(struct conf, timeout, "60s", "longest time of one attempt to answer"),
	INS_OPT_END(struct conf),
};

static const ins_need needs[] = {
	[NEED_RETRIEVER] = { INS_RETRIEVER_IFACE, INS_ONE },
	[NEED_POLICY] = { INS_POLICY_IFACE, INS_ONE },
	[NEED_MODEL] = { INS_MODEL_IFACE, INS_MANY },
	{ NULL, 0 },
};

INS_PLUGIN(.name = "workflow_faq", .version = "1.0.0",
    .summary = "answers questions from the tenant's documents, with citations", .options = options,
    .needs = needs, .init = init);
