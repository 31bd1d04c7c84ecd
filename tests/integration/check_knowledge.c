/*
 * check_knowledge: documents through a whole host: taken in, found, deleted; bad ones refused; what
 * belongs to one tenant is not there for another.
 */
#include "tests/lib/house.h"

#include <check.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 30000
#define GONE "00000000-0000-7000-8000-000000000000"

static struct client *a, *b; /* of the first and the second tenant */

static void
setup(void)
{
	a = house_client(0);
	b = house_client(1);
}

static void
teardown(void)
{
	client_free(a);
	client_free(b);
}

/* A string of an answer that outlives it. */
static char *
field(const struct reply *r, const char *key)
{
	const char *z = json_string_value(json_object_get(r->json, key));

	ck_assert_msg(z != NULL, "no %s in %d %s", key, r->status, r->body);
	return strdup(z);
}

static const char *
message(const struct reply *r)
{
	const char *z = json_string_value(
	    json_object_get(json_object_get(r->json, "error"), "message"));

	return z == NULL ? "" : z;
}

/* Asks for the job until it has ended: there is no event for a client to wait for. */
static const struct reply *
wait_for(struct client *c, const char *job)
{
	struct timespec pause = { 0, 5 * 1000 * 1000 };
	const struct reply *r = NULL;
	char path[128];
	int i;

	snprintf(path, sizeof path, "/v1/jobs/%s", job);
	for (i = 0; i < WAIT_MS / 5; i++) {
		const char *status;

		r = client_get(c, path);
		ck_assert_msg(r->status == 200, "%d %s", r->status, r->body);
		status = json_string_value(json_object_get(r->json, "status"));
		if (strcmp(status, "indexed") == 0 || strcmp(status, "failed") == 0)
			return r;
		nanosleep(&pause, NULL);
	}
	ck_abort_msg("the job does not end: %s", r->body);
	return NULL;
}

static const struct reply *
post(struct client *c, const char *type, const char *title, const char *content)
{
	json_t *j = json_pack(
	    "{s:s, s:s, s:s}", "media_type", type, "title", title, "content", content);
	char *z = json_dumps(j, 0);
	const struct reply *r = client_post(c, "/v1/documents", z);

	free(z);
	json_decref(j);
	return r;
}

/* Takes in a document and waits until it can be found; its id. */
static char *
ingest(struct client *c, const char *type, const char *title, const char *content)
{
	const struct reply *r = post(c, type, title, content);
	char *id, *job;

	ck_assert_msg(r->status == 202 || r->status == 200, "%d %s", r->status, r->body);
	id = field(r, "document_id");
	job = field(r, "job_id");
	r = wait_for(c, job);
	ck_assert_msg(strcmp(json_string_value(json_object_get(r->json, "status")), "indexed") == 0,
	    "%s", r->body);
	free(job);
	return id;
}

static const json_t *
retrieve(struct client *c, const char *query)
{
	json_t *j = json_pack("{s:s, s:s, s:{s:i}}", "knowledge_id", "default", "query", query,
	    "retrieval_setting", "top_k", 5);
	char *z = json_dumps(j, 0);
	const struct reply *r = client_post(c, "/retrieval", z);

	free(z);
	json_decref(j);
	ck_assert_msg(r->status == 200, "%d %s", r->status, r->body);
	return json_object_get(r->json, "records");
}

static const char *
text_of(const json_t *record, const char *key)
{
	const char *z = json_string_value(json_object_get(record, key));

	ck_assert_msg(z != NULL, "no %s", key);
	return z;
}

static const char page[] =
    "<html><head><title>Keeping pangolins</title></head><body><div class=navheader>next</div>"
    "<h1>Keeping pangolins</h1><p>A pangolin eats ants.</p><h2>Sleep</h2>"
    "<p>Pangolins sleep in na\xc3\xafve burrows and roll up when disturbed.</p></body></html>";

START_TEST(an_html_page_is_found_with_its_citation)
{
	char *id = ingest(a, "text/html", "", page), path[128];
	const json_t *list = retrieve(a, "Where do pangolins sleep?"), *r = json_array_get(list, 0),
		     *m;
	json_int_t from, to;
	const struct reply *text;
	char *content;
	double score;

	ck_assert_uint_ge(json_array_size(list), 2);
	ck_assert_str_eq(text_of(r, "title"), "Keeping pangolins");
	ck_assert_str_eq(text_of(r, "document_id"), id);
	ck_assert_str_eq(text_of(r, "section"), "Keeping pangolins > Sleep");
	ck_assert_ptr_nonnull(strstr(text_of(r, "content"), "burrows"));
	score = json_number_value(json_object_get(r, "score"));
	ck_assert(score > 0 && score <= 1);
	m = json_object_get(r, "metadata");
	ck_assert_str_eq(text_of(m, "document_id"), id);
	/* the offsets are of the extracted text, in code points: this one has a two-byte character
	 */
	from = json_integer_value(json_object_get(m, "char_start"));
	to = json_integer_value(json_object_get(m, "char_end"));
	content = strdup(text_of(r, "content"));
	snprintf(path, sizeof path, "/v1/documents/%s/text", id);
	text = client_get(a, path);
	ck_assert_int_eq(text->status, 200);
	ck_assert_ptr_nonnull(strstr(text->body, content));
	ck_assert_int_eq(strstr(text->body, content) - text->body, from);
	ck_assert_int_eq((json_int_t)strlen(content) - 1, to - from);
	free(content);
	free(id);
}
END_TEST

START_TEST(another_tenant_sees_nothing)
{
	static const char *const paths[] = { "/v1/documents/%s", "/v1/documents/%s/text",
		"/v1/documents/%s/jobs/%s" };
	const struct reply *r = post(
	    a, "text/plain", "secret", "The aardvark password is mulberry.");
	char *id = field(r, "document_id"), *job = field(r, "job_id"), path[256];
	size_t i;

	free((char *)(uintptr_t)field(wait_for(a, job), "status"));
	ck_assert_uint_ge(json_array_size(retrieve(a, "aardvark password")), 1);
	ck_assert_uint_eq(json_array_size(retrieve(b, "aardvark password")), 0);
	for (i = 0; i < 3; i++) {
		snprintf(path, sizeof path, paths[i], id, job);
		ck_assert_int_eq(client_get(a, path)->status, 200);
		ck_assert_int_eq(client_get(b, path)->status, 404);
	}
	snprintf(path, sizeof path, "/v1/jobs/%s", job);
	ck_assert_int_eq(client_get(b, path)->status, 404);
	snprintf(path, sizeof path, "/v1/documents/%s", id);
	ck_assert_int_eq(client_call(b, "DELETE", path, NULL, NULL, 0)->status, 404);
	ck_assert_int_eq(client_get(a, path)->status, 200);
	r = client_get(b, "/v1/documents?limit=100");
	ck_assert_ptr_null(strstr(r->body, id));
	free(id);
	free(job);
}
END_TEST

START_TEST(a_deleted_document_is_gone_at_once)
{
	char *id = ingest(
		 a, "text/markdown", "Quokka", "# Quokka\n\nThe quokka smiles at tourists."),
	     path[128];

	ck_assert_uint_eq(json_array_size(retrieve(a, "quokka tourists")), 1);
	snprintf(path, sizeof path, "/v1/documents/%s", id);
	ck_assert_int_eq(client_call(a, "DELETE", path, NULL, NULL, 0)->status, 204);
	ck_assert_uint_eq(json_array_size(retrieve(a, "quokka tourists")), 0);
	ck_assert_int_eq(client_get(a, path)->status, 404);
	ck_assert_int_eq(client_call(a, "DELETE", path, NULL, NULL, 0)->status, 404);
	ck_assert_str_eq(
	    servers_sql_super(
		"SELECT count(*) FROM documents d LEFT JOIN chunks c USING (document_id) "
		"LEFT JOIN document_parts p ON p.content_id = d.content_id WHERE "
		"d.document_id = '%s' AND (c.chunk_id IS NOT NULL OR p.part IS NOT NULL "
		"OR d.text IS NOT NULL OR d.title <> '')",
		id),
	    "0");
	free(id);
	/* and may come again */
	id = ingest(a, "text/markdown", "Quokka", "# Quokka\n\nThe quokka smiles at tourists.");
	ck_assert_uint_eq(json_array_size(retrieve(a, "quokka tourists")), 1);
	free(id);
}
END_TEST

START_TEST(the_same_content_is_the_same_document)
{
	char *id = ingest(a, "text/plain", "one", "Numbats eat termites."), *again;
	const struct reply *r = post(a, "text/plain", "two", "Numbats eat termites.");

	ck_assert_int_eq(r->status, 200);
	again = field(r, "document_id");
	ck_assert_str_eq(id, again);
	ck_assert_int_eq(json_is_true(json_object_get(r->json, "duplicate")), 1);
	free(again);
	/* in another tenant it is another one */
	again = ingest(b, "text/plain", "one", "Numbats eat termites.");
	ck_assert_str_ne(id, again);
	free(again);
	free(id);
}
END_TEST

#define FORM "multipart/form-data; boundary=XX"
#define DISPOSITION "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n"

static const struct {
	const char *what, *type, *body;
	int status;
	const char *message;
} refused[] = {
	{ "broken JSON", "application/json", "{\"content\":", 400, "" },
	{ "no content", "application/json", "{\"title\":\"x\"}", 400, "content is missing" },
	{ "content no text", "application/json", "{\"content\":5}", 400,
	    "content must be a string" },
	{ "unknown field", "application/json", "{\"content\":\"x\",\"colour\":\"red\"}", 400,
	    "colour is not a field" },
	{ "empty", "application/json", "{\"content\":\"\"}", 400, "the document is empty" },
	{ "blank", "application/json", "{\"content\":\" \\n\\t\"}", 400, "the document is empty" },
	{ "metadata no object", "application/json", "{\"content\":\"x\",\"metadata\":[1]}", 400,
	    "metadata must be" },
	{ "script for a link", "application/json",
	    "{\"content\":\"x\",\"source_url\":\"javascript:alert(1)\"}", 400,
	    "source_url must be" },
	{ "media type of the document", "application/json",
	    "{\"content\":\"x\",\"media_type\":\"application/pdf\"}", 415,
	    "application/pdf cannot be read" },
	{ "media type of the body", "text/csv", "a,b", 415, "" },
	{ "no boundary", "multipart/form-data", "x", 400, "no boundary" },
	{ "cut form", FORM, DISPOSITION "\r\nabc", 400, "ends without its closing boundary" },
	{ "form without a file", FORM,
	    "--XX\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nx\r\n--XX--\r\n", 400,
	    "file is missing" },
	{ "empty file", FORM, DISPOSITION "\r\n\r\n--XX--\r\n", 400, "the document is empty" },
	{ "invalid UTF-8", FORM,
	    DISPOSITION "Content-Type: text/plain\r\n\r\nab\xff\xfe\r\n--XX--\r\n", 400,
	    "byte 2 of the document is not valid UTF-8" },
	{ "unknown file", FORM,
	    "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.exe\"\r\n"
	    "Content-Type: application/octet-stream\r\n\r\nMZ\r\n--XX--\r\n",
	    415, "a.exe is not known" },
};

START_TEST(bad_input_is_refused_and_stores_nothing)
{
	char before[32];
	const struct reply *r;

	snprintf(before, sizeof before, "%s",
	    servers_sql_super("SELECT count(*) FROM (SELECT document_id FROM documents UNION ALL "
			      "SELECT content_id FROM document_parts UNION ALL SELECT job_id FROM "
			      "ingest_jobs) x"));
	r = client_call(a, "POST", "/v1/documents", refused[_i].type, refused[_i].body,
	    strlen(refused[_i].body));
	ck_assert_msg(
	    r->status == refused[_i].status, "%s: %d %s", refused[_i].what, r->status, r->body);
	ck_assert_msg(
	    strstr(message(r), refused[_i].message) != NULL, "%s: %s", refused[_i].what, r->body);
	ck_assert_str_eq(
	    servers_sql_super("SELECT count(*) FROM (SELECT document_id FROM documents UNION ALL "
			      "SELECT content_id FROM document_parts UNION ALL SELECT job_id FROM "
			      "ingest_jobs) x"),
	    before);
}
END_TEST

/* What only parsing can tell: the job says it, and nothing of the document stays. */
static const struct {
	const char *type, *content, *message;
} unreadable[] = {
	{ "text/html",
	    "<html><head><style>p{}</style></head><body><script>1</script></body></html>",
	    "the document holds no text" },
	{ "text/html", "<meta charset=utf-8><p>caf\xe9</p>", "not valid UTF-8" },
};

START_TEST(an_unreadable_document_fails_with_the_reason)
{
	char body[1024], *id, *job;
	const struct reply *r;
	const json_t *e;
	int n;

	n = snprintf(body, sizeof body,
	    "--XX\r\nContent-Disposition: form-data; name=file; filename=x\r\nContent-Type: "
	    "%s\r\n\r\n%s\r\n--XX--\r\n",
	    unreadable[_i].type, unreadable[_i].content);
	r = client_call(a, "POST", "/v1/documents", FORM, body, (size_t)n);
	ck_assert_msg(r->status == 202, "%d %s", r->status, r->body);
	id = field(r, "document_id");
	job = field(r, "job_id");
	r = wait_for(a, job);
	e = json_object_get(r->json, "error");
	ck_assert_str_eq(text_of(e, "stage"), "parsing");
	ck_assert_str_eq(text_of(e, "code"), "invalid_document");
	ck_assert_msg(strstr(text_of(e, "message"), unreadable[_i].message) != NULL, "%s", r->body);
	ck_assert_int_eq(json_is_false(json_object_get(e, "retryable")), 1);
	ck_assert_str_eq(
	    servers_sql_super(
		"SELECT (SELECT count(*) FROM chunks WHERE document_id = '%s') + (SELECT count(*) "
		"FROM document_parts p JOIN documents d USING (content_id) WHERE "
		"d.document_id = '%s')",
		id, id),
	    "0");
	free(id);
	free(job);
}
END_TEST

static char *
begin_upload(struct client *c, const char *body)
{
	const struct reply *r = client_post(c, "/v1/uploads", body);

	ck_assert_msg(r->status == 201, "%d %s", r->status, r->body);
	return field(r, "upload_id");
}

static const struct reply *
put(struct client *c, const char *upload, const char *part, const char *p, size_t n)
{
	char path[256];

	snprintf(path, sizeof path, "/v1/uploads/%s/parts/%s", upload, part);
	return client_call(c, "PUT", path, "application/octet-stream", p, n);
}

static const struct reply *
complete(struct client *c, const char *upload)
{
	char path[128];

	snprintf(path, sizeof path, "/v1/uploads/%s/complete", upload);
	return client_call(c, "POST", path, NULL, NULL, 0);
}

START_TEST(a_document_comes_in_parts_in_any_order)
{
	char *up = begin_upload(
		 a, "{\"title\":\"Wombats\",\"media_type\":\"text/plain\",\"bytes\":40}"),
	     *job, path[128];
	const struct reply *r;

	ck_assert_int_eq(put(b, up, "1", "x", 1)->status, 404);
	ck_assert_int_eq(put(a, up, "2", "and cubes na\xc3", 13)->status, 200);
	r = complete(a, up);
	ck_assert_int_eq(r->status, 400);
	ck_assert_ptr_nonnull(strstr(message(r), "1 parts, but the last is number 2"));
	ck_assert_int_eq(put(a, up, "1", "wrong", 5)->status, 200);
	ck_assert_int_eq(put(a, up, "1", "Wombats dig ", 12)->status, 200);
	ck_assert_int_eq(put(a, up, "3", "\xafvely.", 6)->status, 200);
	ck_assert_int_eq(put(a, up, "0", "x", 1)->status, 400);
	ck_assert_int_eq(put(a, up, "1x", "x", 1)->status, 400);
	ck_assert_int_eq(complete(b, up)->status, 404);
	r = complete(a, up);
	ck_assert_msg(r->status == 202, "%d %s", r->status, r->body);
	job = field(r, "job_id");
	r = wait_for(a, job);
	ck_assert_msg(strstr(r->body, "\"indexed\"") != NULL, "%s", r->body);
	ck_assert_ptr_nonnull(
	    strstr(text_of(json_array_get(retrieve(a, "wombats cubes"), 0), "content"),
		"and cubes na\xc3\xafvely."));
	ck_assert_int_eq(complete(a, up)->status, 404);
	ck_assert_int_eq(put(a, up, "1", "x", 1)->status, 404);
	snprintf(path, sizeof path, "/v1/uploads/%s", up);
	ck_assert_int_eq(client_call(a, "DELETE", path, NULL, NULL, 0)->status, 404);
	free(up);
	free(job);
}
END_TEST

START_TEST(uploads_are_capped_dropped_and_expire)
{
	char *up = begin_upload(a, "{}"), path[128], *big = calloc(1, 1 << 20);
	const struct reply *r;
	int i;

	r = client_post(a, "/v1/uploads", "{\"bytes\":99999999999}");
	ck_assert_int_eq(r->status, 413);
	for (i = 1; i <= 8; i++) { /* upload_max of this house is 8 MiB */
		snprintf(path, sizeof path, "%d", i);
		ck_assert_int_eq(put(a, up, path, big, 1 << 20)->status, 200);
	}
	r = put(a, up, "9", "x", 1);
	ck_assert_msg(r->status == 413, "%d %s", r->status, r->body);
	ck_assert_int_eq(put(a, up, "8", "x", 1)->status, 200); /* in place of a larger one */
	snprintf(path, sizeof path, "/v1/uploads/%s", up);
	ck_assert_int_eq(client_call(b, "DELETE", path, NULL, NULL, 0)->status, 404);
	ck_assert_int_eq(client_call(a, "DELETE", path, NULL, NULL, 0)->status, 204);
	ck_assert_str_eq(
	    servers_sql_super("SELECT count(*) FROM document_parts WHERE content_id = '%s'", up),
	    "0");
	free(up);
	up = begin_upload(a, "{}");
	ck_assert_int_eq(put(a, up, "1", "abc", 3)->status, 200);
	servers_sql_super(
	    "UPDATE uploads SET expires_at = now() - interval '1 s' WHERE upload_id = '%s'", up);
	ck_assert_int_eq(complete(a, up)->status, 404);
	free(begin_upload(a, "{}")); /* sweeps */
	ck_assert_str_eq(
	    servers_sql_super("SELECT count(*) FROM document_parts WHERE content_id = '%s'", up),
	    "0");
	free(up);
	free(big);
}
END_TEST

START_TEST(a_long_document_is_found_in_all_its_parts)
{
	size_t cap = 7 << 20, n = 0, i, at, part = 1;
	char *p = malloc(cap), *up = begin_upload(a, "{\"media_type\":\"text/plain\"}"), *job,
	     number[16];
	const struct reply *r;

	for (i = 0; n < cap - 200; i++)
		n += (size_t)snprintf(p + n, cap - n,
		    "Item %zu is about kookaburra%zu and its long evening song.\n\n", i, i);
	for (at = 0; at < n; at += 2 << 20, part++) {
		snprintf(number, sizeof number, "%zu", part);
		r = put(a, up, number, p + at, n - at < 2 << 20 ? n - at : 2 << 20);
		ck_assert_msg(r->status == 200, "%d %s", r->status, r->body);
	}
	r = complete(a, up);
	ck_assert_msg(r->status == 202, "%d %s", r->status, r->body);
	job = field(r, "job_id");
	r = wait_for(a, job);
	ck_assert_msg(strstr(r->body, "\"indexed\"") != NULL, "%s", r->body);
	snprintf(number, sizeof number, "kookaburra%zu", i - 1);
	ck_assert_uint_ge(json_array_size(retrieve(a, "kookaburra0")), 1);
	ck_assert_uint_ge(json_array_size(retrieve(a, number)), 1);
	free(p);
	free(up);
	free(job);
}
END_TEST

START_TEST(metadata_conditions_filter_inside_the_search)
{
	static const struct {
		const char *condition;
		size_t n;
	} t[] = {
		{ "[{\"name\":\"year\",\"comparison_operator\":\">\",\"value\":\"2019\"}]", 1 },
		{ "[{\"name\":\"year\",\"comparison_operator\":\"\u2264\",\"value\":2019}]", 1 },
		{ "[{\"name\":\"kind\",\"comparison_operator\":\"is\",\"value\":\"bird\"}]", 2 },
		{ "[{\"name\":\"kind\",\"comparison_operator\":\"start with\",\"value\":\"bi\"},"
		  "{\"name\":\"year\",\"comparison_operator\":\"=\",\"value\":\"2019\"}]",
		    1 },
		{ "[{\"name\":\"none\",\"comparison_operator\":\"empty\"}]", 2 },
		{ "[{\"name\":\"none\",\"comparison_operator\":\"not empty\"}]", 0 },
	};
	char body[1024];
	size_t i;

	for (i = 0; i < 2; i++) {
		const struct reply *r;
		char *job;

		snprintf(body, sizeof body,
		    "{\"content\":\"The cassowary of "
		    "%zu\",\"metadata\":{\"kind\":\"bird\",\"year\":%zu}}",
		    i, 2019 + i);
		r = client_post(a, "/v1/documents", body);
		ck_assert_msg(r->status == 202, "%d %s", r->status, r->body);
		job = field(r, "job_id");
		wait_for(a, job);
		free(job);
	}
	for (i = 0; i < sizeof t / sizeof t[0]; i++) {
		const struct reply *r;

		snprintf(body, sizeof body,
		    "{\"query\":\"cassowary\",\"metadata_condition\":{\"logical_operator\":\"and\","
		    "\"conditions\":%s}}",
		    t[i].condition);
		r = client_post(a, "/retrieval", body);
		ck_assert_msg(r->status == 200, "%d %s", r->status, r->body);
		ck_assert_msg(json_array_size(json_object_get(r->json, "records")) == t[i].n,
		    "%s: %s", t[i].condition, r->body);
	}
	ck_assert_int_eq(
	    client_post(a, "/retrieval",
		"{\"query\":\"x\",\"metadata_condition\":{\"conditions\":[{\"name\":\"a\","
		"\"comparison_operator\":\"like\"}]}}")
		->status,
	    400);
}
END_TEST

static const struct {
	const char *body;
	int status;
} queries[] = {
	{ "{}", 400 },
	{ "[]", 400 },
	{ "{\"query\":\"\"}", 400 },
	{ "{\"query\":\"x\",\"retrieval_setting\":{\"top_k\":0}}", 400 },
	{ "{\"query\":\"x\",\"retrieval_setting\":{\"top_k\":101}}", 400 },
	{ "{\"query\":\"x\",\"retrieval_setting\":{\"score_threshold\":1.5}}", 400 },
	{ "{\"query\":\"x\",\"knowledge_id\":\"other\"}", 404 },
	{ "{\"query\":\"the of and\"}", 200 },
	{ "{\"query\":\"xyzzy\",\"retrieval_setting\":{\"top_k\":100,\"score_threshold\":0.9}}",
	    200 },
};

START_TEST(retrieval_checks_its_request)
{
	const struct reply *r = client_post(a, "/retrieval", queries[_i].body);

	ck_assert_msg(
	    r->status == queries[_i].status, "%s: %d %s", queries[_i].body, r->status, r->body);
	if (r->status == 200)
		ck_assert_uint_eq(json_array_size(json_object_get(r->json, "records")), 0);
}
END_TEST

START_TEST(lists_page_from_the_newest)
{
	const struct reply *r;
	char *last, path[128];

	free(ingest(b, "text/plain", "1", "list one"));
	free(ingest(b, "text/plain", "2", "list two"));
	free(ingest(b, "text/plain", "3", "list three"));
	r = client_get(b, "/v1/documents?limit=2");
	ck_assert_int_eq(r->status, 200);
	ck_assert_uint_eq(json_array_size(json_object_get(r->json, "data")), 2);
	ck_assert_int_eq(json_is_true(json_object_get(r->json, "has_more")), 1);
	ck_assert_str_eq(
	    text_of(json_array_get(json_object_get(r->json, "data"), 0), "title"), "3");
	last = field(r, "last_id");
	snprintf(path, sizeof path, "/v1/documents?limit=1&after=%s", last);
	free(last);
	r = client_get(b, path);
	ck_assert_str_eq(
	    text_of(json_array_get(json_object_get(r->json, "data"), 0), "title"), "1");
	ck_assert_int_eq(client_get(b, "/v1/documents?limit=0")->status, 400);
	ck_assert_int_eq(client_get(b, "/v1/documents?after=x")->status, 400);
	ck_assert_int_eq(client_get(b, "/v1/documents/" GONE)->status, 404);
	ck_assert_int_eq(client_get(b, "/v1/documents/nonsense")->status, 404);
}
END_TEST

START_TEST(keys_need_the_permission)
{
	char *key = house_key_with(0, "documents:read");
	struct client *c = client_new(house_url(), key);

	ck_assert_int_eq(client_get(c, "/v1/documents")->status, 200);
	ck_assert_int_eq(client_post(c, "/v1/documents", "{\"content\":\"x\"}")->status, 403);
	ck_assert_int_eq(client_post(c, "/retrieval", "{\"query\":\"x\"}")->status, 403);
	client_key(c, NULL);
	ck_assert_int_eq(client_get(c, "/v1/documents")->status, 401);
	client_free(c);
	free(key);
}
END_TEST

START_TEST(what_does_not_move_is_failed_with_an_error)
{
	const struct reply *r;
	char *id, *job;

	/* as a host leaves it that dies and whose event is lost */
	servers_sql_super("INSERT INTO documents (document_id, tenant_id, status, job_id, "
			  "media_type, content_id, "
			  "content_sha256, bytes, updated_at) VALUES "
			  "('01890000-0000-7000-8000-00000000000a', '%s', 'parsing', "
			  "'01890000-0000-7000-8000-00000000000b', 'text/plain', "
			  "'01890000-0000-7000-8000-00000000000a', "
			  "repeat('0', 64), 1, now() - interval '11 minutes')",
	    house_tenant(0));
	servers_sql_super(
	    "INSERT INTO ingest_jobs (job_id, tenant_id, document_id, version) VALUES "
	    "('01890000-0000-7000-8000-00000000000b', '%s', "
	    "'01890000-0000-7000-8000-00000000000a', 1)",
	    house_tenant(0));
	r = client_get(a, "/v1/jobs/01890000-0000-7000-8000-00000000000b");
	ck_assert_int_eq(r->status, 200);
	ck_assert_str_eq(json_string_value(json_object_get(r->json, "status")), "failed");
	ck_assert_str_eq(text_of(json_object_get(r->json, "error"), "code"), "timed_out");
	ck_assert_str_eq(text_of(json_object_get(r->json, "error"), "stage"), "parsing");
	r = client_get(a, "/v1/documents?status=failed&limit=100");
	ck_assert_ptr_nonnull(strstr(r->body, "01890000-0000-7000-8000-00000000000a"));
	/* and an upload of the same goes through */
	r = post(a, "text/plain", "", "again");
	id = field(r, "document_id");
	job = field(r, "job_id");
	ck_assert_ptr_nonnull(strstr(wait_for(a, job)->body, "indexed"));
	free(id);
	free(job);
}
END_TEST

/* The process of the extraction program that the house has started, 0 when there is none. */
static pid_t
find_extract(void)
{
	char path[300], name[64];
	struct dirent *d;
	int ppid;
	pid_t found = 0;
	DIR *proc = opendir("/proc");
	FILE *f;

	while (found == 0 && (d = readdir(proc)) != NULL) {
		if (d->d_name[0] < '0' || d->d_name[0] > '9')
			continue;
		snprintf(path, sizeof path, "/proc/%s/stat", d->d_name);
		f = fopen(path, "re");
		if (f == NULL)
			continue;
		if (fscanf(f, "%*d (%63[^)]) %*c %d", name, &ppid) == 2 && ppid == house_pid() &&
		    strncmp(name, "insula-extract", 14) == 0)
			found = (pid_t)atoi(d->d_name);
		fclose(f);
	}
	closedir(proc);
	return found;
}

START_TEST(a_killed_parser_fails_the_document_with_the_reason)
{
	size_t cap = 3 << 20, n = 0;
	struct timespec pause = { 0, 100 * 1000 };
	char *p = malloc(cap), *body, *job;
	const struct reply *r;
	json_t *j;
	pid_t pid;
	int i;

	while (n < cap - 64)
		n += (size_t)snprintf(p + n, cap - n, "[a%zu](b \"c\") *d* `e` **f**\n\n", n);
	j = json_pack("{s:s, s:s%}", "media_type", "text/markdown", "content", p, n);
	body = json_dumps(j, 0);
	json_decref(j);
	r = client_post(a, "/v1/documents", body);
	ck_assert_msg(r->status == 202, "%d %s", r->status, r->body);
	job = field(r, "job_id");
	for (i = 0; (pid = find_extract()) == 0 && i < 100000; i++)
		nanosleep(&pause, NULL);
	ck_assert_int_gt(pid, 0);
	kill(pid, SIGKILL);
	r = wait_for(a, job);
	ck_assert_str_eq(json_string_value(json_object_get(r->json, "status")), "failed");
	ck_assert_str_eq(text_of(json_object_get(r->json, "error"), "code"), "parser_failed");
	ck_assert_ptr_nonnull(
	    strstr(text_of(json_object_get(r->json, "error"), "message"), "killed (signal 9)"));
	ck_assert_int_eq(
	    json_is_true(json_object_get(json_object_get(r->json, "error"), "retryable")), 1);
	/* the host goes on, and the same document may be sent again */
	r = client_post(a, "/v1/documents", body);
	ck_assert_int_eq(r->status, 202);
	free(job);
	job = field(r, "job_id");
	ck_assert_ptr_nonnull(strstr(wait_for(a, job)->body, "indexed"));
	free(job);
	free(body);
	free(p);
}
END_TEST

START_TEST(many_documents_at_once_are_all_found)
{
	enum { N = 40 };
	char *jobs[N], text[128];
	const struct reply *r;
	int i;

	for (i = 0; i < N; i++) {
		snprintf(text, sizeof text, "Platypus number%d swims in river%d.", i, i % 7);
		r = post(b, "text/plain", "p", text);
		ck_assert_msg(r->status == 202, "%d %s", r->status, r->body);
		jobs[i] = field(r, "job_id");
		if (i % 5 == 0)
			retrieve(b, "platypus"); /* the index follows while they come */
	}
	for (i = 0; i < N; i++) {
		ck_assert_ptr_nonnull(strstr(wait_for(b, jobs[i])->body, "\"indexed\""));
		snprintf(text, sizeof text, "number%d", i);
		ck_assert_uint_eq(json_array_size(retrieve(b, text)), 1);
		free(jobs[i]);
	}
}
END_TEST

START_TEST(a_new_process_reads_the_index_again)
{
	char *id = ingest(a, "text/plain", "", "Bilbies have long ears.");

	house_kill(SIGKILL);
	house_again();
	client_free(a);
	a = house_client(0);
	ck_assert_str_eq(text_of(json_array_get(retrieve(a, "bilbies"), 0), "document_id"), id);
	ck_assert_uint_eq(json_array_size(retrieve(a, "kookaburra0")), 1);
	free(id);
}
END_TEST

static const char plugins[] = "  auth: {}\n"
			      "  index_local: {}\n"
			      "  knowledge: {config: {upload_max: 8m}}\n";

int
main(void)
{
	Suite *s = suite_create("knowledge");
	TCase *t = tcase_create("documents"), *last = tcase_create("restart");
	SRunner *r;
	int failed;

	house_start(plugins, NULL, SERVERS_PG | SERVERS_NATS);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_checked_fixture(last, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_set_timeout(last, 120);
	tcase_add_test(t, an_html_page_is_found_with_its_citation);
	tcase_add_test(t, another_tenant_sees_nothing);
	tcase_add_test(t, a_deleted_document_is_gone_at_once);
	tcase_add_test(t, the_same_content_is_the_same_document);
	tcase_add_loop_test(
	    t, bad_input_is_refused_and_stores_nothing, 0, sizeof refused / sizeof refused[0]);
	tcase_add_loop_test(t, an_unreadable_document_fails_with_the_reason, 0,
	    sizeof unreadable / sizeof unreadable[0]);
	tcase_add_test(t, a_document_comes_in_parts_in_any_order);
	tcase_add_test(t, uploads_are_capped_dropped_and_expire);
	tcase_add_test(t, a_long_document_is_found_in_all_its_parts);
	tcase_add_test(t, metadata_conditions_filter_inside_the_search);
	tcase_add_loop_test(t, retrieval_checks_its_request, 0, sizeof queries / sizeof queries[0]);
	tcase_add_test(t, lists_page_from_the_newest);
	tcase_add_test(t, keys_need_the_permission);
	tcase_add_test(t, what_does_not_move_is_failed_with_an_error);
	tcase_add_test(t, a_killed_parser_fails_the_document_with_the_reason);
	tcase_add_test(t, many_documents_at_once_are_all_found);
	tcase_add_test(last, a_new_process_reads_the_index_again);
	suite_add_tcase(s, t);
	suite_add_tcase(s, last);
	r = srunner_create(s);
	/* in a fork the new host would be nobody's child, and could not be waited for */
	srunner_set_fork_status(r, CK_NOFORK);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	house_stop();
	return failed == 0 ? 0 : 1;
}
