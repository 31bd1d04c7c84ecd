/*
 * knowledge_sql.c: every statement of the plugin. Row-level security adds the tenant to each; what
 * is not the tenant's is not there. Times leave as RFC 3339.
 *
 * S_GUARD stands in a group after a statement that must have hit: a count of 0 divides by zero, and
 * the group as a whole has not happened.
 */
#include "knowledge.h"

#define TIME(column) "to_char(" column " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
#define PENDING "('queued', 'parsing', 'chunking')"

#define DOCUMENT_JSON                                                                                           \
	"json_build_object('document_id', d.document_id, 'object', 'document', 'title', d.title, "              \
	"'status', d.status, "                                                                                  \
	"'job_id', d.job_id, 'version', d.version, 'media_type', d.media_type, 'filename', "                    \
	"d.filename, "                                                                                          \
	"'source_url', d.source_url, 'metadata', d.metadata, 'bytes', d.bytes, 'characters', "                  \
	"d.characters, "                                                                                        \
	"'chunks', d.n_chunks, 'content_sha256', d.content_sha256, 'created_at', " TIME(                        \
	    "d.created_at") ", 'updated_at', " TIME("d.updated_at") ", 'indexed_at', " TIME("d."                \
											    "inde"              \
											    "xed_"              \
											    "at") ", 'error', " \
												  "(SELECT j.error FROM ingest_jobs j WHERE j.job_id = d.job_id))"

/* $1 milliseconds */
#define IS_STALE                                                                        \
	"(d.status IN " PENDING " AND d.updated_at < now() - $1::bigint * interval '1 " \
	"millisecond')"

const char *const knowledge_sql[S_COUNT] = {
	[S_FIND] = "SELECT document_id, job_id, status, content_sha256 = $1 AND media_type = $2 "
		   "FROM documents "
		   "WHERE deleted_at IS NULL AND (idempotency_key = $3 "
		   "OR (content_sha256 = $1 AND media_type = $2 AND status <> 'failed')) "
		   "ORDER BY (idempotency_key = $3) DESC NULLS LAST LIMIT 1",
	[S_DOCUMENT_ADD] =
	    "INSERT INTO documents (document_id, job_id, title, filename, media_type, charset, "
	    "source_url, "
	    "metadata, content_id, content_sha256, bytes, idempotency_key, created_by) "
	    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8::jsonb, $9, $10, $11, $12, $13)",
	[S_PART_ADD] = "INSERT INTO document_parts (content_id, part, data) VALUES ($1, $2, $3)",
	[S_JOB_ADD] = "INSERT INTO ingest_jobs (job_id, document_id, version) VALUES ($1, $2, 1)",
	[S_DOCUMENT_GET] = "SELECT " DOCUMENT_JSON ", " IS_STALE " FROM documents d "
			   "WHERE d.document_id = $2 AND d.deleted_at IS NULL",
	[S_DOCUMENT_LIST] =
	    "SELECT " DOCUMENT_JSON ", " IS_STALE ", d.document_id FROM documents d "
	    "WHERE d.deleted_at IS NULL AND ($2::uuid IS NULL OR d.document_id < $2::uuid) "
	    "AND ($3::text IS NULL OR d.status = $3) ORDER BY d.document_id DESC LIMIT $4",
	[S_DOCUMENT_TEXT] =
	    "SELECT text FROM documents WHERE document_id = $1 AND deleted_at IS NULL",
	[S_JOB_GET] =
	    "SELECT json_build_object('job_id', j.job_id, 'object', 'ingest.job', 'document_id', "
	    "j.document_id, "
	    "'version', j.version, 'status', d.status, 'stage', d.status, 'done', j.done, 'total', "
	    "j.total, "
	    "'error', j.error, 'created_at', " TIME("j.created_at") ", 'updated_at', " TIME(
		"j.updated_at") "), " IS_STALE " FROM ingest_jobs j JOIN documents d ON "
				"d.document_id = j.document_id "
				"WHERE j.job_id = $2 AND ($3::uuid IS NULL OR j.document_id = "
				"$3::uuid) AND d.deleted_at IS NULL",
	[S_CHANGE] =
	    "INSERT INTO knowledge_state (change_no) VALUES (1) "
	    "ON CONFLICT (tenant_id) DO UPDATE SET change_no = knowledge_state.change_no + 1",
	/* emptied: what is left says only that this document is gone */
	[S_DOCUMENT_DELETE] =
	    "UPDATE documents SET deleted_at = now(), updated_at = now(), "
	    "change_no = (SELECT change_no FROM knowledge_state), title = '', filename = '', "
	    "source_url = '', "
	    "metadata = '{}', idempotency_key = NULL, text = NULL, created_by = '' "
	    "WHERE document_id = $1 AND deleted_at IS NULL",
	[S_CHUNKS_DELETE] = "DELETE FROM chunks WHERE document_id = $1",
	[S_PARTS_DELETE] = "DELETE FROM document_parts WHERE content_id IN "
			   "(SELECT content_id FROM documents WHERE document_id = $1)",
	[S_JOBS_DELETE] = "DELETE FROM ingest_jobs WHERE document_id = $1",
	[S_BEGIN] = "UPDATE documents SET status = 'parsing', updated_at = now() WHERE document_id "
		    "= $1 AND version = $2 "
		    "AND deleted_at IS NULL AND status IN " PENDING
		    " RETURNING content_id, media_type, charset, bytes, title, filename",
	[S_JOB_STAGE] = "UPDATE ingest_jobs SET done = $2, updated_at = now() WHERE job_id = $1",
	[S_PART_GET] = "SELECT part, encode(data, 'base64') FROM document_parts WHERE content_id = "
		       "$1 AND part > $2 "
		       "ORDER BY part LIMIT 1",
	[S_TEXT_SET] = "UPDATE documents SET status = 'chunking', updated_at = now(), text = $3, "
		       "characters = $4, "
		       "title = $5 WHERE document_id = $1 AND version = $2 AND deleted_at IS NULL "
		       "AND status IN " PENDING,
	[S_INDEXED] = "UPDATE documents SET status = 'indexed', updated_at = now(), indexed_at = "
		      "now(), n_chunks = $4, "
		      "change_no = (SELECT change_no FROM knowledge_state), work_id = $3 WHERE "
		      "document_id = $1 "
		      "AND version = $2 AND deleted_at IS NULL AND status IN " PENDING,
	[S_GUARD] =
	    "SELECT 1 / count(*)::integer FROM documents WHERE document_id = $1 AND work_id = $2",
	[S_CHUNKS_ADD] =
	    "INSERT INTO chunks (document_id, version, change_no, title, ordinal, section, "
	    "content, char_start, "
	    "char_end, page, tokens) SELECT $1::uuid, $2::integer, (SELECT change_no FROM "
	    "knowledge_state), $3::text, r.o, r.s, r.t, "
	    "r.a, r.z, r.p, r.k FROM jsonb_to_recordset($4::jsonb) "
	    "AS r (o integer, s text, t text, a integer, z integer, p integer, k integer)",
	[S_FAILED] = "UPDATE documents SET status = 'failed', updated_at = now(), text = NULL, "
		     "characters = NULL, "
		     "work_id = $3 WHERE document_id = $1 AND version = $2 AND deleted_at IS NULL "
		     "AND status IN " PENDING,
	[S_JOB_FAILED] =
	    "UPDATE ingest_jobs SET error = $2::jsonb, updated_at = now() WHERE job_id = $1",
	[S_STALE] = "SELECT document_id, job_id, version, status FROM documents d WHERE deleted_at "
		    "IS NULL AND " IS_STALE " ORDER BY updated_at LIMIT 20",
	[S_UPLOAD_ADD] = "INSERT INTO uploads (upload_id, title, filename, media_type, charset, "
			 "source_url, metadata, "
			 "expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7::jsonb, "
			 "now() + $8::bigint * interval '1 millisecond') RETURNING " TIME(
			     "expires_at"),
	[S_UPLOAD_SWEEP] =
	    "WITH gone AS (DELETE FROM uploads WHERE expires_at < now() RETURNING upload_id) "
	    "DELETE FROM document_parts WHERE content_id IN (SELECT upload_id FROM gone)",
	[S_UPLOAD_LOCK] =
	    "SELECT 1 FROM uploads WHERE upload_id = $1 AND expires_at > now() FOR UPDATE",
	[S_UPLOAD_TOUCH] = "UPDATE uploads SET revision = revision + 1 WHERE upload_id = $1",
	/* after the lock, so that two parts cannot both take the last room */
	[S_UPLOAD_PART] =
	    "INSERT INTO document_parts (content_id, part, data) SELECT u.upload_id, $2::integer, "
	    "$3::bytea FROM uploads u "
	    "WHERE u.upload_id = $1 AND u.expires_at > now() AND (SELECT "
	    "coalesce(sum(length(p.data)), 0) "
	    "FROM document_parts p WHERE p.content_id = $1 AND p.part <> $2) + $4::bigint <= "
	    "$5::bigint "
	    "ON CONFLICT (tenant_id, content_id, part) DO UPDATE SET data = excluded.data",
	[S_UPLOAD_STATE] =
	    "SELECT u.title, u.filename, u.media_type, u.charset, u.source_url, u.metadata, "
	    "u.revision, "
	    "count(p.part), coalesce(max(p.part), 0), coalesce(sum(length(p.data)), 0), "
	    "encode(sha256(coalesce(string_agg(p.data, ''::bytea ORDER BY p.part), '')), 'hex') "
	    "FROM uploads u LEFT JOIN document_parts p ON p.content_id = u.upload_id "
	    "WHERE u.upload_id = $1 AND u.expires_at > now() GROUP BY u.upload_id",
	/* of the revision that was looked at, or the group has not happened */
	[S_UPLOAD_END] =
	    "WITH gone AS (DELETE FROM uploads WHERE upload_id = $1 AND revision = $2 RETURNING 1) "
	    "SELECT 1 / count(*)::integer FROM gone",
	[S_UPLOAD_DELETE] =
	    "WITH gone AS (DELETE FROM uploads WHERE upload_id = $1 RETURNING upload_id), "
	    "parts AS (DELETE FROM document_parts WHERE content_id IN (SELECT upload_id FROM "
	    "gone)) "
	    "SELECT upload_id FROM gone",
};
