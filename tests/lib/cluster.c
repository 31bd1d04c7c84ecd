/* cluster.c: see cluster.h. */
#include "tests/lib/cluster.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "tenant/tenant.h"

#define START_MS 60000 /* sanitizers on a busy machine */
#define WAIT_MS 60000

static struct {
	char dir[64], build[PATH_MAX], source[PATH_MAX], url[64], nats_url[64];
	int port, nats_port, loops;
	pid_t haproxy, nats;
	char *key, tenant[64];
	struct {
		char url[64], id[8], log[128], config[128];
		int port;
		pid_t pid;
	} host[CLUSTER_MAX];
} cl;

static char *read_file(const char *name);

__attribute__((noreturn)) static void
fatal(const char *what, const char *why)
{
	char name[128], *log;
	unsigned i;

	fprintf(stderr, "cluster: %s: %s\n", what, why);
	for (i = 0; i < CLUSTER_MAX; i++)
		if (*cl.host[i].log != '\0' && (log = cluster_log(i)) != NULL) {
			fprintf(stderr, "-- host %s\n%s", cl.host[i].id, log);
			free(log);
		}
	snprintf(name, sizeof name, "%s/haproxy.log", cl.dir);
	log = read_file(name);
	fprintf(stderr, "-- haproxy\n%s", log);
	free(log);
	cluster_stop();
	exit(1);
}

static void
nap(void)
{
	struct timespec t = { 0, 10 * 1000 * 1000 };

	nanosleep(&t, NULL); /* another process' state: there is no event to wait for */
}

/* A port that nobody has now. Whoever takes it before us makes a start fail, not a test lie. */
static int
free_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ASSERT(fd >= 0 && bind(fd, (struct sockaddr *)&a, n) == 0 &&
	    getsockname(fd, (struct sockaddr *)&a, &n) == 0);
	close(fd);
	return ntohs(a.sin_port);
}

static void
free_url(char url[64], int *port)
{
	*port = free_port();
	snprintf(url, 64, "http://127.0.0.1:%d", *port);
}

/* With these variables besides those that we have. It ends with us, however we end. */
static pid_t
spawn(const char *const args[], const char *log, const char *const vars[])
{
	pid_t pid, parent = getpid();
	int fd;

	pid = fork();
	if (pid != 0) {
		if (pid < 0)
			fatal(args[0], strerror(errno));
		return pid;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	dup2(fd, 1);
	dup2(fd, 2);
	for (; vars != NULL && *vars != NULL; vars++)
		putenv((char *)(uintptr_t)*vars);
	execvp(args[0], (char *const *)(uintptr_t)args);
	perror(args[0]);
	_exit(127);
}

/* <build>/tests/X/check_y -> <build>; `make check` says where the sources are. */
static void
find_trees(void)
{
	const char *src = getenv("INSULA_SRCDIR");
	char self[PATH_MAX] = "";

	ASSERT(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
	snprintf(cl.build, sizeof cl.build, "%s", dirname(dirname(dirname(self))));
	if (src != NULL)
		snprintf(cl.source, sizeof cl.source, "%s", src);
	else
		snprintf(cl.source, sizeof cl.source, "%.4000s/..", cl.build);
}

static void
need(const char *path)
{
	if (access(path, X_OK) == 0)
		return;
	fprintf(stderr, "%s is not installed\n", path);
	exit(77);
}

static void
write_config(unsigned i, const char *plugins)
{
	FILE *f;

	snprintf(cl.host[i].config, sizeof cl.host[i].config, "%s/%s.yaml", cl.dir, cl.host[i].id);
	f = fopen(cl.host[i].config, "we");
	ASSERT(f != NULL);
	fprintf(f,
	    "listen: [{address: \"127.0.0.1:%d\"}]\nstate_dir: %s/%s\nloops: %d\n"
	    "access_log: false\nlimits: {drain: 5s}\n"
	    "plugin_path: [%s/modules, %s/tests/plugins/.libs]\n"
	    "data:\n  pg: {url: \"%s\"}\n  nats: {url: \"%s\"}\n  redis: {url: \"%s\"}\n"
	    "plugins:\n%s\n",
	    cl.host[i].port, cl.dir, cl.host[i].id, cl.loops, cl.build, cl.build, servers_pg_url(),
	    cl.nats_url, servers_redis_url(), plugins);
	fclose(f);
}

static char *
read_file(const char *name)
{
	size_t n = 0, cap = 1 << 16;
	char *text = malloc(cap);
	FILE *f = fopen(name, "re");

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

char *
cluster_log(unsigned i)
{
	return read_file(cl.host[i].log);
}

static void
until_answers(const char *url, const char *path, pid_t pid, const char *what)
{
	int64_t late = base_mono_us() + START_MS * INT64_C(1000);
	struct client *c = client_new(url, NULL);
	int status;

	while (client_get(c, path)->status != 200) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			fatal(what, "it ended");
		if (base_mono_us() > late)
			fatal(what, "it does not come up");
		nap();
	}
	client_free(c);
}

static void
begin_host(unsigned i, const char *id, const char *profile, const char *const env[])
{
	char program[PATH_MAX + 16], name[64], file[PATH_MAX + 64];
	const char *vars[8] = { name };
	unsigned n;

	ASSERT(cl.host[i].pid == 0);
	snprintf(program, sizeof program, "%s/host/insula", cl.build);
	snprintf(name, sizeof name, "INSULA_HOST_ID=%s", id == NULL ? cl.host[i].id : id);
	for (n = 0; env != NULL && env[n] != NULL; n++)
		vars[n + 1] = env[n];
	snprintf(file, sizeof file, "%s/etc/profiles/%s.yaml", cl.source,
	    profile == NULL ? "all" : profile);
	cl.host[i].pid = spawn((const char *[]){ program, "serve", "--no-watch", "--profile", file,
				   "--config", cl.host[i].config, NULL },
	    cl.host[i].log, vars);
}

void
cluster_again(unsigned i, const char *id, const char *profile, const char *const env[])
{
	begin_host(i, id, profile, env);
	until_answers(cl.host[i].url, "/readyz", cl.host[i].pid, cl.host[i].id);
}

static void
migrate(void)
{
	char program[PATH_MAX + 16];
	int status;
	pid_t pid;

	snprintf(program, sizeof program, "%s/host/insula", cl.build);
	pid = spawn((const char *[]){ program, "migrate", "--config", cl.host[0].config, NULL },
	    cl.host[0].log, NULL);
	if (waitpid(pid, &status, 0) != pid || status != 0)
		fatal("insula migrate", "it failed");
}

static void
make_tenant(void)
{
	char err[256];
	struct tenant_db *db = tenant_db_open(servers_pg_url(), err);
	json_t *j;

	if (db == NULL || (j = tenant_create(db, "first", "pro", err)) == NULL)
		fatal("tenant", err);
	snprintf(
	    cl.tenant, sizeof cl.tenant, "%s", json_string_value(json_object_get(j, "tenant_id")));
	json_decref(j);
	if ((j = key_create(db, cl.tenant, "test", "*", 0, err)) == NULL)
		fatal("key", err);
	cl.key = strdup(json_string_value(json_object_get(j, "key")));
	json_decref(j);
	tenant_db_close(db);
}

void
cluster_nats_again(void)
{
	char port[16], store[96], log[96];

	ASSERT(cl.nats == 0);
	snprintf(port, sizeof port, "%d", cl.nats_port);
	snprintf(store, sizeof store, "%s/nats", cl.dir);
	snprintf(log, sizeof log, "%s/nats.log", cl.dir);
	cl.nats = spawn((const char *[]){ "/usr/sbin/nats-server", "-a", "127.0.0.1", "-p", port,
			    "-js", "-sd", store, NULL },
	    log, NULL);
}

static void
end_process(pid_t *pid, int sig)
{
	if (*pid <= 0)
		return;
	kill(*pid, SIGCONT);
	kill(*pid, sig);
	waitpid(*pid, NULL, 0);
	*pid = 0;
}

void
cluster_nats_kill(void)
{
	end_process(&cl.nats, SIGKILL);
}

static void
begin_haproxy(void)
{
	static const char *const names[] = { "INSULA_A", "INSULA_B", "INSULA_C" };
	char vars[CLUSTER_HOSTS + 1][64], cfg[PATH_MAX + 64], log[96];
	const char *env[CLUSTER_HOSTS + 2] = { NULL };
	unsigned i;

	for (i = 0; i < CLUSTER_HOSTS; i++) {
		snprintf(vars[i], sizeof vars[i], "%s=127.0.0.1:%d", names[i], cl.host[i].port);
		env[i] = vars[i];
	}
	snprintf(vars[i], sizeof vars[i], "INSULA_BIND=127.0.0.1:%d", cl.port);
	env[i] = vars[i];
	snprintf(cfg, sizeof cfg, "%s/contrib/haproxy/insula.cfg", cl.source);
	snprintf(log, sizeof log, "%s/haproxy.log", cl.dir);
	cl.haproxy = spawn(
	    (const char *[]){ "/usr/sbin/haproxy", "-db", "-f", cfg, NULL }, log, env);
	until_answers(cl.url, "/readyz", cl.haproxy, "haproxy");
}

void
cluster_start(const char *plugins, int loops)
{
	unsigned i;

	need("/usr/sbin/haproxy");
	need("/usr/sbin/nats-server");
	find_trees();
	cl.loops = loops;
	snprintf(cl.dir, sizeof cl.dir, "%s", servers_temp_dir());
	servers_start(SERVERS_PG | SERVERS_REDIS);
	cl.nats_port = free_port();
	snprintf(cl.nats_url, sizeof cl.nats_url, "nats://127.0.0.1:%d", cl.nats_port);
	cluster_nats_again();
	free_url(cl.url, &cl.port);
	for (i = 0; i < CLUSTER_MAX; i++) {
		free_url(cl.host[i].url, &cl.host[i].port);
		snprintf(cl.host[i].id, sizeof cl.host[i].id, "%c", 'a' + (int)i);
		snprintf(cl.host[i].log, sizeof cl.host[i].log, "%s/%s.log", cl.dir, cl.host[i].id);
		write_config(i, plugins);
	}
	migrate();
	make_tenant();
	for (i = 0; i < CLUSTER_HOSTS; i++)
		begin_host(i, NULL, NULL, NULL);
	for (i = 0; i < CLUSTER_HOSTS; i++)
		until_answers(cl.host[i].url, "/readyz", cl.host[i].pid, cl.host[i].id);
	begin_haproxy();
}

void
cluster_stop(void)
{
	unsigned i;

	end_process(&cl.haproxy, SIGTERM);
	for (i = 0; i < CLUSTER_MAX; i++)
		if (cl.host[i].pid > 0) {
			kill(cl.host[i].pid, SIGCONT);
			kill(cl.host[i].pid, SIGTERM);
		}
	for (i = 0; i < CLUSTER_MAX; i++)
		end_process(&cl.host[i].pid, SIGTERM);
	end_process(&cl.nats, SIGTERM);
	servers_stop();
	free(cl.key);
	cl.key = NULL;
	servers_remove(cl.dir);
}

void
cluster_kill(unsigned i, int sig)
{
	ASSERT(cl.host[i].pid > 0);
	end_process(&cl.host[i].pid, sig);
}

void
cluster_signal(unsigned i, int sig)
{
	ASSERT(cl.host[i].pid > 0 && kill(cl.host[i].pid, sig) == 0);
}

const char *
cluster_url(void)
{
	return cl.url;
}

const char *
cluster_host_url(unsigned i)
{
	return cl.host[i].url;
}

const char *
cluster_host_id(unsigned i)
{
	return cl.host[i].id;
}

pid_t
cluster_pid(unsigned i)
{
	return cl.host[i].pid;
}

const char *
cluster_key(void)
{
	return cl.key;
}

const char *
cluster_dir(void)
{
	return cl.dir;
}

struct client *
cluster_client(int host)
{
	return client_new(host < 0 ? cl.url : cl.host[host].url, cl.key);
}

double
cluster_metric(unsigned i, const char *name)
{
	struct client *c = client_new(cl.host[i].url, NULL);
	const struct reply *r = client_get(c, "/metrics");
	size_t n = strlen(name);
	const char *at;
	double sum = 0;

	for (at = r->status == 200 ? r->body : NULL; at != NULL && *at != '\0';) {
		if (strncmp(at, name, n) == 0 && (at[n] == ' ' || at[n] == '{'))
			sum += strtod(at + strcspn(at, " \n"), NULL);
		at = strchr(at, '\n');
		at = at == NULL ? NULL : at + 1;
	}
	client_free(c);
	return sum;
}

void
cluster_until(const char *value, const char *fmt, ...)
{
	int64_t ms = getenv("INSULA_LONG") != NULL ? 10 * WAIT_MS : WAIT_MS;
	int64_t late = base_mono_us() + ms * 1000;
	const char *got;
	char why[400];
	va_list ap;
	char *sql;

	va_start(ap, fmt);
	ASSERT(vasprintf(&sql, fmt, ap) >= 0);
	va_end(ap);
	while (strcmp(got = servers_sql_super("%s", sql), value) != 0) {
		if (base_mono_us() > late) {
			snprintf(why, sizeof why, "%s, not %s", got, value);
			fatal(sql, why);
		}
		nap();
	}
	free(sql);
}

void
cluster_until_shared(void)
{
	char list[256] = "''", expect[32];
	unsigned i, n = 0;

	for (i = 0; i < CLUSTER_MAX; i++)
		if (cl.host[i].pid > 0) {
			snprintf(list + strlen(list), sizeof list - strlen(list), ",'%s'",
			    cl.host[i].id);
			n++;
		}
	snprintf(expect, sizeof expect, "%u", n);
	cluster_until(expect,
	    "SELECT count(*) FROM (SELECT owner FROM run_shards WHERE owner IN (%s)"
	    " AND expires_at > clock_timestamp() GROUP BY owner"
	    " HAVING count(*) BETWEEN %d AND %d) AS o"
	    " WHERE NOT EXISTS (SELECT FROM run_shards WHERE owner NOT IN (%s)"
	    "  OR expires_at < clock_timestamp())",
	    list, 256 / (int)n - cl.loops, 256 / (int)n + 1 + cl.loops, list);
}
