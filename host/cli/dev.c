/*
 * dev.c: `insula dev`: a whole deployment on this machine that nobody set up.
 *
 * Starts private servers (data/devstack.h), migrates, makes a demo tenant and a key for it, and
 * serves in this process with every plugin of the tree that is there. The key is kept in a file of
 * mode 0600 beside the data, so that a restart prints the same one.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/cli.h"
#include "data/devstack.h"
#include "plugin/server.h"
#include "tenant/tenant.h"

#define DEMO_TENANT "demo"

struct dev {
	const char *config, *ready_file, *state;
	int port;
	struct devstack *stack;
	const char *dir; /* of the data */
	char plugins[PATH_MAX];
	char key[128];
};

static const char usage[] =
    "usage: insula dev [--port N] [--state DIR] [--config FILE] [--ready-file FILE]\n"
    "\n"
    "Runs the host with a private PostgreSQL, NATS and Redis, a demo tenant and a key, until "
    "SIGTERM\n"
    "or Ctrl-C. Needs no server that someone else set up; nothing listens beyond 127.0.0.1.\n"
    "\n"
    "  --port N           listen on 127.0.0.1:N (default 8080; 0 takes a free port)\n"
    "  --state DIR        where the data is (default: /var/lib/insula-dev as root, else\n"
    "                     ~/.local/state/insula)\n"
    "  --config FILE      laid over the default configuration; a data URL in it replaces that "
    "server\n"
    "  --ready-file FILE  write url=, key= and admin= to FILE once it serves\n"
    "\n"
    "OPENAI_BASE_URL (with OPENAI_API_KEY, OPENAI_MODEL and OPENAI_SMALL_MODEL) adds a provider "
    "of\n"
    "larger models.\n";

/* Of a build tree the folder `modules`; of an installation the one beside this program, which may
 * have been moved; else where plugins are installed. */
static void
dev_plugin_dir(char ret[PATH_MAX])
{
	static const char *const below[] = { "../modules", "../lib/insula/plugins" };
	char exe[PATH_MAX] = "", *slash;
	size_t i;

	if (readlink("/proc/self/exe", exe, sizeof exe - 1) > 0 &&
	    (slash = strrchr(exe, '/')) != NULL) {
		*slash = '\0';
		for (i = 0; i < NELEM(below); i++)
			if (snprintf(ret, PATH_MAX, "%s/%s", exe, below[i]) < PATH_MAX &&
			    access(ret, X_OK) == 0)
				return;
	}
	snprintf(ret, PATH_MAX, "%s", PLUGINDIR);
}

static json_t *
dev_openai(void)
{
	const char *key = getenv("OPENAI_API_KEY"), *large = getenv("OPENAI_MODEL"),
		   *small = getenv("OPENAI_SMALL_MODEL");
	json_t *models = json_pack(
	    "[{s:s, s:s}]", "id", large != NULL ? large : "gpt-4o", "tier", "LLM");

	if (small != NULL)
		json_array_append_new(
		    models, json_pack("{s:s, s:s}", "id", small, "tier", "SLM_B"));
	return json_pack("{s:{s:[{s:s, s:s, s:s*, s:b, s:o}]}, s:b}", "config", "providers", "name",
	    "environment", "base_url", getenv("OPENAI_BASE_URL"), "api_key", key,
	    "private_addresses", 1, "models", models, "required", 0);
}

/* The plugins of the tree that are there. */
static json_t *
dev_plugins(const struct dev *d)
{
	static const char *const names[] = { "hello", "auth", "openai", "knowledge", "index_local",
		"model_extractive", "model_openai", "policy_static", "runs", "metering",
		"workflow_faq", "langgraph" };
	json_t *map = json_object();
	char file[PATH_MAX + 64];
	size_t i;

	for (i = 0; i < NELEM(names); i++) {
		snprintf(file, sizeof file, "%s/%s.so", d->plugins, names[i]);
		if (access(file, R_OK) != 0)
			continue;
		if (strcmp(names[i], "model_openai") != 0)
			json_object_set_new(map, names[i],
			    json_pack("{s:b}", "required", strcmp(names[i], "hello") != 0));
		else if (getenv("OPENAI_BASE_URL") != NULL)
			json_object_set_new(map, names[i], dev_openai());
	}
	return map;
}

static void
dev_url(json_t *data, const char *name, const char *url)
{
	if (url != NULL)
		json_object_set_new(data, name, json_pack("{s:s}", "url", url));
}

/* The default configuration with the operator's file on top; server_opts.load. */
static int
dev_load(void *arg, struct conf_doc *ret, char err[CONF_ERR_MAX])
{
	const struct dev *d = arg;
	json_t *data = json_object(), *conf;
	struct conf_doc over;
	char *text;
	int r;

	if (d->stack != NULL) {
		dev_url(data, "pg", devstack_pg_url(d->stack));
		dev_url(data, "nats", devstack_nats_url(d->stack));
		dev_url(data, "redis", devstack_redis_url(d->stack));
	}
	conf = json_pack("{s:[{s:o}], s:{s:s}, s:o, s:[s], s:o, s:o}", "listen", "address",
	    json_sprintf("127.0.0.1:%d", d->port), "log", "format",
	    isatty(STDERR_FILENO) ? "text" : "json", "state_dir",
	    json_sprintf("%s/host", d->dir != NULL ? d->dir : "/nonexistent"), "plugin_path",
	    d->plugins, "data", data, "plugins", dev_plugins(d));
	text = json_dumps(conf, JSON_COMPACT);
	json_decref(conf);
	AN(text);
	r = conf_doc_parse(ret, "insula dev", text, strlen(text), err);
	free(text);
	if (r != 0 || d->config == NULL)
		return r;
	if (conf_doc_load(&over, d->config, err) != 0) {
		conf_doc_fini(ret);
		return -1;
	}
	conf_doc_merge(ret, &over);
	return 0;
}

static struct conf *
dev_conf(struct dev *d, char err[CONF_ERR_MAX])
{
	struct conf_doc doc;

	return dev_load(d, &doc, err) != 0 ? NULL : conf_new(&doc, err);
}

/* Is the key of the file still one of the demo tenant's? */
static int
dev_key_known(struct tenant_db *db, const char *key)
{
	char err[256];
	json_t *list = key_list(db, DEMO_TENANT, err), *row;
	size_t i, n;
	int known = 0;

	json_array_foreach(list, i, row)
	{
		const char *id = json_string_value(json_object_get(row, "public_id"));

		n = id != NULL ? strlen(id) : 0;
		known |= n != 0 && strncmp(key, "isk_", 4) == 0 && strncmp(key + 4, id, n) == 0 &&
		    key[4 + n] == '_' && !json_is_string(json_object_get(row, "revoked_at"));
	}
	json_decref(list);
	return known;
}

static int
dev_key_store(const char *path, const char *key)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	size_t n = strlen(key);
	int ok = fd >= 0 && fchmod(fd, 0600) == 0 && write(fd, key, n) == (ssize_t)n;

	if (fd >= 0)
		close(fd);
	return ok ? 0 : -1;
}

static int
dev_demo(struct dev *d, const char *url, char err[CONF_ERR_MAX])
{
	char why[256] = "", *path = base_printf("%s/demo.key", d->dir);
	struct tenant_db *db = tenant_db_open(url, why);
	json_t *tenant = NULL, *key = NULL;
	ssize_t n = 0;
	int fd, ret = -1;

	if (db != NULL) {
		tenant = tenant_get(db, DEMO_TENANT, why);
		if (tenant == NULL)
			tenant = tenant_create(db, DEMO_TENANT, "free", why);
	}
	if (tenant != NULL) {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0) {
			n = read(fd, d->key, sizeof d->key - 1);
			close(fd);
		}
		d->key[n > 0 ? n : 0] = '\0';
		d->key[strcspn(d->key, "\n")] = '\0';
		if (dev_key_known(db, d->key)) {
			ret = 0;
		} else if ((key = key_create(db, DEMO_TENANT, "insula dev", "*", 0, why)) != NULL) {
			snprintf(d->key, sizeof d->key, "%s",
			    json_string_value(json_object_get(key, "key")));
			if (dev_key_store(path, d->key) == 0)
				ret = 0;
			else
				snprintf(why, sizeof why, "%.200s: %s", path, strerror(errno));
		}
	}
	if (ret != 0)
		snprintf(err, CONF_ERR_MAX, "the demo tenant could not be made: %s", why);
	json_decref(key);
	json_decref(tenant);
	if (db != NULL)
		tenant_db_close(db);
	free(path);
	return ret;
}

/* Written whole or not at all, since others wait for it. */
static int
dev_ready(const struct dev *d, unsigned port)
{
	char *tmp;
	FILE *f;
	int ok;

	printf("\ninsula is ready\n  URL:   http://127.0.0.1:%u\n  Key:   %s\n  Admin: %s\n\n",
	    port, d->key, server_admin_socket());
	fflush(stdout);
	if (d->ready_file == NULL)
		return 0;
	tmp = base_printf("%s.tmp", d->ready_file);
	f = fopen(tmp, "we");
	ok = f != NULL && fchmod(fileno(f), 0600) == 0 &&
	    fprintf(f, "url=http://127.0.0.1:%u\nkey=%s\nadmin=%s\n", port, d->key,
		server_admin_socket()) > 0;
	if (f != NULL)
		ok &= fclose(f) == 0;
	ok = ok && rename(tmp, d->ready_file) == 0;
	free(tmp);
	return ok ? 0 : cli_fail(1, "%s: %s", d->ready_file, strerror(errno));
}

/* Which servers the operator's file brings, before any is started. */
static int
dev_stack(struct dev *d, char err[CONF_ERR_MAX])
{
	struct devstack_conf want = { .dir = d->state };
	struct conf *conf = dev_conf(d, err);
	char why[512];

	if (conf == NULL)
		return -1;
	want.want_pg = conf->pg_url == NULL;
	want.want_nats = conf->nats_url == NULL;
	want.want_redis = conf->redis_url == NULL;
	conf_unref(conf);
	d->stack = devstack_start(&want, why);
	if (d->stack == NULL) {
		snprintf(err, CONF_ERR_MAX, "%s", why);
		return -1;
	}
	d->dir = devstack_dir(d->stack);
	return 0;
}

static int
dev_run(struct dev *d, char err[CONF_ERR_MAX])
{
	struct server_opts opts = { .load = dev_load, .arg = d, .signals = 1 };
	struct conf *conf;
	int ret;

	if (dev_stack(d, err) != 0 || (conf = dev_conf(d, err)) == NULL)
		return -1;
	ret = server_migrate(conf, 0, stderr, err);
	if (ret == 0)
		ret = dev_demo(d, conf->pg_url, err);
	conf_unref(conf);
	if (ret != 0 || server_start(&opts, err) != 0)
		return -1;
	if (dev_ready(d, server_port(0)) != 0)
		server_quit();
	server_run();
	return 0;
}

int
cli_dev(int argc, char **argv)
{
	static const struct option options[] = { { "port", required_argument, NULL, 'p' },
		{ "state", required_argument, NULL, 's' },
		{ "config", required_argument, NULL, 'c' },
		{ "ready-file", required_argument, NULL, 'r' }, { "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 } };
	struct dev d = { .port = 8080 };
	char err[CONF_ERR_MAX], *end;
	int c, ret;

	while ((c = getopt_long(argc, argv, "p:s:c:h", options, NULL)) != -1)
		switch (c) {
		case 'p':
			d.port = (int)strtol(optarg, &end, 10);
			if (end == optarg || *end != '\0' || d.port < 0 || d.port > 65535)
				return cli_fail(2, "--port takes 0 .. 65535");
			break;
		case 's': d.state = optarg; break;
		case 'c': d.config = optarg; break;
		case 'r': d.ready_file = optarg; break;
		default: return cli_usage(usage, c != 'h');
		}
	if (optind != argc)
		return cli_usage(usage, 1);
	dev_plugin_dir(d.plugins);
	log_init(STDERR_FILENO, INS_LOG_INFO, isatty(STDERR_FILENO));
	ret = dev_run(&d, err);
	if (d.stack != NULL)
		devstack_stop(d.stack);
	if (d.ready_file != NULL)
		unlink(d.ready_file);
	return ret == 0 ? 0 : cli_fail(1, "%s", err);
}
