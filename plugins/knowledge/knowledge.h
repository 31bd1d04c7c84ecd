/* knowledge.h: what the files of this plugin share. See README.md for how a document goes through
 * them. */
#ifndef KNOWLEDGE_H
#define KNOWLEDGE_H

#include <insula/insula.h>

#define TITLE_MAX 500u      /* bytes */
#define METADATA_MAX 16384u /* bytes of its JSON */
#define URL_MAX 2048u
#define KEY_MAX 255u
#define PART_NUMBER_MAX 10000
#define PAGE_MAX 100
#define QUERY_MAX 8192u          /* bytes of a question */
#define INLINE_BYTES (64u << 10) /* more than this is hashed and encoded on the pool */
#define SLICE_BYTES (2u << 20)   /* of one INSERT of passages */
#define SLICES_MAX 64u

struct knowledge_conf {
	int64_t parse_timeout, stale_after, upload_max, upload_ttl;
};

enum knowledge_stmt {
	S_FIND,
	S_DOCUMENT_ADD,
	S_PART_ADD,
	S_JOB_ADD,
	S_DOCUMENT_GET,
	S_DOCUMENT_LIST,
	S_DOCUMENT_TEXT,
	S_JOB_GET,
	S_CHANGE,
	S_DOCUMENT_DELETE,
	S_CHUNKS_DELETE,
	S_PARTS_DELETE,
	S_JOBS_DELETE,
	S_BEGIN,
	S_JOB_STAGE,
	S_PART_GET,
	S_TEXT_SET,
	S_INDEXED,
	S_GUARD,
	S_CHUNKS_ADD,
	S_FAILED,
	S_JOB_FAILED,
	S_STALE,
	S_UPLOAD_ADD,
	S_UPLOAD_SWEEP,
	S_UPLOAD_LOCK,
	S_UPLOAD_TOUCH,
	S_UPLOAD_PART,
	S_UPLOAD_STATE,
	S_UPLOAD_END,
	S_UPLOAD_DELETE,
	S_COUNT
};
extern const char *const knowledge_sql[S_COUNT];

struct knowledge {
	ins_host *host;
	struct knowledge_conf conf;
	const ins_stmt *s[S_COUNT];
	ins_metric *ended;
};

/* A document as it comes in, whichever way; strings are in the task's arena. */
struct intake {
	ins_str content;
	const char *title, *filename, *media_type, *charset, *source_url;
	const char *metadata; /* JSON object as text */
	const char *key;      /* Idempotency-Key or NULL */
	char sha256[65];
	ins_arg data; /* the content as PostgreSQL reads bytea */
};

/* knowledge_bytes.c: pure but for the pool. */
int bytes_is_uuid(const char *z);
ptrdiff_t bytes_bad_utf8(const char *p, size_t n);
int bytes_blank(const char *p, size_t n);
/* SHA-256 and bytea text of p; what it allocates ends with the task. Checks UTF-8 if asked:
 * *ret_bad is the first bad byte or -1. */
INS_AWAITS
int bytes_prepare(
    ins_ctx *, ins_str p, int check_utf8, char sha256[65], ins_arg *ret_data, ptrdiff_t *ret_bad);
/* Decodes base64 text of PostgreSQL (with line ends) into out[at ..]; the new length or -1. cap
 * leaves room for the text's n * 3 / 4 + 3. */
ptrdiff_t bytes_unbase64(const char *p, size_t n, char *out, size_t at, size_t cap);

/* knowledge_intake.c */
INS_AWAITS
int intake_body(ins_ctx *, struct intake *);
/* The fields but for the content, from an object; `content` and `bytes` are allowed keys if
 * with_content / not. */
int intake_fields(ins_ctx *, const json_t *, int with_content, struct intake *);

/* knowledge_store.c: makes the document of an intake, with its job and event, or finds the one that
 * is there. Answers the request. extra: calls that end what the content came from (may be NULL). */
struct store_extra {
	const ins_call *calls;
	size_t n;
	const char *content_id; /* where the parts are already; NULL = in the intake's data */
	int64_t bytes;
};
INS_AWAITS
int store_document(
    ins_ctx *, struct knowledge *, const struct intake *, const struct store_extra *);

/* knowledge_ingest.c */
struct ingest_error {
	const char *stage, *code, *message;
	int retryable;
};
INS_AWAITS
int ingest_requested(ins_ctx *, void *self, const json_t *envelope);
/* Ends a document's ingestion with an error, unless it has ended. 0 or negative. */
INS_AWAITS
int ingest_fail(ins_ctx *, struct knowledge *, const char *document, const char *job,
    int64_t version, const struct ingest_error *);
/* Fails what has not moved for stale_after. */
INS_AWAITS
int ingest_sweep(ins_ctx *, struct knowledge *);

/* Handlers. */
int documents_post(ins_ctx *, void *self);
int documents_list(ins_ctx *, void *self);
int documents_get(ins_ctx *, void *self);
int documents_text(ins_ctx *, void *self);
int documents_delete(ins_ctx *, void *self);
int jobs_get(ins_ctx *, void *self);
int uploads_post(ins_ctx *, void *self);
int uploads_put_part(ins_ctx *, void *self);
int uploads_complete(ins_ctx *, void *self);
int uploads_delete(ins_ctx *, void *self);
int retrieval_post(ins_ctx *, void *self);

/* The path's id, or NULL having failed the task with 404: no uuid is no document of anybody's. */
const char *path_id(ins_ctx *, const char *param, const char *what);

#endif
