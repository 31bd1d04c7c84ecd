-- What clients of the LangGraph API keep: their own assistants, with every version of them, and the
-- store. Threads and runs are tables of the run engine.

-- A workflow is an assistant by itself, without a row; it gets one when somebody changes it.
CREATE TABLE assistants (
	tenant_id uuid NOT NULL DEFAULT nullif(current_setting('app.current_tenant_id', true), '')::uuid
		REFERENCES tenants,
	assistant_id uuid NOT NULL,
	graph_id text NOT NULL,
	version integer NOT NULL DEFAULT 1,
	name text NOT NULL,
	description text,
	config jsonb NOT NULL DEFAULT '{}',
	context jsonb NOT NULL DEFAULT '{}',
	metadata jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object'),
	created_at timestamptz NOT NULL DEFAULT now(),
	updated_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (tenant_id, assistant_id)
);
ALTER TABLE assistants ENABLE ROW LEVEL SECURITY;
ALTER TABLE assistants FORCE ROW LEVEL SECURITY;
CREATE POLICY assistants_tenant ON assistants FOR ALL TO insula_app
	USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid)
	WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid);
GRANT SELECT, INSERT, UPDATE, DELETE ON assistants TO insula_app;

CREATE TABLE assistant_versions (
	tenant_id uuid NOT NULL DEFAULT nullif(current_setting('app.current_tenant_id', true), '')::uuid,
	assistant_id uuid NOT NULL,
	version integer NOT NULL,
	graph_id text NOT NULL,
	name text NOT NULL,
	description text,
	config jsonb NOT NULL,
	context jsonb NOT NULL,
	metadata jsonb NOT NULL,
	created_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (tenant_id, assistant_id, version),
	FOREIGN KEY (tenant_id, assistant_id) REFERENCES assistants ON DELETE CASCADE
);
ALTER TABLE assistant_versions ENABLE ROW LEVEL SECURITY;
ALTER TABLE assistant_versions FORCE ROW LEVEL SECURITY;
CREATE POLICY assistant_versions_tenant ON assistant_versions FOR ALL TO insula_app
	USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid)
	WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid);
GRANT SELECT, INSERT, DELETE ON assistant_versions TO insula_app;

-- Values under a namespace (a path of labels) and a key. Arrays compare label by label, so the
-- primary key has those of one namespace, and of all below it, side by side.
CREATE TABLE store_items (
	tenant_id uuid NOT NULL DEFAULT nullif(current_setting('app.current_tenant_id', true), '')::uuid
		REFERENCES tenants,
	namespace text[] NOT NULL CHECK (cardinality(namespace) BETWEEN 1 AND 16),
	key text NOT NULL,
	value jsonb NOT NULL CHECK (jsonb_typeof(value) = 'object'),
	created_at timestamptz NOT NULL DEFAULT now(),
	updated_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (tenant_id, namespace, key)
);
ALTER TABLE store_items ENABLE ROW LEVEL SECURITY;
ALTER TABLE store_items FORCE ROW LEVEL SECURITY;
CREATE POLICY store_items_tenant ON store_items FOR ALL TO insula_app
	USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid)
	WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid);
GRANT SELECT, INSERT, UPDATE, DELETE ON store_items TO insula_app;
