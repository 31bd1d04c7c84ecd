-- A temporary table lies outside row-level security, outlives its transaction and hides the table
-- whose name it takes: no role of ours may make one. Every database grants this to PUBLIC at first.

DO $$
BEGIN
	EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
EXCEPTION WHEN insufficient_privilege THEN
	RAISE WARNING 'the login role does not own database %: let its owner REVOKE TEMPORARY ON DATABASE % FROM PUBLIC',
		current_database(), current_database();
END
$$;
