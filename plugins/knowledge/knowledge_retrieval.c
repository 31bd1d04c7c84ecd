/*
 * knowledge_retrieval.c: POST /retrieval, the external knowledge API of Dify, over whatever
 * provides ins.retriever/1: {knowledge_id, query, retrieval_setting: {top_k, score_threshold},
 * metadata_condition} -> {records: [{content, score, title, metadata}]}. metadata is never null and
 * holds what a citation needs.
 *
 * A tenant has one knowledge base so far, "default".
 */
#include <insula/retriever.h>

#include "knowledge.h"

static int
bad(ins_ctx *ctx, const char *field, const char *text)
{
	ins_field(ctx, field);
	return ins_fail(ctx, INS_EINVAL, "%s %s", field, text);
}

/* Dify shows users the metadata alone, so the citation stands there too. */
static int
add_citation(json_t *record)
{
	static const char *const keys[] = { "document_id", "chunk_id", "version", "section", "page",
		"char_start", "char_end" };
	json_t *metadata = json_object_get(record, "metadata"), *v;
	size_t i;

	if (!json_is_object(metadata)) {
		metadata = json_object();
		if (json_object_set_new(record, "metadata", metadata) != 0)
			return -INS_ENOMEM;
	}
	for (i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		v = json_object_get(record, keys[i]);
		if (v != NULL && !json_is_null(v) && json_object_set(metadata, keys[i], v) != 0)
			return -INS_ENOMEM;
	}
	return 0;
}

static int
read_request(ins_ctx *ctx, const json_t *j, json_t *in)
{
	const json_t *query = json_object_get(j, "query"), *id = json_object_get(j, "knowledge_id");
	const json_t *setting = json_object_get(j, "retrieval_setting"),
		     *top_k = json_object_get(setting, "top_k");
	const json_t *threshold = json_object_get(setting, "score_threshold");
	json_t *condition = json_object_get(j, "metadata_condition");

	if (!json_is_object(j))
		return ins_fail(ctx, INS_EINVAL, "the body must be a JSON object");
	if (!json_is_string(query) || json_string_length(query) == 0)
		return bad(ctx, "query", "must be a text");
	if (json_string_length(query) > QUERY_MAX)
		return bad(ctx, "query", "is longer than 8192 bytes");
	if (id != NULL && !json_is_null(id) && !json_is_string(id))
		return bad(ctx, "knowledge_id", "must be a text");
	if (json_is_string(id) && json_string_length(id) > 0 &&
	    strcmp(json_string_value(id), "default") != 0)
		return ins_fail(ctx, INS_ENOTFOUND,
		    "there is no knowledge base %.80s; yours is called default",
		    json_string_value(id));
	if (setting != NULL && !json_is_null(setting) && !json_is_object(setting))
		return bad(ctx, "retrieval_setting", "must be an object");
	if (top_k != NULL &&
	    (!json_is_integer(top_k) || json_integer_value(top_k) < 1 ||
		json_integer_value(top_k) > 100))
		return bad(ctx, "retrieval_setting.top_k", "must be 1 to 100");
	if (threshold != NULL && !json_is_null(threshold) &&
	    (!json_is_number(threshold) ||
		!(json_number_value(threshold) >= 0 && json_number_value(threshold) <= 1)))
		return bad(ctx, "retrieval_setting.score_threshold", "must be 0 to 1");
	json_object_set(in, "query", (json_t *)(uintptr_t)query);
	if (top_k != NULL)
		json_object_set(in, "top_k", (json_t *)(uintptr_t)top_k);
	if (json_is_number(threshold))
		json_object_set(in, "score_threshold", (json_t *)(uintptr_t)threshold);
	if (condition != NULL && !json_is_null(condition))
		json_object_set(in, "metadata_condition", condition);
	return 0;
}

int
retrieval_post(ins_ctx *ctx, void *self)
{
	struct knowledge *k = self;
	const ins_retriever *retriever = ins_service(ctx, k->host, 0, 0, NULL);
	json_t *j, *in = ins_json_end(ctx, json_object()), *out = NULL, *record;
	size_t i;
	int r = ins_body_json(ctx, &j);

	if (r == 0)
		r = in == NULL ? -INS_ENOMEM : read_request(ctx, j, in);
	if (r != 0)
		return r;
	if (retriever == NULL)
		return ins_fail(ctx, INS_EUNAVAILABLE, "no index is enabled");
	r = retriever->search(ctx, retriever->self, in, &out);
	json_array_foreach(json_object_get(out, "records"), i, record)
	{
		if (r == 0)
			r = add_citation(record);
	}
	if (r != 0) {
		json_decref(out);
		return r;
	}
	return ins_reply_take(ctx, 200, out);
}
