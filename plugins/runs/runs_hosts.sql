-- Who executes runs: a row for each loop of each host, kept by its heartbeats. Shards are shared out
-- among the rows that have not expired.
CREATE TABLE run_hosts (
	host_id text NOT NULL,
	loop smallint NOT NULL,
	boot_id text NOT NULL,
	expires_at timestamptz NOT NULL,
	PRIMARY KEY (host_id, loop)
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0);
GRANT SELECT, INSERT, UPDATE, DELETE ON run_hosts TO insula_engine;
