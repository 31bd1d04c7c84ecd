-- Threads, messages to runs, timers, snapshots, idempotent starts.

-- What workflows see is kept as it was written: jsonb would print the number 1e22 as digits that no
-- parser of integers takes back.
ALTER TABLE run_events ALTER COLUMN data TYPE json USING data::json;

-- One row for each conversation. head_* is the newest state of its runs, and values its public
-- part, as workflows show it. Whether a thread is busy follows from agent_runs.
CREATE TABLE threads (
	tenant_id uuid NOT NULL REFERENCES tenants,
	thread_id uuid NOT NULL,
	status text NOT NULL DEFAULT 'idle' CHECK (status IN ('idle', 'interrupted', 'error')),
	metadata jsonb NOT NULL DEFAULT '{}',
	config jsonb NOT NULL DEFAULT '{}',
	"values" json,
	interrupts jsonb NOT NULL DEFAULT '[]',
	error jsonb,
	head_run uuid,
	head_seq integer,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	state_updated_at timestamptz,
	PRIMARY KEY (tenant_id, thread_id)
) WITH (fillfactor = 80);
CREATE INDEX threads_updated ON threads (tenant_id, updated_at DESC);
CREATE INDEX threads_metadata ON threads USING gin (metadata jsonb_path_ops);
ALTER TABLE threads ENABLE ROW LEVEL SECURITY;
ALTER TABLE threads FORCE ROW LEVEL SECURITY;
CREATE POLICY threads_tenant ON threads FOR ALL TO insula_app
	USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid)
	WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid);
CREATE POLICY threads_engine ON threads FOR ALL TO insula_engine
	USING (tenant_id = ANY ((SELECT nullif(current_setting('app.tenants', true), ''))::uuid[]))
	WITH CHECK (tenant_id = ANY ((SELECT nullif(current_setting('app.tenants', true), ''))::uuid[]));
GRANT SELECT, INSERT, UPDATE, DELETE ON threads TO insula_app;
GRANT SELECT, UPDATE ON threads TO insula_engine;

-- wake_at: NULL = the shard's owner has the run in memory; otherwise the run sleeps until a row of
-- run_ready comes due. request: what a pending run was asked to do. base_*: the state it goes on from.
ALTER TABLE agent_runs
	ADD COLUMN thread_id uuid,
	ADD COLUMN assistant_id uuid,
	ADD COLUMN multitask text,
	ADD COLUMN idem_key text,
	ADD COLUMN wake_at timestamptz,
	ADD COLUMN request json,
	ADD COLUMN metadata jsonb NOT NULL DEFAULT '{}',
	ADD COLUMN base_run uuid,
	ADD COLUMN base_seq integer,
	DROP CONSTRAINT agent_runs_status_check,
	ADD CONSTRAINT agent_runs_status_check CHECK (status IN
		('pending', 'running', 'interrupted', 'completed', 'failed', 'cancelled'));
DROP INDEX agent_runs_live;
CREATE INDEX agent_runs_live ON agent_runs (shard, run_id) WHERE status = 'running' AND wake_at IS NULL;
CREATE UNIQUE INDEX agent_runs_idem_key ON agent_runs (tenant_id, idem_key) WHERE idem_key IS NOT NULL;
CREATE INDEX agent_runs_thread ON agent_runs (tenant_id, thread_id, run_id DESC) WHERE thread_id IS NOT NULL;
GRANT DELETE ON agent_runs, run_events TO insula_engine, insula_app;

-- What waits for a shard's owner: pending runs, messages, timers of runs that sleep. Only ids: the
-- engine reads it for all tenants. A row goes when the owner has seen to it, by its id, since
-- another for the same run may come meanwhile. starts: of a pending run; these wait while the owner is
-- full, the others do not.
CREATE TABLE run_ready (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	shard smallint NOT NULL,
	at timestamptz NOT NULL,
	starts boolean NOT NULL DEFAULT false,
	run_id uuid NOT NULL REFERENCES agent_runs ON DELETE CASCADE,
	tenant_id uuid NOT NULL
) WITH (autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0);
CREATE INDEX run_ready_due ON run_ready (shard, starts, at);
CREATE INDEX run_ready_run ON run_ready (run_id);
ALTER TABLE run_ready ENABLE ROW LEVEL SECURITY;
ALTER TABLE run_ready FORCE ROW LEVEL SECURITY;
CREATE POLICY run_ready_tenant ON run_ready FOR ALL TO insula_app
	USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid)
	WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid);
CREATE POLICY run_ready_engine ON run_ready FOR ALL TO insula_engine USING (true) WITH CHECK (true);
GRANT SELECT ON run_ready TO insula_app;
GRANT SELECT, INSERT, DELETE ON run_ready TO insula_engine;

-- Messages, idempotent by msg_id. taken_seq: the event that records it; -1 = the run was over.
CREATE TABLE run_inbox (
	run_id uuid NOT NULL REFERENCES agent_runs ON DELETE CASCADE,
	msg_id text NOT NULL,
	tenant_id uuid NOT NULL,
	shard smallint NOT NULL,
	kind text NOT NULL CHECK (kind IN ('signal', 'resume', 'cancel', 'delete')),
	name text,
	payload json,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	taken_seq integer,
	PRIMARY KEY (run_id, msg_id)
) WITH (fillfactor = 80);
ALTER TABLE run_inbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE run_inbox FORCE ROW LEVEL SECURITY;
CREATE POLICY run_inbox_tenant ON run_inbox FOR ALL TO insula_app
	USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid)
	WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid);
CREATE POLICY run_inbox_engine ON run_inbox FOR ALL TO insula_engine
	USING (tenant_id = ANY ((SELECT nullif(current_setting('app.tenants', true), ''))::uuid[]))
	WITH CHECK (tenant_id = ANY ((SELECT nullif(current_setting('app.tenants', true), ''))::uuid[]));
GRANT SELECT ON run_inbox TO insula_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON run_inbox TO insula_engine;

-- The fold of a run after the event seq, so that a long log need not be read from its beginning.
CREATE TABLE run_snapshots (
	run_id uuid NOT NULL REFERENCES agent_runs ON DELETE CASCADE,
	seq integer NOT NULL,
	tenant_id uuid NOT NULL,
	state json NOT NULL,
	PRIMARY KEY (run_id, seq)
);
ALTER TABLE run_snapshots ENABLE ROW LEVEL SECURITY;
ALTER TABLE run_snapshots FORCE ROW LEVEL SECURITY;
CREATE POLICY run_snapshots_tenant ON run_snapshots FOR ALL TO insula_app
	USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid)
	WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid);
CREATE POLICY run_snapshots_engine ON run_snapshots FOR ALL TO insula_engine
	USING (tenant_id = ANY ((SELECT nullif(current_setting('app.tenants', true), ''))::uuid[]))
	WITH CHECK (tenant_id = ANY ((SELECT nullif(current_setting('app.tenants', true), ''))::uuid[]));
GRANT SELECT ON run_snapshots TO insula_app;
GRANT SELECT, INSERT, DELETE ON run_snapshots TO insula_engine;
