/* house.c: see house.h. */
#include "tests/lib/house.h"

#include <dirent.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "tenant/tenant.h"

#define START_MS 60000 /* sanitizers on a busy machine */

extern char **environ;

static struct {
	char dir[64], config[128], log[128], url[64];
	char build[PATH_MAX];
	pid_t pid;
	int servers;
	struct upstream *upstream;
	char tenant[HOUSE_TENANTS][64], *key[HOUSE_TENANTS];
} house;

static const char permissions[] = "*";

static void
must(int ok, const char *what)
{
	char *log;

	if (ok)
		return;
	fprintf(stderr, "house: %s\n", what);
	log = house_log();
	if (log != NULL)
		fprintf(stderr, "%s", log);
	free(log);
	house_stop();
	exit(1);
}

char *
house_log(void)
{
	size_t n = 0, cap = 1 << 16;
	char *text = malloc(cap);
	FILE *f = fopen(house.log, "re");

	ASSERT(text != NULL);
	while (f != NULL && !feof(f) && !ferror(f)) {
		n += fread(text + n, 1, cap - n - 1, f);
		if (cap - n < 2) {
			cap *= 2;
			text = realloc(text, cap);
			ASSERT(text != NULL);
		}
	}
	if (f != NULL)
		fclose(f);
	text[n] = '\0';
	return text;
}

/* <build>/tests/X/check_y -> <build> */
static void
find_build(void)
{
	char self[PATH_MAX] = "";

	ASSERT(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
	snprintf(house.build, sizeof house.build, "%s", dirname(dirname(dirname(self))));
}

static void
write_config(const char *plugins, const char *top)
{
	const char *at;
	FILE *f;

	snprintf(house.config, sizeof house.config, "%s/insula.yaml", house.dir);
	f = fopen(house.config, "we");
	ASSERT(f != NULL);
	fprintf(f,
	    "listen: [{address: \"127.0.0.1:0\"}]\nstate_dir: %s/state\nloops: 2\n"
	    "plugin_path: [%s/modules, %s/tests/plugins/.libs]\n",
	    house.dir, house.build, house.build);
	if (house.servers & (SERVERS_PG | SERVERS_NATS))
		fprintf(f, "data:\n");
	if (house.servers & SERVERS_PG)
		fprintf(f, "  pg: {url: \"%s\"}\n", servers_pg_url());
	if (house.servers & SERVERS_NATS)
		fprintf(f, "  nats: {url: \"%s\"}\n", servers_nats_url());
	fprintf(f, "%s\nplugins:\n", top == NULL ? "" : top);
	while ((at = strstr(plugins, "%U")) != NULL) {
		fprintf(
		    f, "%.*s%s", (int)(at - plugins), plugins, upstream_base_url(house.upstream));
		plugins = at + 2;
	}
	fprintf(f, "%s\n", plugins);
	fclose(f);
}

static pid_t
spawn_insula(const char *const args[])
{
	char program[PATH_MAX + 16];
	posix_spawn_file_actions_t actions;
	const char *argv[8] = { program };
	pid_t pid;
	size_t i;
	int r;

	for (i = 0; args[i] != NULL; i++)
		argv[i + 1] = args[i];
	snprintf(program, sizeof program, "%s/host/insula", house.build);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(
	    &actions, 2, house.log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	posix_spawn_file_actions_adddup2(&actions, 2, 1);
	r = posix_spawn(&pid, program, &actions, NULL, (char *const *)(uintptr_t)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	must(r == 0, program);
	return pid;
}

static void
migrate(void)
{
	int status;
	pid_t pid = spawn_insula((const char *[]){ "migrate", "--config", house.config, NULL });

	must(waitpid(pid, &status, 0) == pid && status == 0, "insula migrate failed");
}

static void
make_tenants(void)
{
	static const char *const names[HOUSE_TENANTS] = { "first", "second" };
	char err[256];
	struct tenant_db *db = tenant_db_open(servers_pg_url(), err);
	json_t *j;
	int i;

	must(db != NULL, err);
	for (i = 0; i < HOUSE_TENANTS; i++) {
		j = tenant_create(db, names[i], "pro", err);
		must(j != NULL, err);
		snprintf(house.tenant[i], sizeof house.tenant[i], "%s",
		    json_string_value(json_object_get(j, "tenant_id")));
		json_decref(j);
		house.key[i] = house_key_with(i, permissions);
	}
	tenant_db_close(db);
}

char *
house_key_with(int tenant, const char *granted)
{
	char err[256] = "", *key;
	struct tenant_db *db = tenant_db_open(servers_pg_url(), err);
	json_t *j = db == NULL ? NULL
			       : key_create(db, house.tenant[tenant], "test", granted, 0, err);

	must(j != NULL, err);
	key = strdup(json_string_value(json_object_get(j, "key")));
	ASSERT(key != NULL);
	json_decref(j);
	tenant_db_close(db);
	return key;
}

/* Waits for the line that says the port. */
static int
serve(void)
{
	static const char mark[] = "\"host.serving\"";
	struct timespec pause = { 0, 20 * 1000 * 1000 };
	int64_t late = base_mono_us() + START_MS * INT64_C(1000);
	char *log, *at, *port;
	size_t before; /* what an earlier start wrote */
	int n = 0, status;

	log = house_log();
	before = strlen(log);
	house.pid = spawn_insula(
	    (const char *[]){ "serve", "--no-watch", "--config", house.config, NULL });
	for (at = NULL; at == NULL;) {
		if (waitpid(house.pid, &status, WNOHANG) == house.pid) {
			free(log);
			house.pid = 0;
			return -1;
		}
		must(base_mono_us() < late, "insula serve does not come up");
		nanosleep(&pause, NULL); /* the log is a file: there is no event to wait for */
		free(log);
		log = house_log();
		at = strstr(log + before, mark);
	}
	port = strstr(at, "\"port\":");
	must(port != NULL && sscanf(port, "\"port\":%d", &n) == 1, "no port in the log");
	free(log);
	snprintf(house.url, sizeof house.url, "http://127.0.0.1:%d", n);
	return 0;
}

void
house_start(const char *plugins, const char *top, int servers)
{
	find_build();
	house.servers = servers;
	snprintf(house.dir, sizeof house.dir, "%s", servers_temp_dir());
	snprintf(house.log, sizeof house.log, "%s/log", house.dir);
	if (servers != 0)
		servers_start(servers);
	house.upstream = upstream_start(NULL);
	write_config(plugins, top);
	if (servers & SERVERS_PG) {
		migrate();
		make_tenants();
	}
	must(serve() == 0, "insula serve ended");
}

void
house_kill(int sig)
{
	ASSERT(house.pid > 0 && kill(house.pid, sig) == 0);
	ASSERT(waitpid(house.pid, NULL, 0) == house.pid);
	house.pid = 0;
}

void
house_again(void)
{
	ASSERT(house.pid == 0);
	must(serve() == 0, "insula serve ended");
}

int
house_may_start(void)
{
	ASSERT(house.pid == 0);
	return serve();
}

int
house_ended(void)
{
	if (house.pid > 0 && waitpid(house.pid, NULL, WNOHANG) == house.pid)
		house.pid = 0;
	return house.pid == 0;
}

void
house_stop(void)
{
	int i, status = 0;
	char *log;

	if (house.pid > 0) {
		kill(house.pid, SIGTERM);
		if (waitpid(house.pid, &status, 0) == house.pid && status != 0) {
			/* the log goes with the directory: what a sanitizer found is in there */
			log = house_log();
			fprintf(stderr, "house: the host ended with %d\n%s", status, log);
			free(log);
		}
	}
	house.pid = 0;
	upstream_stop(house.upstream);
	house.upstream = NULL;
	if (house.servers != 0)
		servers_stop();
	for (i = 0; i < HOUSE_TENANTS; i++)
		free(house.key[i]);
	servers_remove(house.dir);
	if (status != 0)
		exit(1);
}

const char *
house_url(void)
{
	return house.url;
}

pid_t
house_pid(void)
{
	return house.pid;
}

const char *
house_key(int tenant)
{
	return house.key[tenant];
}

const char *
house_tenant(int tenant)
{
	return house.tenant[tenant];
}

struct upstream *
house_upstream(void)
{
	return house.upstream;
}

struct client *
house_client(int tenant)
{
	return client_new(house.url, house.key[tenant]);
}

json_t *
house_admin(const char *path)
{
	struct client *c = client_new("http://admin", NULL);
	const struct reply *r;
	char sock[128];
	json_t *j;

	snprintf(sock, sizeof sock, "%s/state/admin.sock", house.dir);
	client_unix(c, sock);
	r = client_get(c, path);
	j = r->status == 200 ? json_incref(r->json) : NULL;
	client_free(c);
	return j;
}

long
house_rss(void)
{
	char path[64];
	long pages = 0;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/statm", (int)house.pid);
	f = fopen(path, "re");
	ASSERT(f != NULL && fscanf(f, "%*s %ld", &pages) == 1);
	fclose(f);
	return pages * sysconf(_SC_PAGESIZE);
}

int
house_descriptors(void)
{
	char path[64];
	int n = 0;
	DIR *d;

	snprintf(path, sizeof path, "/proc/%d/fd", (int)house.pid);
	d = opendir(path);
	ASSERT(d != NULL);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n - 2;
}
