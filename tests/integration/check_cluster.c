/*
 * check_cluster.c: three hosts on one database, and what happens to them: nothing is lost, nothing
 * is recorded twice, and runs go on elsewhere soon enough.
 *
 * With INSULA_LONG set: the long forms (10,000 runs for R1, NATS away for a minute).
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/base.h"
#include "tests/lib/cluster.h"

#include <check.h> /* last: its macro `fail` is a name of ours */

static char trace[128];
static int longer;

static void
nap(int ms)
{
	struct timespec t = { ms / 1000, (ms % 1000) * 1000000L };

	nanosleep(&t, NULL); /* the state of another process: there is no event to wait for */
}

/* Begins n runs with this plan, through HAProxy (host < 0) or at one host. With keys, because
 * libcurl repeats a request by itself when the connection that it kept was closed meanwhile. */
static void
begin_at(int host, int n, const char *plan)
{
	struct client *c = cluster_client(host);
	static unsigned number;
	char body[1024], key[64];
	const struct reply *r;

	snprintf(body, sizeof body, "{\"workflow\": \"stepper\", \"input\": {\"plan\": %s}}", plan);
	while (n-- > 0) {
		snprintf(key, sizeof key, "Idempotency-Key: %d-%u", (int)getpid(), number++);
		client_header(c, key);
		r = client_post(c, "/v1/runs", body);
		ck_assert_msg(r->status == 202, "%d %s", r->status, r->body);
	}
	client_free(c);
}

static void
begin(int n, const char *plan)
{
	begin_at(-1, n, plan);
}

static void
until_over(void)
{
	cluster_until(
	    "0", "SELECT count(*) FROM agent_runs WHERE status IN ('running', 'pending')");
}

static void
none(const char *sql)
{
	ck_assert_str_eq(servers_sql_super("%s", sql), "0");
}

/* Every run completed; logs without gaps, as long as the row says; no step completed twice. */
static void
check_logs(void)
{
	none("SELECT count(*) FROM agent_runs WHERE status <> 'completed'");
	none("SELECT count(*) FROM (SELECT r.run_id FROM agent_runs AS r LEFT JOIN run_events AS e"
	     " ON e.run_id = r.run_id GROUP BY r.run_id, r.next_seq HAVING count(e.seq) <>"
	     " r.next_seq OR min(e.seq) <> 0 OR max(e.seq) <> r.next_seq - 1) AS bad");
	none("SELECT count(*) FROM (SELECT FROM run_events WHERE type = 'StepCompleted'"
	     " GROUP BY run_id, step_id HAVING count(*) > 1) AS twice");
	none("SELECT count(*) FROM (SELECT FROM run_events WHERE type IN ('RunStarted', 'RunEnded')"
	     " GROUP BY run_id, type HAVING count(*) > 1) AS twice");
	/* A call of a step without a run, or more calls than attempts that were recorded. */
	none("SELECT count(*) FROM agent_runs AS r WHERE (SELECT count(*) FROM run_events AS e"
	     " WHERE e.run_id = r.run_id AND e.type = 'StepCompleted') <>"
	     " json_array_length((SELECT data -> 'input' -> 'plan' FROM run_events AS e"
	     " WHERE e.run_id = r.run_id AND e.seq = 0))");
}

/* Lines of the trace: calls of steps. *ret_keys: of how many different steps. */
static int
calls(int *ret_keys)
{
	char command[400];
	int n = 0, keys = 0;
	FILE *p;

	snprintf(command, sizeof command,
	    "cat %s 2>/dev/null | wc -l; cut -d' ' -f1 %s 2>/dev/null | sort -u | wc -l", trace,
	    trace);
	p = popen(command, "r");
	ck_assert_ptr_nonnull(p);
	ck_assert_int_eq(fscanf(p, "%d %d", &n, &keys), 2);
	pclose(p);
	*ret_keys = keys;
	return n;
}

static void
until_called(int n)
{
	int64_t late = base_mono_us() + 60 * INT64_C(1000000);
	int keys;

	while (calls(&keys) < n) {
		ck_assert_msg(base_mono_us() < late, "steps were not called");
		nap(20);
	}
}

static void
setup(void)
{
	unsigned i;

	for (i = 0; i < CLUSTER_HOSTS; i++)
		if (cluster_pid(i) == 0)
			cluster_again(i, NULL, NULL, NULL);
	cluster_until_shared();
	servers_sql_super("TRUNCATE agent_runs, run_events CASCADE");
	remove(trace);
}

START_TEST(runs_begun_through_haproxy_finish_wherever_they_execute)
{
	int n, keys;

	begin(60,
	    "[{\"name\": \"a\"}, {\"name\": \"l\", \"class\": \"local\"}, "
	    "{\"name\": \"e\", \"class\": \"effect\"}]");
	until_over();
	check_logs();
	n = calls(&keys);
	ck_assert_int_eq(n, 180);
	ck_assert_int_eq(keys, 180);
	ck_assert_str_ne(servers_sql_super("SELECT count(DISTINCT owner) FROM run_shards"
					   " JOIN agent_runs USING (shard)"),
	    "1");
}
END_TEST

START_TEST(every_host_has_its_share_and_knows_the_others)
{
	unsigned i;
	double sum = 0;

	for (i = 0; i < CLUSTER_HOSTS; i++) {
		ck_assert(cluster_metric(i, "run_hosts_known") == CLUSTER_HOSTS);
		ck_assert(cluster_metric(i, "run_shards_owned") >= 80);
		sum += cluster_metric(i, "run_shards_owned");
	}
	ck_assert(sum == 256);
}
END_TEST

START_TEST(an_orderly_stop_hands_everything_over_at_once)
{
	int64_t begun;
	char *log;

	begin(100, "[{\"name\": \"a\", \"ms\": 300}, {\"name\": \"b\", \"ms\": 300}]");
	cluster_kill(2, SIGTERM);
	begun = base_mono_us();
	/* Not by waiting for a lease to run out: nothing is left that belongs to it. */
	none("SELECT count(*) FROM run_shards WHERE owner = 'c'");
	none("SELECT count(*) FROM run_hosts WHERE host_id = 'c'");
	cluster_until_shared();
	ck_assert_int_lt(base_mono_us() - begun, 20 * 1000000);
	until_over();
	check_logs();
	log = cluster_log(2);
	ck_assert_ptr_nonnull(strstr(log, "runs.given_back"));
	free(log);
}
END_TEST

START_TEST(a_host_that_joins_gets_shards_and_no_step_is_done_twice_for_it)
{
	int n, keys;

	cluster_kill(1, SIGTERM);
	cluster_until_shared();
	begin(60,
	    "[{\"name\": \"a\", \"ms\": 100}, {\"name\": \"b\", \"ms\": 100}, "
	    "{\"name\": \"c\", \"ms\": 100}, {\"name\": \"d\", \"ms\": 100}, "
	    "{\"name\": \"e\", \"ms\": 100}, {\"name\": \"f\", \"ms\": 100}]");
	cluster_again(1, NULL, NULL, NULL);
	until_over();
	cluster_until_shared();
	check_logs();
	n = calls(&keys);
	ck_assert_int_eq(keys, 360);
	/* Steps under way end before their shard goes. */
	ck_assert_int_eq(n, 360);
}
END_TEST

/* R1: from the kill to the first new event of each run that the dead host had. */
START_TEST(after_kill_9_runs_go_on_elsewhere_within_the_limits_of_R1)
{
	int n = longer ? 10000 : 500, keys, own = 0;
	char plan[160], when[64], figures[160];
	double p50 = 0, p99 = 0, max = 0;

	snprintf(plan, sizeof plan,
	    "[{\"name\": \"a\"}, {\"name\": \"open\", \"ms\": %d, \"timeout_ms\": 600000}]",
	    longer ? 150000 : 20000);
	begin(n, plan);
	cluster_until(
	    "0", "SELECT count(*) FROM agent_runs WHERE status <> 'running' OR next_seq < 2");
	servers_sql_super("DROP TABLE IF EXISTS struck; CREATE TABLE struck AS SELECT r.run_id,"
			  " r.next_seq FROM agent_runs AS r JOIN run_shards AS s USING (shard)"
			  " WHERE s.owner = 'b' AND r.status = 'running'");
	cluster_kill(1, SIGKILL);
	snprintf(when, sizeof when, "%s", servers_sql_super("SELECT clock_timestamp()"));
	cluster_until("0",
	    "SELECT count(*) FROM struck AS s JOIN agent_runs AS r USING (run_id)"
	    " WHERE r.next_seq = s.next_seq");
	snprintf(figures, sizeof figures, "%s",
	    servers_sql_super(
		"SELECT count(*) || ' ' || percentile_disc(0.5) WITHIN GROUP (ORDER BY ms) || ' '"
		" || percentile_disc(0.99) WITHIN GROUP (ORDER BY ms) || ' ' || max(ms)"
		" FROM (SELECT (extract(epoch FROM e.ts - '%s'::timestamptz) * 1000)::float8 AS ms"
		" FROM struck AS s JOIN run_events AS e ON e.run_id = s.run_id"
		" AND e.seq = s.next_seq) AS x",
		when));
	ck_assert_int_eq(sscanf(figures, "%d %lf %lf %lf", &own, &p50, &p99, &max), 4);
	ck_assert_int_gt(own, n / 6);
	printf("R1: kill -9 of one of three hosts, %d runs with an open step, %d of them its own: "
	       "first new event p50 %.0f ms, p99 %.0f ms, max %.0f ms (goal: 5000, 8000)\n",
	    n, own, p50, p99, max);
	cluster_again(1, NULL, NULL, NULL);
	until_over();
	check_logs();
	n = calls(&keys);
	ck_assert_int_eq(keys, (longer ? 10000 : 500) * 2);
	printf("R1: %d steps, %d calls: those that were open when the host died, and those that "
	       "were cut when it came back\n",
	    keys, n);
	ck_assert_double_le(max, 30000); /* the figures themselves are the bench's */
}
END_TEST

START_TEST(runs_of_one_thread_begun_at_several_hosts_run_one_at_a_time)
{
	char body[300], thread[40];
	const struct reply *r;
	struct client *c;
	int i;

	snprintf(thread, sizeof thread, "%s",
	    servers_sql_super("INSERT INTO threads (tenant_id, thread_id) SELECT tenant_id, "
			      "gen_random_uuid() FROM tenants LIMIT 1 RETURNING thread_id"));
	snprintf(body, sizeof body,
	    "{\"workflow\": \"stepper\", \"thread_id\": \"%s\", \"input\": {\"plan\": "
	    "[{\"name\": \"a\", \"ms\": 60}, {\"name\": \"b\", \"class\": \"effect\"}]}}",
	    thread);
	for (i = 0; i < 30; i++) {
		c = cluster_client(i % CLUSTER_HOSTS);
		r = client_post(c, "/v1/runs", body);
		ck_assert_msg(r->status == 202, "%d %s", r->status, r->body);
		client_free(c);
		if (i == 10) /* its shard may go to another while runs of it wait */
			cluster_kill(1, SIGTERM);
		if (i == 10)
			cluster_again(1, NULL, NULL, NULL);
	}
	until_over();
	check_logs();
	ck_assert_str_eq(
	    servers_sql_super(
		"WITH s AS (SELECT e.run_id, min(e.ts) AS a, max(e.ts) AS b FROM run_events AS e"
		" JOIN agent_runs AS r USING (run_id) WHERE r.thread_id = '%s' GROUP BY 1)"
		" SELECT count(*) || ' ' || (SELECT count(*) FROM s AS x JOIN s AS y"
		" ON x.run_id < y.run_id WHERE x.a < y.b AND y.a < x.b) FROM s",
		thread),
	    "30 0");
}
END_TEST

START_TEST(a_host_that_slept_beyond_its_lease_loses_the_fence)
{
	int keys;
	char *log;

	begin(90, "[{\"name\": \"a\", \"ms\": 1500}, {\"name\": \"b\", \"ms\": 100}]");
	until_called(90);
	cluster_signal(0, SIGSTOP);
	cluster_until("0", "SELECT count(*) FROM run_shards WHERE owner = 'a'");
	cluster_signal(0, SIGCONT);
	until_over();
	check_logs();
	cluster_until_shared();
	calls(&keys);
	ck_assert_int_eq(keys, 180);
	ck_assert(cluster_metric(0, "run_fences_lost_total") >= 80);
	ck_assert(
	    cluster_metric(1, "run_takeovers_total") + cluster_metric(2, "run_takeovers_total") >=
	    80);
	log = cluster_log(0);
	ck_assert_ptr_nonnull(strstr(log, "runs.lost"));
	free(log);
}
END_TEST

START_TEST(two_engines_on_one_shard_record_nothing_twice)
{
	begin(60,
	    "[{\"name\": \"a\", \"ms\": 200}, {\"name\": \"b\", \"ms\": 200}, "
	    "{\"name\": \"c\", \"ms\": 200}]");
	/* The others take what a has, while a, whose lease lasts, goes on until its next round. */
	servers_sql_super(
	    "BEGIN; DELETE FROM run_hosts WHERE host_id = 'a';"
	    " UPDATE run_shards SET expires_at = '-infinity' WHERE owner = 'a'; COMMIT");
	until_over();
	check_logs();
	cluster_until_shared();
}
END_TEST

START_TEST(of_two_processes_with_one_name_the_older_steps_back)
{
	int64_t late = base_mono_us() + 60 * INT64_C(1000000);
	char *log = NULL;

	begin(60, "[{\"name\": \"a\", \"ms\": 300}, {\"name\": \"b\", \"ms\": 300}]");
	cluster_again(3, "a", NULL, NULL);
	do {
		free(log);
		nap(20);
		log = cluster_log(0);
		ck_assert_msg(base_mono_us() < late, "nobody noticed");
	} while (strstr(log, "runs.same_host_id") == NULL);
	free(log);
	until_over();
	check_logs();
	while (cluster_metric(0, "run_shards_owned") != 0) {
		ck_assert_msg(base_mono_us() < late, "the older one keeps its shards");
		nap(20);
	}
	/* The younger one goes: the older one is the only one of its name again. */
	cluster_kill(3, SIGTERM);
	cluster_until_shared();
	ck_assert(cluster_metric(0, "run_shards_owned") >= 80);
}
END_TEST

/* AddressSanitizer's library must be the first that is loaded, and so must libfaketime's. */
#ifndef __SANITIZE_ADDRESS__
START_TEST(a_host_whose_clock_is_an_hour_ahead_changes_nothing)
{
	static const char *const ahead[] = {
		"LD_PRELOAD=/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
		"FAKETIME=+3600s", "DONT_FAKE_MONOTONIC=1", NULL
	};

	begin(30, "[{\"name\": \"a\", \"ms\": 1000}, {\"name\": \"b\"}]");
	/* Of all clocks but the monotonic one, which no one can set. */
	cluster_kill(2, SIGKILL);
	cluster_again(2, NULL, NULL, ahead);
	begin(30, "[{\"name\": \"a\", \"ms\": 100}, {\"name\": \"b\"}]");
	until_over();
	cluster_until_shared();
	check_logs();
	cluster_kill(2, SIGTERM);
}
END_TEST
#endif

START_TEST(postgresql_that_crashes_amid_commits_loses_nothing_that_was_acknowledged)
{
	pid_t pid;
	int keys;

	begin(150,
	    "[{\"name\": \"a\", \"ms\": 20}, {\"name\": \"b\", \"ms\": 400}, "
	    "{\"name\": \"c\", \"ms\": 20}, {\"name\": \"d\", \"ms\": 20}]");
	pid = servers_pid(servers_dir(), "postgres");
	ck_assert_int_gt(pid, 0);
	ck_assert_int_eq(kill(pid, SIGQUIT), 0); /* at once; its supervisor starts it again */
	while (kill(pid, 0) == 0)
		nap(10);
	servers_until_up();
	until_over();
	check_logs();
	calls(&keys);
	ck_assert_int_eq(keys, 600);
}
END_TEST

START_TEST(while_nats_is_away_runs_go_on_and_no_event_is_lost)
{
	int64_t until = base_mono_us() + (longer ? 60 : 3) * INT64_C(1000000);
	int keys, n = 0;

	cluster_nats_kill();
	do {
		begin(20, "[{\"name\": \"a\", \"ms\": 50}, {\"name\": \"b\"}]");
		n += 20;
		cluster_until(
		    "0", "SELECT count(*) FROM agent_runs WHERE status IN ('running', 'pending')");
	} while (base_mono_us() < until);
	ck_assert_str_ne(servers_sql_super("SELECT count(*) FROM outbox"), "0");
	cluster_nats_again();
	check_logs();
	calls(&keys);
	ck_assert_int_eq(keys, 2 * n);
	cluster_until("0", "SELECT count(*) FROM outbox");
}
END_TEST

START_TEST(a_gateway_executes_nothing_and_hears_of_what_it_began)
{
	struct client *c;
	const struct reply *r;
	int i;

	cluster_again(3, NULL, "gateway", NULL);
	c = cluster_client(3);
	for (i = 0; i < 10; i++) {
		r = client_post(c, "/v1/runs?wait=true",
		    "{\"workflow\": \"stepper\", \"input\": {\"plan\": [{\"name\": \"a\"}]}}");
		ck_assert_msg(r->status == 200, "%d %s", r->status, r->body);
		ck_assert_str_eq(
		    json_string_value(json_object_get(r->json, "status")), "completed");
	}
	client_free(c);
	check_logs();
	none("SELECT count(*) FROM run_hosts WHERE host_id = 'd'");
	none("SELECT count(*) FROM run_shards WHERE owner = 'd'");
	cluster_kill(3, SIGTERM);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("cluster");
	TCase *t = tcase_create("cluster");
	char plugins[1024], top[64];
	SRunner *r;
	int failed;

	longer = getenv("INSULA_LONG") != NULL;
	snprintf(top, sizeof top, "%s", servers_temp_dir());
	snprintf(trace, sizeof trace, "%s/trace", top);
	snprintf(plugins, sizeof plugins,
	    "  auth: {}\n  runs: {config: {live: 16384, steps_running: 4000}}\n"
	    "  stepper: {config: {trace: \"%s\"}}\n",
	    trace);
	cluster_start(plugins, 1);
	tcase_set_timeout(t, longer ? 1800 : 180);
	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, every_host_has_its_share_and_knows_the_others);
	tcase_add_test(t, runs_begun_through_haproxy_finish_wherever_they_execute);
	tcase_add_test(t, a_gateway_executes_nothing_and_hears_of_what_it_began);
	tcase_add_test(t, an_orderly_stop_hands_everything_over_at_once);
	tcase_add_test(t, a_host_that_joins_gets_shards_and_no_step_is_done_twice_for_it);
	tcase_add_test(t, after_kill_9_runs_go_on_elsewhere_within_the_limits_of_R1);
	tcase_add_test(t, runs_of_one_thread_begun_at_several_hosts_run_one_at_a_time);
	tcase_add_test(t, a_host_that_slept_beyond_its_lease_loses_the_fence);
	tcase_add_test(t, two_engines_on_one_shard_record_nothing_twice);
	tcase_add_test(t, of_two_processes_with_one_name_the_older_steps_back);
#ifndef __SANITIZE_ADDRESS__
	tcase_add_test(t, a_host_whose_clock_is_an_hour_ahead_changes_nothing);
#endif
	tcase_add_test(t, postgresql_that_crashes_amid_commits_loses_nothing_that_was_acknowledged);
	tcase_add_test(t, while_nats_is_away_runs_go_on_and_no_event_is_lost);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_set_fork_status(r, CK_NOFORK); /* the hosts are this process' children */
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	cluster_stop();
	servers_remove(top);
	return failed != 0;
}
