-- The run engine's tables. agent_runs has one row for each run, run_events its log: append only, gap
-- free, one row for each step. run_shards says which host may write the runs of a shard.

CREATE TABLE run_shards (
	shard smallint PRIMARY KEY,
	owner text NOT NULL DEFAULT '',
	boot_id text NOT NULL DEFAULT '',
	fence bigint NOT NULL DEFAULT 0,
	expires_at timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0);
INSERT INTO run_shards (shard) SELECT generate_series(0, 255);
GRANT SELECT, UPDATE ON run_shards TO insula_engine;

-- No index on next_seq: a step's commit updates this row in place (HOT).
CREATE TABLE agent_runs (
	run_id uuid PRIMARY KEY,
	tenant_id uuid NOT NULL REFERENCES tenants,
	user_id text NOT NULL,
	shard smallint NOT NULL,
	workflow text NOT NULL,
	version text NOT NULL,
	status text NOT NULL CHECK (status IN ('running', 'completed', 'failed', 'cancelled')),
	next_seq integer NOT NULL,
	budget jsonb NOT NULL,
	attrs jsonb NOT NULL,
	created_at timestamptz NOT NULL,
	ended_at timestamptz
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
CREATE INDEX agent_runs_live ON agent_runs (shard, run_id) WHERE status = 'running';
CREATE INDEX agent_runs_tenant ON agent_runs (tenant_id, run_id DESC);
ALTER TABLE agent_runs ENABLE ROW LEVEL SECURITY;
ALTER TABLE agent_runs FORCE ROW LEVEL SECURITY;
CREATE POLICY agent_runs_tenant ON agent_runs FOR ALL TO insula_app
	USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid)
	WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid);
CREATE POLICY agent_runs_engine ON agent_runs FOR ALL TO insula_engine
	USING (tenant_id = ANY ((SELECT nullif(current_setting('app.tenants', true), ''))::uuid[]))
	WITH CHECK (tenant_id = ANY ((SELECT nullif(current_setting('app.tenants', true), ''))::uuid[]));
GRANT SELECT ON agent_runs TO insula_app;
GRANT SELECT, INSERT, UPDATE ON agent_runs TO insula_engine;

-- Partitions by week: a run's id begins with its time, and old weeks go as a whole. No reference to
-- tenants: the statements that insert here take tenant_id from the row of agent_runs that they write,
-- and a check for each event would cost more than the event.
CREATE TABLE run_events (
	run_id uuid NOT NULL,
	seq integer NOT NULL,
	tenant_id uuid NOT NULL,
	type text NOT NULL,
	step_id integer,
	attempt smallint,
	node text,
	ts timestamptz NOT NULL,
	data jsonb NOT NULL,
	PRIMARY KEY (run_id, seq)
) PARTITION BY RANGE (run_id);
ALTER TABLE run_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE run_events FORCE ROW LEVEL SECURITY;
CREATE POLICY run_events_tenant ON run_events FOR ALL TO insula_app
	USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid)
	WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid);
CREATE POLICY run_events_engine ON run_events FOR ALL TO insula_engine
	USING (tenant_id = ANY ((SELECT nullif(current_setting('app.tenants', true), ''))::uuid[]))
	WITH CHECK (tenant_id = ANY ((SELECT nullif(current_setting('app.tenants', true), ''))::uuid[]));
GRANT SELECT ON run_events TO insula_app;
GRANT SELECT, INSERT ON run_events TO insula_engine;

-- What no week takes. Nobody has rights on a partition of its own: access goes through the parent,
-- with the parent's policies.
CREATE TABLE run_events_other PARTITION OF run_events DEFAULT;
ALTER TABLE run_events_other ENABLE ROW LEVEL SECURITY;
ALTER TABLE run_events_other FORCE ROW LEVEL SECURITY;

-- Makes the partitions of this week and the next four; returns how many were missing. The engine
-- calls it once a day. It runs as the owner of the tables, takes no argument and does nothing else.
-- ATTACH, unlike CREATE ... PARTITION OF, does not stop those who read and write meanwhile. A week
-- whose rows already lie in run_events_other stays there: nothing is lost, it only can't be dropped
-- as a whole.
CREATE FUNCTION run_events_ahead() RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
	week timestamp := date_trunc('week', now() AT TIME ZONE 'UTC');
	part text;
	made integer := 0;
BEGIN
	PERFORM pg_advisory_xact_lock(hashtext('run_events_ahead'));
	FOR i IN 0..4 LOOP
		part := 'run_events_' || to_char(week, 'IYYY"w"IW');
		IF to_regclass(part) IS NULL THEN
			BEGIN
				EXECUTE format('CREATE TABLE %I (LIKE run_events INCLUDING ALL)', part);
				EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', part);
				EXECUTE format('ALTER TABLE run_events ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', part,
					lpad(to_hex(extract(epoch FROM week)::bigint * 1000), 12, '0') || repeat('0', 20),
					lpad(to_hex(extract(epoch FROM week + interval '7 days')::bigint * 1000), 12, '0') || repeat('0', 20));
				made := made + 1;
			EXCEPTION WHEN check_violation THEN
				RAISE NOTICE 'run_events: the week of % stays in run_events_other', week;
			END;
		END IF;
		week := week + interval '7 days';
	END LOOP;
	RETURN made;
END $$;
REVOKE ALL ON FUNCTION run_events_ahead() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION run_events_ahead() TO insula_engine;
SELECT run_events_ahead();
