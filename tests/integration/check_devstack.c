/* check_devstack.c: claims about the private servers of `insula dev`: how they come, go, and come
 * back after kill -9. */
#include "data/devstack.h"

#include <dirent.h>
#include <libpq-fe.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "tests/lib/servers.h"

#include <check.h> /* last: it defines fail() */

static char dir[64]; /* one cluster for all tests: initdb is slow */
static const char *const names[] = { "postgres", "nats-server", "redis-server" };

static struct devstack *
start(void)
{
	struct devstack_conf c = { dir, 1, 1, 1 };
	char err[512] = "";
	struct devstack *d = devstack_start(&c, err);

	ck_assert_msg(d != NULL, "%s", err);
	return d;
}

/* Zombies count as gone: in a container nobody may reap orphans. */
static int
alive(pid_t pid)
{
	char path[64], buf[512], *p;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (f == NULL)
		return 0;
	p = fgets(buf, sizeof buf, f) == NULL ? NULL : strrchr(buf, ')');
	fclose(f);
	return p != NULL && p[2] != 'Z' && p[2] != 'X';
}

static char *
sql(const struct devstack *d, const char *text)
{
	PGconn *pg = PQconnectdb(devstack_pg_url(d));
	PGresult *res = PQexec(pg, text);
	char *v;

	ck_assert_msg(
	    PQresultStatus(res) == PGRES_TUPLES_OK || PQresultStatus(res) == PGRES_COMMAND_OK, "%s",
	    PQerrorMessage(pg));
	v = base_strdup(PQntuples(res) > 0 ? PQgetvalue(res, 0, 0) : "");
	PQclear(res);
	PQfinish(pg);
	return v;
}

/* The folder of PostgreSQL's socket is below the socket directory. */
static void
socket_dir(const struct devstack *d, char out[128])
{
	snprintf(out, 128, "%s", strstr(devstack_pg_url(d), "host=") + 5);
	*strrchr(out, '/') = '\0';
}

START_TEST(a_clean_stop_leaves_no_process_and_no_socket)
{
	struct devstack *d = start();
	pid_t pids[NELEM(names)];
	char socks[128], *v;
	size_t i;

	for (i = 0; i < NELEM(names); i++) {
		pids[i] = servers_pid(dir, names[i]);
		ck_assert_int_gt(pids[i], 0);
		ck_assert(alive(pids[i]));
	}
	socket_dir(d, socks);
	ck_assert_int_eq(access(socks, F_OK), 0);
	v = sql(d,
	    "SELECT current_user || ' ' || current_setting('fsync') || ' ' || "
	    "current_setting('listen_addresses') || ' ' || "
	    "(SELECT rolsuper FROM pg_roles WHERE rolname = current_user)");
	ck_assert_str_eq(v, "insula on  false");
	free(v);
	devstack_stop(d);
	for (i = 0; i < NELEM(names); i++)
		ck_assert(!alive(pids[i]));
	ck_assert_int_ne(access(socks, F_OK), 0);
}
END_TEST

START_TEST(nobody_else_can_reach_the_sockets)
{
	struct devstack *d = start();
	char path[160];
	struct stat st;
	size_t i;
	static const char *const folders[] = { "pg", "redis" };

	for (i = 0; i < NELEM(folders); i++) {
		socket_dir(d, path);
		snprintf(path + strlen(path), 32, "/%s", folders[i]);
		ck_assert_int_eq(stat(path, &st), 0);
		ck_assert_int_eq(st.st_mode & 077, 0);
	}
	ck_assert_ptr_nonnull(strchr(devstack_nats_url(d), '@')); /* a token */
	ck_assert_uint_lt(strlen(path) + strlen("/.s.PGSQL.5432"), 107);
	devstack_stop(d);
}
END_TEST

START_TEST(data_outlives_a_restart)
{
	struct devstack *d = start();
	char *v;

	free(sql(d, "DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT 42 AS n"));
	devstack_stop(d);
	d = start();
	v = sql(d, "SELECT n FROM kept");
	ck_assert_str_eq(v, "42");
	free(v);
	devstack_stop(d);
}
END_TEST

START_TEST(a_second_start_on_the_same_directory_is_refused)
{
	struct devstack_conf c = { dir, 1, 1, 1 };
	struct devstack *d = start();
	char err[512] = "", pid[16];

	snprintf(pid, sizeof pid, "process %d", (int)getpid());
	ck_assert_ptr_null(devstack_start(&c, err));
	ck_assert_ptr_nonnull(strstr(err, "in use"));
	ck_assert_ptr_nonnull(strstr(err, pid));
	/* The first is as it was. */
	free(sql(d, "SELECT 1"));
	devstack_stop(d);
}
END_TEST

/* A host that is killed the hard way: it starts the servers, commits a row, says so and waits. */
static pid_t
host(int number, int *supervisor)
{
	char text[128], c;
	int said[2];
	pid_t pid;

	ck_assert_int_eq(pipe(said), 0);
	pid = fork();
	if (pid == 0) {
		struct devstack *d = start();

		snprintf(text, sizeof text,
		    "DROP TABLE IF EXISTS survives; CREATE TABLE survives AS SELECT %d AS n",
		    number);
		free(sql(d, text));
		ck_assert_int_eq(write(said[1], "x", 1), 1);
		for (;;)
			pause();
	}
	close(said[1]);
	ck_assert_int_eq(read(said[0], &c, 1), 1);
	close(said[0]);
	if (supervisor != NULL) {
		/* The parent of a server. */
		FILE *f;

		snprintf(text, sizeof text, "/proc/%d/stat", (int)servers_pid(dir, "redis-server"));
		f = fopen(text, "re");
		ck_assert_ptr_nonnull(f);
		ck_assert_int_eq(fscanf(f, "%*d (%*[^)]) %*c %d", supervisor), 1);
		fclose(f);
	}
	return pid;
}

static void
row_is(int number)
{
	struct devstack *d = start();
	char *v = sql(d, "SELECT n FROM survives");

	ck_assert_int_eq(atoi(v), number);
	free(v);
	devstack_stop(d);
}

START_TEST(the_servers_go_with_a_host_that_is_killed)
{
	pid_t pids[NELEM(names)], pid = host(1, NULL);
	size_t i;

	for (i = 0; i < NELEM(names); i++)
		pids[i] = servers_pid(dir, names[i]);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	for (i = 0; i < NELEM(names); i++)
		while (alive(pids[i]))
			;
	row_is(1);
}
END_TEST

START_TEST(the_servers_go_with_a_supervisor_that_is_killed)
{
	pid_t pids[NELEM(names)], pid;
	int supervisor;
	size_t i;

	pid = host(2, &supervisor);
	for (i = 0; i < NELEM(names); i++)
		pids[i] = servers_pid(dir, names[i]);
	kill(supervisor, SIGKILL);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	for (i = 0; i < NELEM(names); i++)
		while (alive(pids[i]))
			;
	row_is(2);
}
END_TEST

START_TEST(after_kill_9_of_everything_at_once_the_next_start_recovers)
{
	pid_t pids[NELEM(names)], pid;
	int supervisor;
	size_t i;

	pid = host(3, &supervisor);
	for (i = 0; i < NELEM(names); i++)
		pids[i] = servers_pid(dir, names[i]);
	kill(supervisor, SIGSTOP); /* no chance to start one again */
	for (i = 0; i < NELEM(names); i++)
		kill(pids[i], SIGKILL);
	kill(supervisor, SIGKILL);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	row_is(3);
}
END_TEST

START_TEST(leftovers_that_still_run_are_stopped_before_the_start)
{
	pid_t pids[NELEM(names)], pid;
	int supervisor;
	size_t i;

	/* A stopped process hears its death signal only when it goes on. */
	pid = host(4, &supervisor);
	for (i = 0; i < NELEM(names); i++)
		pids[i] = servers_pid(dir, names[i]);
	kill(pids[1], SIGSTOP);
	kill(supervisor, SIGKILL);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	while (alive(pids[2]))
		;
	kill(pids[1], SIGCONT);
	row_is(4);
	for (i = 0; i < NELEM(names); i++)
		ck_assert(!alive(pids[i]));
}
END_TEST

START_TEST(a_server_that_dies_is_started_again)
{
	struct devstack *d = start();
	pid_t pid = servers_pid(dir, "redis-server");

	kill(pid, SIGKILL);
	while (servers_pid(dir, "redis-server") == pid || servers_pid(dir, "redis-server") == 0)
		;
	devstack_stop(d);
}
END_TEST

START_TEST(a_directory_that_cannot_be_used_is_refused_with_a_reason)
{
	static const char *const bad[] = { "relative/path", "/proc/insula", "/tmp/with\"quote" };
	struct devstack_conf c = { NULL, 1, 1, 1 };
	char err[512];
	size_t i;

	for (i = 0; i < NELEM(bad); i++) {
		c.dir = bad[i];
		err[0] = '\0';
		ck_assert_ptr_null(devstack_start(&c, err));
		ck_assert_ptr_nonnull(strstr(err, bad[i]));
	}
}
END_TEST

START_TEST(only_what_is_wanted_is_started)
{
	struct devstack_conf c = { dir, 0, 0, 1 };
	char err[512] = "";
	struct devstack *d = devstack_start(&c, err);

	ck_assert_msg(d != NULL, "%s", err);
	ck_assert_ptr_null(devstack_pg_url(d));
	ck_assert_ptr_null(devstack_nats_url(d));
	ck_assert_ptr_nonnull(devstack_redis_url(d));
	ck_assert_int_eq(servers_pid(dir, "postgres"), 0);
	devstack_stop(d);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("devstack");
	TCase *t = tcase_create("devstack");
	SRunner *r;
	int failed;

	snprintf(dir, sizeof dir, "%s", servers_temp_dir());
	tcase_set_timeout(t, 120);
	tcase_add_test(t, a_clean_stop_leaves_no_process_and_no_socket);
	tcase_add_test(t, nobody_else_can_reach_the_sockets);
	tcase_add_test(t, data_outlives_a_restart);
	tcase_add_test(t, a_second_start_on_the_same_directory_is_refused);
	tcase_add_test(t, the_servers_go_with_a_host_that_is_killed);
	tcase_add_test(t, the_servers_go_with_a_supervisor_that_is_killed);
	tcase_add_test(t, after_kill_9_of_everything_at_once_the_next_start_recovers);
	tcase_add_test(t, leftovers_that_still_run_are_stopped_before_the_start);
	tcase_add_test(t, a_server_that_dies_is_started_again);
	tcase_add_test(t, a_directory_that_cannot_be_used_is_refused_with_a_reason);
	tcase_add_test(t, only_what_is_wanted_is_started);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	servers_remove(dir);
	return failed != 0;
}
