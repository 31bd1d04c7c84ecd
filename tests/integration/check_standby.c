/* check_standby.c: claims about reads from a streaming standby: a real one, made by pg_basebackup.
 */
#include <fcntl.h>
#include <libpq-fe.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "tests/lib/client.h"
#include "tests/lib/host.h"
#include "tests/lib/servers.h"

#include <check.h> /* last: its macro `fail` is a name of ours */

#define WAIT_S 60

static char dir[64], data[128], url[160], plugins[1024], *key;
static struct client *c;
static pid_t standby;

static void
nap(void)
{
	struct timespec t = { 0, 10 * 1000 * 1000 };

	nanosleep(&t, NULL); /* another process' state: there is no event to wait for */
}

/* As the user that the primary runs as. */
static pid_t
spawn_as(const struct stat *who, const char *const args[])
{
	pid_t pid = fork();
	char log[160];
	int fd;

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getuid() == 0 && (setgid(who->st_gid) != 0 || setuid(who->st_uid) != 0))
		_exit(127);
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* changing the user cleared it */
	snprintf(log, sizeof log, "%s/log", dir);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	dup2(fd, 1);
	dup2(fd, 2);
	execv(args[0], (char *const *)(uintptr_t)args);
	_exit(127);
}

static void
primary_stat(struct stat *ret)
{
	char path[128];

	snprintf(path, sizeof path, "%s/pg", servers_dir());
	ASSERT(stat(path, ret) == 0);
}

static void
standby_run(void)
{
	char sockets[160];
	struct stat who;

	snprintf(sockets, sizeof sockets, "unix_socket_directories=%s", dir);
	primary_stat(&who);
	standby = spawn_as(&who,
	    (const char *[]){ "/usr/lib/postgresql/15/bin/postgres", "-D", data, "-c",
		"listen_addresses=", "-c", sockets, "-c", "max_connections=200", "-c",
		"shared_buffers=32MB", "-c", "hot_standby=on", NULL });
	while (PQping(url) != PQPING_OK) {
		ck_assert_int_eq(waitpid(standby, NULL, WNOHANG), 0);
		nap();
	}
}

static void
standby_make(void)
{
	struct stat who;
	int status;
	pid_t pid;

	if (access("/usr/lib/postgresql/15/bin/pg_basebackup", X_OK) != 0)
		exit(77);
	primary_stat(&who);
	ASSERT(getuid() != 0 || chown(dir, who.st_uid, who.st_gid) == 0);
	snprintf(data, sizeof data, "%s/data", dir);
	snprintf(url, sizeof url, "postgresql://insula@/insula?host=%s", dir);
	pid = spawn_as(&who,
	    (const char *[]){ "/usr/lib/postgresql/15/bin/pg_basebackup", "-D", data, "-R", "-X",
		"stream", "-c", "fast", "-U", "postgres", "-d", servers_pg_url(), NULL });
	ASSERT(waitpid(pid, &status, 0) == pid && status == 0);
}

static void
standby_end(int sig)
{
	if (standby > 0) {
		kill(standby, SIGCONT);
		kill(standby, sig);
		waitpid(standby, NULL, 0);
	}
	standby = 0;
}

static double
reads(const char *server)
{
	struct client *m = client_new(host_url(), NULL);
	const struct reply *r = client_get(m, "/metrics");
	char want[80];
	const char *at;
	double n;

	ck_assert_int_eq(r->status, 200);
	snprintf(want, sizeof want, "database_stale_reads_total{server=\"%s\"} ", server);
	at = strstr(r->body, want);
	n = at == NULL ? 0 : strtod(at + strlen(want), NULL);
	client_free(m);
	return n;
}

/* A run that is over; its id (static). */
static const char *
finish_one(void)
{
	static char id[40];
	const struct reply *r = client_post(c, "/v1/runs?wait=true",
	    "{\"workflow\": \"stepper\", \"input\": {\"plan\": [{\"name\": \"a\"}]}}");

	ck_assert_msg(r->status == 200, "%d %s", r->status, r->body);
	snprintf(id, sizeof id, "%s", json_string_value(json_object_get(r->json, "run_id")));
	return id;
}

static size_t
listed(void)
{
	const struct reply *r = client_get(c, "/v1/runs?limit=100");

	ck_assert_msg(r->status == 200, "%d %s", r->status, r->body);
	return json_array_size(json_object_get(r->json, "data"));
}

/* Until the standby answers again. */
static void
until_from_standby(void)
{
	int64_t late = base_mono_us() + WAIT_S * INT64_C(1000000);
	double before;

	do {
		ck_assert_msg(base_mono_us() < late, "the standby is never asked");
		before = reads("standby");
		listed();
		nap();
	} while (reads("standby") == before);
}

static void
until_listed(size_t n)
{
	int64_t late = base_mono_us() + WAIT_S * INT64_C(1000000);

	while (listed() != n) {
		ck_assert_msg(base_mono_us() < late, "%zu are listed", listed());
		nap();
	}
}

static void
setup(void)
{
	host_start(plugins);
	key = host_key("first", "*");
	c = client_new(host_url(), key);
	standby_run();
	until_from_standby();
}

static void
teardown(void)
{
	client_free(c);
	free(key);
	ck_assert_int_eq(host_stop(), 0);
	standby_end(SIGINT);
}

START_TEST(lists_and_runs_that_are_over_come_from_the_standby)
{
	size_t n = listed();
	char path[80];
	double before;
	const struct reply *r;

	snprintf(path, sizeof path, "/v1/runs/%s", finish_one());
	until_listed(n + 1);
	before = reads("standby");
	r = client_get(c, path);
	ck_assert_int_eq(r->status, 200);
	ck_assert_str_eq(json_string_value(json_object_get(r->json, "status")), "completed");
	ck_assert_uint_eq(json_array_size(json_object_get(r->json, "events")), 3);
	ck_assert(reads("standby") == before + 1);
}
END_TEST

/* SQL at the standby as its superuser; the first value (static). */
static const char *
at_standby(const char *sql)
{
	static char value[64];
	PGconn *pg = PQconnectdbParams((const char *[]){ "dbname", "user", NULL },
	    (const char *[]){ url, "postgres", NULL }, 1);
	PGresult *res = PQexec(pg, sql);

	ck_assert_msg(PQresultStatus(res) == PGRES_TUPLES_OK, "%s", PQerrorMessage(pg));
	snprintf(value, sizeof value, "%s", PQgetvalue(res, 0, 0));
	PQclear(res);
	PQfinish(pg);
	return value;
}

START_TEST(what_the_standby_has_not_heard_of_is_asked_of_the_primary)
{
	size_t n = listed();
	char path[80];
	const struct reply *r;

	at_standby("SELECT pg_wal_replay_pause()");
	while (strcmp(at_standby("SELECT pg_get_wal_replay_pause_state()"), "paused") != 0)
		nap();
	snprintf(path, sizeof path, "/v1/runs/%s", finish_one());
	ck_assert_uint_eq(listed(), n); /* a little old */
	r = client_get(c, path);
	ck_assert_int_eq(r->status, 200);
	ck_assert_str_eq(json_string_value(json_object_get(r->json, "status")), "completed");
	at_standby("SELECT pg_wal_replay_resume()");
	until_listed(n + 1);
}
END_TEST

START_TEST(without_the_standby_the_primary_answers_and_it_is_asked_again_when_it_is_back)
{
	double before = reads("primary");
	size_t n = listed();

	standby_end(SIGKILL);
	finish_one();
	ck_assert_uint_eq(listed(), n + 1);
	ck_assert(reads("primary") > before);
	standby_run();
	until_from_standby();
	until_listed(n + 1);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("standby");
	TCase *t = tcase_create("standby");
	SRunner *r;
	int failed;

	servers_start(SERVERS_PG);
	snprintf(dir, sizeof dir, "%s", servers_temp_dir());
	standby_make();
	snprintf(plugins, sizeof plugins,
	    "data: {pg: {url: \"%s\", read_url: \"%s\"}}\n"
	    "plugins: {auth: {}, runs: {}, stepper: {}}\n",
	    servers_pg_url(), url);
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, lists_and_runs_that_are_over_come_from_the_standby);
	tcase_add_test(t, what_the_standby_has_not_heard_of_is_asked_of_the_primary);
	tcase_add_test(
	    t, without_the_standby_the_primary_answers_and_it_is_asked_again_when_it_is_back);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	servers_stop();
	servers_remove(dir);
	return failed != 0;
}
