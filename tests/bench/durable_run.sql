-- pgbench: what a run of three steps commits, statement for statement, one run at a time: four implicit
-- transactions, a round trip each. As the role of the engine, -M prepared, -D ms=<milliseconds since 1970>
-- -D tenant=<a tenant's id>. The relay's deletes from the outbox are not in it.
\set r random(1, 1000000000000000000)
\set shard random(0, 255)
\startpipeline
SELECT set_config('app.tenants', '{' || :tenant::text || '}', true);
WITH l AS (SELECT shard FROM run_shards WHERE shard = :shard FOR SHARE), r AS (INSERT INTO agent_runs (run_id, tenant_id, user_id, shard, workflow, version, next_seq, status, budget, attrs, created_at) SELECT (lpad(to_hex(:ms::bigint), 12, '0') || '7000' || lpad(to_hex(:r::bigint), 16, '8'))::uuid, :tenant::uuid, 'bench', l.shard, 'none', '1', 1, 'running', '{"steps": 1000, "tokens": 200000, "visits": 100, "time_ms": 86400000, "cost_nanos": 1000000000}', '{"plan": "free"}', clock_timestamp() FROM l RETURNING run_id, tenant_id) INSERT INTO run_events (run_id, seq, tenant_id, type, ts, data) SELECT run_id, 0, tenant_id, 'RunStarted', clock_timestamp(), '{"input": {"plan": [{"name": "a"}, {"name": "b"}, {"name": "c"}]}}' FROM r;
INSERT INTO outbox (tenant_id, event_id, subject, envelope) VALUES (:tenant::uuid, 'evt_' || :r::bigint || 's', 't.bench.started', json_build_object('event_type', 'agent.run.started', 'tenant_id', :tenant::text, 'payload', json_build_object('version', '1')));
\endpipeline
\startpipeline
SELECT set_config('app.tenants', '{' || :tenant::text || '}', true);
WITH l AS (SELECT shard FROM run_shards WHERE shard = :shard FOR SHARE), u AS (UPDATE agent_runs SET next_seq = 2 FROM l WHERE run_id = (lpad(to_hex(:ms::bigint), 12, '0') || '7000' || lpad(to_hex(:r::bigint), 16, '8'))::uuid AND next_seq = 1 AND agent_runs.shard = l.shard RETURNING run_id, tenant_id) INSERT INTO run_events (run_id, seq, tenant_id, type, step_id, attempt, node, ts, data) SELECT run_id, 1, tenant_id, 'StepCompleted', 0, 1, 'a', clock_timestamp(), '{"output": {}}' FROM u;
\endpipeline
\startpipeline
SELECT set_config('app.tenants', '{' || :tenant::text || '}', true);
WITH l AS (SELECT shard FROM run_shards WHERE shard = :shard FOR SHARE), u AS (UPDATE agent_runs SET next_seq = 3 FROM l WHERE run_id = (lpad(to_hex(:ms::bigint), 12, '0') || '7000' || lpad(to_hex(:r::bigint), 16, '8'))::uuid AND next_seq = 2 AND agent_runs.shard = l.shard RETURNING run_id, tenant_id) INSERT INTO run_events (run_id, seq, tenant_id, type, step_id, attempt, node, ts, data) SELECT run_id, 2, tenant_id, 'StepCompleted', 1, 1, 'b', clock_timestamp(), '{"output": {}}' FROM u;
\endpipeline
\startpipeline
SELECT set_config('app.tenants', '{' || :tenant::text || '}', true);
WITH l AS (SELECT shard FROM run_shards WHERE shard = :shard FOR SHARE), u AS (UPDATE agent_runs SET next_seq = 5, status = 'completed', ended_at = clock_timestamp() FROM l WHERE run_id = (lpad(to_hex(:ms::bigint), 12, '0') || '7000' || lpad(to_hex(:r::bigint), 16, '8'))::uuid AND next_seq = 3 AND agent_runs.shard = l.shard RETURNING run_id, tenant_id) INSERT INTO run_events (run_id, seq, tenant_id, type, step_id, attempt, node, ts, data) SELECT run_id, e.seq, tenant_id, e.type, e.step, 1, 'c', clock_timestamp(), e.data FROM u, (VALUES (3, 'StepCompleted', 2, '{"output": {}}'::jsonb), (4, 'RunEnded', NULL, '{"status": "completed", "output": {"steps": 3}, "usage": {"steps": 3}}')) AS e (seq, type, step, data);
INSERT INTO outbox (tenant_id, event_id, subject, envelope) VALUES (:tenant::uuid, 'evt_' || :r::bigint || 'e', 't.bench.completed', json_build_object('event_type', 'agent.run.completed', 'tenant_id', :tenant::text, 'payload', json_build_object('version', '1')));
INSERT INTO outbox (tenant_id, event_id, subject, envelope) VALUES (:tenant::uuid, 'evt_' || :r::bigint || 'm', 't.bench.metered', json_build_object('event_type', 'usage.metered', 'tenant_id', :tenant::text, 'payload', json_build_object('source', 'bench')));
\endpipeline
