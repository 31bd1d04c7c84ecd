/*
 * model_extractive: a model without a neural network: it answers with sentences of the tenant's own
 * documents and cites each run of them.
 *
 * Tier SLM_A. The passages come with the request ("passages", from a workflow); without them the
 * plugin asks the retriever, so that a plain chat works too. It never writes a word that no
 * document holds, except to say that they hold no answer. extract.c does the thinking; this file
 * speaks the model interface. Runs on any loop; keeps no state but the list of its one model.
 */
#include <insula/insula.h>
#include <insula/model.h>
#include <insula/retriever.h>

#include "extract.h"

#define MODEL_ID "extractive-1"
#define NEED_RETRIEVER 0
#define QUESTION_MAX 4000u /* bytes of the question that are looked at */

static const char no_answer[] =
    "The documents hold no answer to this question. Please ask a person who knows the subject, or "
    "add a document that covers it.";

struct conf {
	int64_t sentences;
	int64_t passages;
};

struct self {
	ins_host *host;
	struct conf conf;
	json_t *models;
};

static const json_t *
models(void *self)
{
	return ((struct self *)self)->models;
}

/* The text of a message: a string, or the "text" parts of an array. */
static ins_str
message_text(ins_ctx *ctx, const json_t *message)
{
	const json_t *content = json_object_get(message, "content"), *part;
	ins_str s = { "", 0 };
	size_t i, n = 0;
	char *z;

	if (json_is_string(content)) {
		s.p = json_string_value(content);
		s.n = json_string_length(content);
	}
	if (!json_is_array(content))
		return s;
	json_array_foreach(content, i, part)
	    n += json_string_length(json_object_get(part, "text")) + 1;
	if ((z = ins_alloc(ctx, n + 1)) == NULL)
		return s;
	s.p = z;
	json_array_foreach(content, i, part)
	{
		const json_t *text = json_object_get(part, "text");

		if (!json_is_string(text))
			continue;
		memcpy(z + s.n, json_string_value(text), json_string_length(text));
		s.n += json_string_length(text);
		z[s.n++] = ' ';
	}
	return s;
}

/* The last thing that the user said. */
static ins_str
question_of(ins_ctx *ctx, const json_t *in)
{
	const json_t *messages = json_object_get(in, "messages");
	size_t i = json_array_size(messages);
	ins_str s = { "", 0 };

	while (i-- > 0 && s.n == 0) {
		const json_t *m = json_array_get(messages, i);
		const char *role = json_string_value(json_object_get(m, "role"));

		if (role != NULL && strcmp(role, "user") == 0)
			s = message_text(ctx, m);
	}
	if (s.n > QUESTION_MAX)
		s.n = QUESTION_MAX;
	return s;
}

/* The request's passages (borrowed), or what the retriever finds (*ret_found owns it). */
static int
passages_of(ins_ctx *ctx, struct self *self, const json_t *in, ins_str question,
    const json_t **ret_records, json_t **ret_found)
{
	const ins_retriever *retriever;
	json_t *ask;
	int r;

	*ret_found = NULL;
	*ret_records = json_object_get(in, "passages");
	if (json_is_array(*ret_records))
		return 0;
	retriever = ins_service(ctx, self->host, NEED_RETRIEVER, 0, NULL);
	if (retriever == NULL)
		return ins_fail(ctx, INS_EINVAL,
		    MODEL_ID " answers from documents only: send \"passages\", or enable a "
			     "retriever plugin and upload documents");
	ask = json_pack("{s:s%, s:I}", "query", question.p, question.n, "top_k",
	    (json_int_t)self->conf.passages);
	if (ask == NULL)
		return ins_fail(ctx, INS_EINVAL, "the question is not valid UTF-8");
	r = retriever->search(ctx, retriever->self, ask, ret_found);
	json_decref(ask);
	if (r != 0)
		return r;
	*ret_records = json_object_get(*ret_found, "records");
	return 0;
}

static ins_str
field(const json_t *record, const char *name)
{
	const json_t *j = json_object_get(record, name);
	ins_str s = { "", 0 };

	if (json_is_string(j)) {
		s.p = json_string_value(j);
		s.n = json_string_length(j);
	}
	return s;
}

static size_t
load_passages(const json_t *records, struct extract_passage *v)
{
	size_t i, n = 0;
	const json_t *rec;

	json_array_foreach(records, i, rec)
	{
		if (n == EXTRACT_PASSAGES_MAX)
			break;
		v[n].content = field(rec, "content");
		v[n].title = field(rec, "title");
		v[n].score = json_number_value(json_object_get(rec, "score"));
		n++;
	}
	return n;
}

static json_t *
citations_of(const json_t *records, const struct extract_result *x)
{
	static const char *const keep[] = { "document_id", "chunk_id", "title", "char_start",
		"char_end", "score" };
	json_t *out = json_array();
	size_t i, k;

	for (i = 0; i < x->n_cited; i++) {
		const json_t *rec = json_array_get(records, x->cited[i]);
		json_t *c = json_object(), *v;

		for (k = 0; k < sizeof keep / sizeof *keep; k++)
			if ((v = json_object_get(rec, keep[k])) != NULL)
				json_object_set(c, keep[k], v);
		json_object_set_new(c, "marker", json_integer((json_int_t)i + 1));
		json_array_append_new(out, c);
	}
	return out;
}

static int
say(ins_ctx *ctx, const ins_sink *sink, const char *text)
{
	json_t *delta;
	int r;

	if (sink == NULL)
		return 0;
	delta = json_pack("{s:s}", "content", text);
	r = delta == NULL ? -INS_ENOMEM : sink->delta(ctx, sink->arg, delta);
	json_decref(delta);
	return r;
}

/* Sends the pieces and joins them for the result. */
static int
tell(ins_ctx *ctx, const struct extract_result *x, const ins_sink *sink, char **ret_text)
{
	size_t i, n = 1, at = 0;
	int r;

	for (i = 0; i < x->n_pieces; i++)
		n += strlen(x->pieces[i].text);
	if (x->n_pieces == 0)
		n = sizeof no_answer;
	*ret_text = ins_alloc(ctx, n);
	if (*ret_text == NULL)
		return ins_fail(ctx, INS_ENOMEM, "the answer is too large");
	if (x->n_pieces == 0) {
		memcpy(*ret_text, no_answer, n);
		return say(ctx, sink, no_answer);
	}
	for (i = 0; i < x->n_pieces; i++) {
		size_t len = strlen(x->pieces[i].text);

		memcpy(*ret_text + at, x->pieces[i].text, len);
		at += len;
		if ((r = say(ctx, sink, x->pieces[i].text)) != 0)
			return r;
	}
	return 0;
}

static int64_t
limit_of(const json_t *in)
{
	const json_t *a = json_object_get(in, "max_completion_tokens");
	const json_t *b = json_object_get(in, "max_tokens");
	json_int_t v = json_is_integer(a) ? json_integer_value(a) : json_integer_value(b);

	return v < 0 ? 0 : v > 100000 ? 100000 : v;
}

/* What the client is told it used: words of the messages and of the passages that were read. */
static json_t *
usage_of(
    ins_ctx *ctx, const json_t *in, const struct extract_passage *v, size_t n, const char *text)
{
	const json_t *messages = json_object_get(in, "messages"), *m;
	json_int_t prompt = 0, completion = extract_tokens(ins_s(text));
	size_t i;

	json_array_foreach(messages, i, m) prompt += extract_tokens(message_text(ctx, m));
	for (i = 0; i < n; i++)
		prompt += extract_tokens(v[i].content);
	return json_pack("{s:I, s:I, s:I}", "prompt_tokens", prompt, "completion_tokens",
	    completion, "total_tokens", prompt + completion);
}

static int
generate(ins_ctx *ctx, void *arg, const json_t *in, const ins_sink *sink, json_t **ret_out)
{
	struct self *self = arg;
	struct extract_passage v[EXTRACT_PASSAGES_MAX];
	struct extract_limits limits = { (unsigned)self->conf.sentences, (unsigned)limit_of(in) };
	struct extract_result x = { 0 };
	ins_str question = question_of(ctx, in);
	const json_t *records;
	json_t *found;
	char *text;
	size_t n;
	int r;

	*ret_out = NULL;
	if (question.n == 0) {
		ins_field(ctx, "messages");
		return ins_fail(ctx, INS_EINVAL, "there is no user message with a question");
	}
	if ((r = passages_of(ctx, self, in, question, &records, &found)) != 0)
		return r;
	n = load_passages(records, v);
	r = extract_answer(v, n, question, limits, &x);
	if (r == 0)
		r = tell(ctx, &x, sink, &text);
	else
		ins_fail(ctx, INS_ENOMEM, "out of memory");
	if (r == 0)
		*ret_out = json_pack("{s:s, s:{s:s, s:s}, s:s, s:o, s:o, s:b}", "model", MODEL_ID,
		    "message", "role", "assistant", "content", text, "finish_reason",
		    x.cut ? "length" : "stop", "usage", usage_of(ctx, in, v, n, text), "citations",
		    citations_of(records, &x), "answered", x.n_pieces != 0);
	extract_free(&x);
	json_decref(found);
	if (r == 0 && *ret_out == NULL)
		return ins_fail(ctx, INS_EINTERNAL, "the passages hold text that is not UTF-8");
	return r;
}

static void
fini(void *arg)
{
	json_decref(((struct self *)arg)->models);
}

static int
init(ins_host *host, const void *conf, void **ret_self)
{
	struct self *self = ins_new(host, sizeof *self);
	ins_model *vt = ins_new(host, sizeof *vt);
	int r;

	self->host = host;
	self->conf = *(const struct conf *)conf;
	if (self->conf.sentences < 1 || self->conf.sentences > (int64_t)EXTRACT_PICKS_MAX)
		return ins_conf_error(
		    host, "sentences", "must be between 1 and %u", EXTRACT_PICKS_MAX);
	if (self->conf.passages < 1 || self->conf.passages > (int64_t)EXTRACT_PASSAGES_MAX)
		return ins_conf_error(
		    host, "passages", "must be between 1 and %u", EXTRACT_PASSAGES_MAX);
	self->models = json_pack("[{s:s, s:s, s:s, s:i}]", "id", MODEL_ID, "tier", "SLM_A",
	    "owned_by", "insula", "created", 1767225600);
	*ret_self = self;
	vt->size = sizeof *vt;
	vt->self = self;
	vt->models = models;
	vt->generate = generate;
	if ((r = ins_provide(host, INS_MODEL_IFACE, MODEL_ID, vt)) != 0)
		fini(self); /* the host calls fini after an init that succeeded, and only then */
	return r;
}

static const ins_option options[] = {
	INS_OPT_INT(struct conf, sentences, "6", "most sentences in an answer"),
	INS_OPT_INT(struct conf, passages, "6", "passages it asks for when a chat brings none"),
	INS_OPT_END(struct conf),
};

static const ins_need needs[] = {
	{ INS_RETRIEVER_IFACE, INS_OPTIONAL },
	{ NULL, 0 },
};

INS_PLUGIN(.name = "model_extractive", .version = "1.0.0",
    .summary = "answers with sentences of the tenant's documents", .options = options,
    .needs = needs, .init = init, .fini = fini);
