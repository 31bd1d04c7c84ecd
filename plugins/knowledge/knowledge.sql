-- Documents of tenants, how far their ingestion is, and the passages that indexes are made of.
--
-- An index is a function of these tables. Every change to what can be found takes the tenant's next change
-- number under the lock of its row in knowledge_state, which is held until commit: numbers become visible in
-- order, so who has seen n has seen all below n. An indexer reads chunks and documents whose number is above
-- its own. Chunks of a deleted document are gone at once; the document's row stays, emptied, with the number
-- of the deletion, so that indexers learn of it.

CREATE TABLE knowledge_state (
	tenant_id uuid PRIMARY KEY DEFAULT nullif(current_setting('app.current_tenant_id', true), '')::uuid
		REFERENCES tenants,
	change_no bigint NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE documents (
	document_id uuid PRIMARY KEY,
	tenant_id uuid NOT NULL DEFAULT nullif(current_setting('app.current_tenant_id', true), '')::uuid
		REFERENCES tenants,
	version integer NOT NULL DEFAULT 1,
	status text NOT NULL DEFAULT 'queued'
		CHECK (status IN ('queued', 'parsing', 'chunking', 'indexed', 'failed')),
	job_id uuid NOT NULL,
	title text NOT NULL DEFAULT '',
	filename text NOT NULL DEFAULT '',
	media_type text NOT NULL,
	charset text NOT NULL DEFAULT '',
	source_url text NOT NULL DEFAULT '',
	metadata jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object'),
	content_id uuid NOT NULL,
	content_sha256 text NOT NULL CHECK (content_sha256 ~ '^[0-9a-f]{64}$'),
	bytes bigint NOT NULL,
	idempotency_key text,
	text text,
	characters integer,
	n_chunks integer,
	created_by text NOT NULL DEFAULT '',
	created_at timestamptz NOT NULL DEFAULT now(),
	updated_at timestamptz NOT NULL DEFAULT now(),
	indexed_at timestamptz,
	deleted_at timestamptz,
	change_no bigint NOT NULL DEFAULT 0,
	-- who may finish: an attempt writes its own id here and goes on only if it stands there
	work_id uuid
);
CREATE INDEX documents_list ON documents (tenant_id, document_id DESC) WHERE deleted_at IS NULL;
CREATE INDEX documents_change ON documents (tenant_id, change_no) WHERE change_no > 0;
CREATE INDEX documents_pending ON documents (tenant_id, updated_at)
	WHERE deleted_at IS NULL AND status IN ('queued', 'parsing', 'chunking');
-- The same content again is the same document; what failed may be sent again.
CREATE UNIQUE INDEX documents_content ON documents (tenant_id, content_sha256, media_type)
	WHERE deleted_at IS NULL AND status <> 'failed';
CREATE UNIQUE INDEX documents_key ON documents (tenant_id, idempotency_key)
	WHERE deleted_at IS NULL AND idempotency_key IS NOT NULL;

-- The bytes as they came, of a document or of an upload that may become one.
CREATE TABLE document_parts (
	tenant_id uuid NOT NULL DEFAULT nullif(current_setting('app.current_tenant_id', true), '')::uuid
		REFERENCES tenants,
	content_id uuid NOT NULL,
	part integer NOT NULL CHECK (part > 0),
	data bytea NOT NULL,
	PRIMARY KEY (tenant_id, content_id, part)
);

CREATE TABLE uploads (
	upload_id uuid PRIMARY KEY,
	tenant_id uuid NOT NULL DEFAULT nullif(current_setting('app.current_tenant_id', true), '')::uuid
		REFERENCES tenants,
	title text NOT NULL,
	filename text NOT NULL,
	media_type text NOT NULL,
	charset text NOT NULL,
	source_url text NOT NULL,
	metadata jsonb NOT NULL CHECK (jsonb_typeof(metadata) = 'object'),
	-- counts the parts that came, so that completing sees whether one came meanwhile
	revision integer NOT NULL DEFAULT 0,
	created_at timestamptz NOT NULL DEFAULT now(),
	expires_at timestamptz NOT NULL
);
CREATE INDEX uploads_expiry ON uploads (tenant_id, expires_at);

CREATE TABLE ingest_jobs (
	job_id uuid PRIMARY KEY,
	tenant_id uuid NOT NULL DEFAULT nullif(current_setting('app.current_tenant_id', true), '')::uuid
		REFERENCES tenants,
	document_id uuid NOT NULL,
	version integer NOT NULL,
	done integer NOT NULL DEFAULT 0,
	total integer NOT NULL DEFAULT 3,
	error jsonb,
	created_at timestamptz NOT NULL DEFAULT now(),
	updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ingest_jobs_document ON ingest_jobs (tenant_id, document_id);

CREATE TABLE chunks (
	chunk_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	tenant_id uuid NOT NULL DEFAULT nullif(current_setting('app.current_tenant_id', true), '')::uuid
		REFERENCES tenants,
	document_id uuid NOT NULL,
	version integer NOT NULL,
	ordinal integer NOT NULL,
	change_no bigint NOT NULL,
	title text NOT NULL,
	section text NOT NULL,
	content text NOT NULL,
	char_start integer NOT NULL,
	char_end integer NOT NULL,
	page integer,
	tokens integer NOT NULL
);
CREATE UNIQUE INDEX chunks_document ON chunks (tenant_id, document_id, version, ordinal);
CREATE INDEX chunks_change ON chunks (tenant_id, change_no, ordinal);

ALTER TABLE knowledge_state ENABLE ROW LEVEL SECURITY;
ALTER TABLE knowledge_state FORCE ROW LEVEL SECURITY;
ALTER TABLE documents ENABLE ROW LEVEL SECURITY;
ALTER TABLE documents FORCE ROW LEVEL SECURITY;
ALTER TABLE document_parts ENABLE ROW LEVEL SECURITY;
ALTER TABLE document_parts FORCE ROW LEVEL SECURITY;
ALTER TABLE uploads ENABLE ROW LEVEL SECURITY;
ALTER TABLE uploads FORCE ROW LEVEL SECURITY;
ALTER TABLE ingest_jobs ENABLE ROW LEVEL SECURITY;
ALTER TABLE ingest_jobs FORCE ROW LEVEL SECURITY;
ALTER TABLE chunks ENABLE ROW LEVEL SECURITY;
ALTER TABLE chunks FORCE ROW LEVEL SECURITY;

CREATE POLICY knowledge_state_app ON knowledge_state FOR ALL TO insula_app
	USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid)
	WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid);
CREATE POLICY documents_app ON documents FOR ALL TO insula_app
	USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid)
	WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid);
CREATE POLICY document_parts_app ON document_parts FOR ALL TO insula_app
	USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid)
	WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid);
CREATE POLICY uploads_app ON uploads FOR ALL TO insula_app
	USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid)
	WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid);
CREATE POLICY ingest_jobs_app ON ingest_jobs FOR ALL TO insula_app
	USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid)
	WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid);
CREATE POLICY chunks_app ON chunks FOR ALL TO insula_app
	USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid)
	WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid);

GRANT SELECT, INSERT, UPDATE ON knowledge_state, documents TO insula_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON document_parts, uploads, ingest_jobs TO insula_app;
GRANT SELECT, INSERT, DELETE ON chunks TO insula_app;
