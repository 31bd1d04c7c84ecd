/* host.c: runs server.h on a thread of its own. */
#include "tests/lib/host.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "plugin/server.h"
#include "tenant/tenant.h"
#include "tests/lib/servers.h"

static struct {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int started, failed, left_over;
	char *yaml;
	char dir[64], url[64], admin[256];
	char err[CONF_ERR_MAX];
} th = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

const char *
host_url(void)
{
	return th.url;
}

unsigned
host_port(void)
{
	return server_port(0);
}

const char *
host_admin(void)
{
	return th.admin;
}

const char *
host_dir(void)
{
	return th.dir;
}

const char *
host_modules(void)
{
	const char *given = getenv("INSULA_MODULES"); /* set by `make check` */

	return given != NULL ? given : TEST_MODULES;
}

static void
host_put_url(json_t *data, const char *name, const char *url)
{
	if (url != NULL)
		json_object_set_new(data, name, json_pack("{s:s}", "url", url));
}

static int
host_load(void *arg, struct conf_doc *ret, char err[CONF_ERR_MAX])
{
	json_t *data = json_object(), *conf;
	struct conf_doc over;
	char *text;
	int r;

	host_put_url(data, "pg", servers_pg_url());
	host_put_url(data, "nats", servers_nats_url());
	host_put_url(data, "redis", servers_redis_url());
	conf = json_pack("{s:[{s:s}], s:i, s:{s:s, s:s}, s:b, s:[ss], s:s, s:o}", "listen",
	    "address", "127.0.0.1:0", "loops", 2, "log", "level", "warn", "format", "text",
	    "access_log", 0, "plugin_path", host_modules(), TEST_PLUGINS, "state_dir", th.dir,
	    "data", data);
	text = json_dumps(conf, JSON_COMPACT);
	json_decref(conf);
	r = conf_doc_parse(ret, "tests/lib/host.c", text, strlen(text), err);
	free(text);
	if (r != 0)
		return r;
	if (conf_doc_parse(&over, "test.yaml", th.yaml, strlen(th.yaml), err) != 0) {
		conf_doc_fini(ret);
		return -1;
	}
	conf_doc_merge(ret, &over);
	return 0;
}

static void *
host_thread(void *arg)
{
	struct server_opts opts = { .load = host_load, .migrate = 1 };
	int r = server_start(&opts, th.err);

	pthread_mutex_lock(&th.lock);
	th.started = 1;
	th.failed = r != 0;
	if (r == 0) {
		snprintf(th.url, sizeof th.url, "http://127.0.0.1:%u", server_port(0));
		snprintf(th.admin, sizeof th.admin, "%s", server_admin_socket());
	}
	pthread_cond_broadcast(&th.changed);
	pthread_mutex_unlock(&th.lock);
	if (r == 0)
		th.left_over = server_run();
	return NULL;
}

const char *
host_try(const char *yaml)
{
	free(th.yaml);
	th.yaml = base_strdup(yaml);
	snprintf(th.dir, sizeof th.dir, "/tmp/insula-test.XXXXXX");
	AN(mkdtemp(th.dir));
	log_init(STDERR_FILENO, INS_LOG_WARN, 1);
	th.started = 0;
	AZ(pthread_create(&th.thread, NULL, host_thread, NULL));
	pthread_mutex_lock(&th.lock);
	while (!th.started)
		pthread_cond_wait(&th.changed, &th.lock);
	pthread_mutex_unlock(&th.lock);
	if (!th.failed)
		return NULL;
	AZ(pthread_join(th.thread, NULL));
	servers_remove(th.dir);
	return th.err;
}

void
host_start(const char *yaml)
{
	const char *why = host_try(yaml);

	if (why == NULL)
		return;
	fprintf(stderr, "the host did not start: %s\n", why);
	abort();
}

int
host_stop(void)
{
	server_quit();
	AZ(pthread_join(th.thread, NULL));
	servers_remove(th.dir);
	return th.left_over;
}

struct host_call {
	void (*fn)(void *);
	void *arg;
	int done;
};

static void
host_call_run(struct ins_loop *control, void *arg)
{
	struct host_call *c = arg;

	c->fn(c->arg);
	pthread_mutex_lock(&th.lock);
	c->done = 1;
	pthread_cond_broadcast(&th.changed);
	pthread_mutex_unlock(&th.lock);
}

void
host_control(void (*fn)(void *), void *arg)
{
	struct host_call c = { fn, arg, 0 };

	loop_post(loop_get(LOOP_CONTROL), host_call_run, &c);
	pthread_mutex_lock(&th.lock);
	while (!c.done)
		pthread_cond_wait(&th.changed, &th.lock);
	pthread_mutex_unlock(&th.lock);
}

struct host_reload {
	const char *name;
	int result;
};

static void
host_reload_run(void *arg)
{
	struct host_reload *r = arg;
	char note[256];

	r->result = server_reload(r->name, th.err, note);
}

const char *
host_reload(const char *name, const char *yaml)
{
	struct host_reload r = { name, 0 };

	if (yaml != NULL) {
		free(th.yaml);
		th.yaml = base_strdup(yaml);
	}
	host_control(host_reload_run, &r);
	return r.result == 0 ? NULL : th.err;
}

static size_t
host_collect(char *p, size_t size, size_t n, void *arg)
{
	str_add(arg, p, size * n);
	return size * n;
}

json_t *
host_admin_call(const char *method, const char *path)
{
	char *url = base_printf("http://insula%s", path);
	CURL *curl = curl_easy_init();
	json_t *answer = NULL;
	long status = 0;
	struct str s;

	str_init(&s, 4u << 20);
	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, th.admin);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, host_collect);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &s);
	if (curl_easy_perform(curl) == CURLE_OK) {
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
		if (status == 200)
			answer = json_loadb(s.p, s.n, 0, NULL);
		else
			fprintf(stderr, "%s %s: %ld %s\n", method, path, status, s.p);
	}
	curl_easy_cleanup(curl);
	str_fini(&s);
	free(url);
	return answer;
}

static struct tenant_db *
host_tenant_db(void)
{
	char err[256];
	struct tenant_db *db = tenant_db_open(servers_pg_url(), err);

	if (db == NULL)
		fprintf(stderr, "%s\n", err);
	AN(db);
	return db;
}

const char *
host_tenant(const char *name)
{
	static char id[64];
	struct tenant_db *db = host_tenant_db();
	char err[256];
	json_t *t = tenant_get(db, name, err);

	if (t == NULL)
		t = tenant_create(db, name, "free", err);
	AN(t);
	snprintf(id, sizeof id, "%s", json_string_value(json_object_get(t, "tenant_id")));
	json_decref(t);
	tenant_db_close(db);
	return id;
}

char *
host_key(const char *tenant, const char *permissions)
{
	struct tenant_db *db;
	json_t *key;
	char err[256], *z;

	host_tenant(tenant);
	db = host_tenant_db();
	key = key_create(db, tenant, "test", permissions, 0, err);
	AN(key);
	z = base_strdup(json_string_value(json_object_get(key, "key")));
	json_decref(key);
	tenant_db_close(db);
	return z;
}
