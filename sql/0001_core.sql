-- Tenants, their users and keys, and the outbox of business events.
--
-- The login role of data.pg.url owns the tables and is a member of the four roles below; the host's
-- connections take one of them. None can log in, none passes row-level security. Roles belong to
-- the whole cluster, so they may be there already: from another database, or from an administrator
-- who gives the login role no CREATEROLE.

DO $$
DECLARE
	r text;
BEGIN
	FOREACH r IN ARRAY ARRAY['insula_app', 'insula_engine', 'insula_relay', 'insula_system'] LOOP
		IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r) THEN
			BEGIN
				EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOBYPASSRLS NOINHERIT', r);
			EXCEPTION WHEN duplicate_object OR unique_violation THEN
				NULL; -- a migration of another database was faster
			END;
		END IF;
		IF NOT pg_has_role(current_user, r, 'MEMBER') THEN
			EXECUTE format('GRANT %I TO %I', r, current_user);
		END IF;
	END LOOP;
END
$$;

CREATE TABLE tenants (
	tenant_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	name text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
	plan text NOT NULL DEFAULT 'free' CHECK (plan ~ '^[a-z0-9_-]{1,32}$'),
	status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended', 'cancelled')),
	created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE users (
	user_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	tenant_id uuid NOT NULL REFERENCES tenants,
	email text NOT NULL,
	name text NOT NULL DEFAULT '',
	status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended')),
	created_at timestamptz NOT NULL DEFAULT now(),
	UNIQUE (tenant_id, user_id)
);
CREATE UNIQUE INDEX users_email ON users (tenant_id, lower(email));

-- Only the SHA-256 of a key's secret part is here: the secret has 256 random bits, so that a slow
-- hash would add nothing.
CREATE TABLE api_keys (
	public_id text PRIMARY KEY CHECK (public_id ~ '^[a-z2-7]{16}$'),
	tenant_id uuid NOT NULL REFERENCES tenants,
	user_id uuid,
	name text NOT NULL DEFAULT '',
	secret_hash text NOT NULL CHECK (secret_hash ~ '^[0-9a-f]{64}$'),
	permissions text NOT NULL DEFAULT '',
	created_at timestamptz NOT NULL DEFAULT now(),
	expires_at timestamptz,
	revoked_at timestamptz,
	FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, user_id)
);
CREATE INDEX api_keys_tenant ON api_keys (tenant_id, created_at);

-- Rows live for milliseconds, from the commit that caused the event to JetStream's acknowledgement.
-- No REFERENCES: it would lock the tenant's row for every event. json, not jsonb: nothing looks
-- inside, and the bytes leave as they came.
CREATE TABLE outbox (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	tenant_id uuid NOT NULL,
	event_id text NOT NULL,
	subject text NOT NULL,
	envelope json NOT NULL,
	created_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenants FORCE ROW LEVEL SECURITY;
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
ALTER TABLE users FORCE ROW LEVEL SECURITY;
ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE api_keys FORCE ROW LEVEL SECURITY;
ALTER TABLE outbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE outbox FORCE ROW LEVEL SECURITY;

-- insula_app: its one tenant. What it may do at all is a matter of the grants below.
CREATE POLICY tenants_app ON tenants FOR ALL TO insula_app
	USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid)
	WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid);
CREATE POLICY users_app ON users FOR ALL TO insula_app
	USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid)
	WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid);
CREATE POLICY api_keys_app ON api_keys FOR ALL TO insula_app
	USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid)
	WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid);
CREATE POLICY outbox_app ON outbox FOR ALL TO insula_app
	USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid)
	WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid);

-- A key says which tenant it is of: by its public id, and nothing else, it and its tenant can be
-- seen before a tenant is known.
CREATE POLICY api_keys_lookup ON api_keys FOR SELECT TO insula_app
	USING (public_id = nullif(current_setting('app.key_public_id', true), ''));
CREATE POLICY tenants_lookup ON tenants FOR SELECT TO insula_app
	USING (tenant_id = (SELECT k.tenant_id FROM api_keys k
		WHERE k.public_id = nullif(current_setting('app.key_public_id', true), '')));

-- insula_engine: the ids and plans of all tenants, to serve them fairly; events of those of its batch.
CREATE POLICY tenants_engine ON tenants FOR SELECT TO insula_engine USING (true);
CREATE POLICY outbox_engine ON outbox FOR ALL TO insula_engine
	USING (tenant_id = ANY ((SELECT nullif(current_setting('app.tenants', true), ''))::uuid[]))
	WITH CHECK (tenant_id = ANY ((SELECT nullif(current_setting('app.tenants', true), ''))::uuid[]));

CREATE POLICY outbox_relay ON outbox FOR ALL TO insula_relay USING (true) WITH CHECK (true);

CREATE POLICY tenants_system ON tenants FOR ALL TO insula_system USING (true) WITH CHECK (true);
CREATE POLICY users_system ON users FOR ALL TO insula_system USING (true) WITH CHECK (true);
CREATE POLICY api_keys_system ON api_keys FOR ALL TO insula_system USING (true) WITH CHECK (true);

GRANT SELECT ON tenants, users, api_keys TO insula_app;
GRANT INSERT ON outbox TO insula_app, insula_engine;
GRANT SELECT (tenant_id, plan, status) ON tenants TO insula_engine;
-- UPDATE: what FOR UPDATE SKIP LOCKED asks for.
GRANT SELECT, UPDATE, DELETE ON outbox TO insula_relay;
GRANT SELECT, INSERT, UPDATE ON tenants, users, api_keys TO insula_system;
