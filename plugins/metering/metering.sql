-- What tenants used. usage_keys says what was counted already, for ever; usage_events is what was counted,
-- append only; usage_rollups are its sums, changed in the transaction that appends. A role of the host can
-- add to the first two and change nothing in them.

-- Apart from the events, so that these may be dropped by the month while their keys stay. Split by the id:
-- sixteen indexes stay small, and a large tenant is spread over all of them. payload: 128 bits of SHA-256
-- of what the event says.
CREATE TABLE usage_keys (
	tenant_id uuid NOT NULL DEFAULT nullif(current_setting('app.current_tenant_id', true), '')::uuid,
	source text NOT NULL,
	id text NOT NULL,
	payload bytea NOT NULL,
	PRIMARY KEY (tenant_id, source, id)
) PARTITION BY HASH (id);
ALTER TABLE usage_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY usage_keys_tenant ON usage_keys FOR ALL TO insula_app
	USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid)
	WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid);
GRANT SELECT, INSERT ON usage_keys TO insula_app;

-- Nobody has rights on a partition of its own: access goes through the parent, with the parent's policies.
DO $$
BEGIN
	FOR i IN 0..15 LOOP
		EXECUTE format('CREATE TABLE %I PARTITION OF usage_keys FOR VALUES WITH (MODULUS 16, REMAINDER %s)',
			'usage_keys_' || i, i);
		EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', 'usage_keys_' || i);
	END LOOP;
END $$;

-- A line for each model of an event; source and id are those of its key. No reference to tenants and no
-- primary key: the key is in usage_keys, and a second check for each event would cost as much as the event.
-- cost_nanos is NULL when nobody knows what the tokens cost. prices: the version of the price list, or
-- 'reported'.
CREATE TABLE usage_events (
	tenant_id uuid NOT NULL DEFAULT nullif(current_setting('app.current_tenant_id', true), '')::uuid,
	ts timestamptz NOT NULL,
	received_at timestamptz NOT NULL DEFAULT now(),
	source text NOT NULL,
	id text NOT NULL,
	line smallint NOT NULL,
	kind text NOT NULL,
	subject text NOT NULL,
	model text NOT NULL,
	workflow text NOT NULL,
	run_id text NOT NULL,
	prompt_tokens bigint NOT NULL,
	completion_tokens bigint NOT NULL,
	cached_tokens bigint NOT NULL,
	tool_calls bigint NOT NULL,
	duration_ms bigint NOT NULL,
	quantity bigint NOT NULL,
	cost_nanos numeric,
	prices text NOT NULL,
	data jsonb
) PARTITION BY RANGE (ts);
CREATE INDEX usage_events_time ON usage_events (tenant_id, ts);
ALTER TABLE usage_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage_events FORCE ROW LEVEL SECURITY;
CREATE POLICY usage_events_tenant ON usage_events FOR ALL TO insula_app
	USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid)
	WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid);
GRANT SELECT, INSERT ON usage_events TO insula_app;

CREATE TABLE usage_events_other PARTITION OF usage_events DEFAULT;
ALTER TABLE usage_events_other ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage_events_other FORCE ROW LEVEL SECURITY;

-- Days are UTC. slot: writers of one tenant take different ones, or each would wait for the commit of the
-- other; who reads adds them up. numeric: no sum of a tenant can overflow and stop its writers.
CREATE TABLE usage_rollups (
	tenant_id uuid NOT NULL DEFAULT nullif(current_setting('app.current_tenant_id', true), '')::uuid,
	day date NOT NULL,
	model text NOT NULL,
	workflow text NOT NULL,
	kind text NOT NULL,
	slot smallint NOT NULL,
	events numeric NOT NULL,
	prompt_tokens numeric NOT NULL,
	completion_tokens numeric NOT NULL,
	cached_tokens numeric NOT NULL,
	tool_calls numeric NOT NULL,
	duration_ms numeric NOT NULL,
	quantity numeric NOT NULL,
	cost_nanos numeric NOT NULL,
	unpriced numeric NOT NULL,
	PRIMARY KEY (tenant_id, day, model, workflow, kind, slot)
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);
ALTER TABLE usage_rollups ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage_rollups FORCE ROW LEVEL SECURITY;
CREATE POLICY usage_rollups_tenant ON usage_rollups FOR ALL TO insula_app
	USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid)
	WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid);
GRANT SELECT, INSERT, UPDATE ON usage_rollups TO insula_app;

-- Makes the partitions of the last month, this one and the next two; returns how many were missing. The
-- plugin calls it once a day. It runs as the owner of the tables, takes no argument and does nothing else.
-- ATTACH, unlike CREATE ... PARTITION OF, does not stop those who read and write meanwhile. A month whose
-- rows already lie in usage_events_other stays there: nothing is lost, it only can't be dropped as a whole.
CREATE FUNCTION usage_events_ahead() RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
	month timestamp := date_trunc('month', now() AT TIME ZONE 'UTC') - interval '1 month';
	part text;
	made integer := 0;
BEGIN
	PERFORM pg_advisory_xact_lock(hashtext('usage_events_ahead'));
	FOR i IN 0..3 LOOP
		part := 'usage_events_' || to_char(month, 'YYYY"m"MM');
		IF to_regclass(part) IS NULL THEN
			BEGIN
				EXECUTE format('CREATE TABLE %I (LIKE usage_events INCLUDING ALL)', part);
				EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', part);
				EXECUTE format('ALTER TABLE usage_events ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', part,
					month AT TIME ZONE 'UTC', (month + interval '1 month') AT TIME ZONE 'UTC');
				made := made + 1;
			EXCEPTION WHEN check_violation THEN
				RAISE NOTICE 'usage_events: the month of % stays in usage_events_other', month;
			END;
		END IF;
		month := month + interval '1 month';
	END LOOP;
	RETURN made;
END $$;
REVOKE ALL ON FUNCTION usage_events_ahead() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION usage_events_ahead() TO insula_app;
SELECT usage_events_ahead();
