-- pgbench: what a batch of 100 usage events commits: keys, events and sums, one implicit transaction, one
-- round trip. As the role of plugins, -M prepared, -D tenant=<a tenant's id>.
\set r random(1, 1000000000000000000)
\set slot random(0, 7)
\startpipeline
SELECT set_config('app.current_tenant_id', :tenant::text, true), set_config('app.current_user_id', 'bench', true);
INSERT INTO usage_keys (source, id, payload) SELECT '/pgbench', :r::bigint || '-' || n, decode('00112233445566778899aabbccddeeff', 'hex') FROM generate_series(1, 100) AS n ON CONFLICT DO NOTHING;
INSERT INTO usage_events (ts, source, id, line, kind, subject, model, workflow, run_id, prompt_tokens, completion_tokens, cached_tokens, tool_calls, duration_ms, quantity, cost_nanos, prices, data) SELECT now(), '/pgbench', :r::bigint || '-' || n, 0, 'completion', '', 'm', 'w', '', 1200, 80, 1000, 0, 0, 0, NULL, '', '{"model": "m", "workflow": "w", "prompt_tokens": 1200, "completion_tokens": 80, "cached_tokens": 1000}' FROM generate_series(1, 100) AS n;
INSERT INTO usage_rollups AS r (day, model, workflow, kind, slot, events, prompt_tokens, completion_tokens, cached_tokens, tool_calls, duration_ms, quantity, cost_nanos, unpriced) VALUES (current_date, 'm', 'w', 'completion', :slot, 100, 120000, 8000, 100000, 0, 0, 0, 0, 100) ON CONFLICT (tenant_id, day, model, workflow, kind, slot) DO UPDATE SET events = r.events + excluded.events, prompt_tokens = r.prompt_tokens + excluded.prompt_tokens, completion_tokens = r.completion_tokens + excluded.completion_tokens, cached_tokens = r.cached_tokens + excluded.cached_tokens, unpriced = r.unpriced + excluded.unpriced;
\endpipeline
