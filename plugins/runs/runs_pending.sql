-- Limits need counts: of a tenant's pending runs, and of the messages that wait for a run.
CREATE INDEX agent_runs_pending ON agent_runs (tenant_id) WHERE status = 'pending';
CREATE INDEX run_inbox_untaken ON run_inbox (run_id) WHERE taken_seq IS NULL;
