/*
 * conf.c: the host's own keys, as option tables like those of plugins, and the table of its limits.
 *
 * A conf is immutable once made and counted, because generations hold it. Only the control thread
 * counts.
 */
#include "plugin/conf.h"

#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loop/loop.h"

#define CONF_ARENA (8u << 20)

struct conf_top {
	const json_t *listen, *admin, *log, *limits, *data, *plugin_path, *plugins;
	int64_t loops;
	const char *metrics, *state_dir;
	int32_t access_log;
};
static const ins_option top_table[] = {
	INS_OPT_JSON(struct conf_top, listen, "where to accept HTTP"),
	INS_OPT_JSON(struct conf_top, admin, "the admin socket"),
	INS_OPT_INT(struct conf_top, loops, "0", "event loops; 0 = one per processor"),
	INS_OPT_JSON(struct conf_top, log, "what is logged"),
	INS_OPT_BOOL(struct conf_top, access_log, "true", "one line per request"),
	INS_OPT_STR(struct conf_top, metrics, "public", "who may read /metrics: public or admin"),
	INS_OPT_STR(
	    struct conf_top, state_dir, "", "private directory: staged images, admin socket"),
	INS_OPT_JSON(struct conf_top, limits, "limits of requests"),
	INS_OPT_JSON(struct conf_top, data, "PostgreSQL, NATS and Redis"),
	INS_OPT_JSON(struct conf_top, plugin_path, "directories that hold plugins"),
	INS_OPT_JSON(struct conf_top, plugins, "what to load"),
	INS_OPT_END(struct conf_top),
};

struct conf_admin_opt {
	const char *socket;
};
static const ins_option admin_table[] = {
	INS_OPT_STR(struct conf_admin_opt, socket, "", "path of the admin socket"),
	INS_OPT_END(struct conf_admin_opt),
};

struct conf_log_opt {
	const char *level, *format;
};
static const ins_option log_table[] = {
	INS_OPT_STR(struct conf_log_opt, level, "info", "debug, info, warn or error"),
	INS_OPT_STR(struct conf_log_opt, format, "json", "json, or text for a person"),
	INS_OPT_END(struct conf_log_opt),
};

/* The limits an operator may move; the fixed ones stand with what they limit. */
struct conf_limits_opt {
	int64_t body, connection, request, drain, tasks, websockets, websockets_per_tenant;
};
static const ins_option limits_table[] = {
	INS_OPT_SIZE(struct conf_limits_opt, body, "4m", "bytes of a request body"),
	INS_OPT_SIZE(struct conf_limits_opt, connection, "16m", "bytes of bodies per connection"),
	INS_OPT_MS(struct conf_limits_opt, request, "120s", "time of one request"),
	INS_OPT_MS(
	    struct conf_limits_opt, drain, "30s", "time that work in flight gets at the end"),
	INS_OPT_INT(struct conf_limits_opt, tasks, "128", "live requests per connection"),
	INS_OPT_INT(struct conf_limits_opt, websockets, "20000", "open WebSocket connections"),
	INS_OPT_INT(
	    struct conf_limits_opt, websockets_per_tenant, "2000", "of which one tenant may have"),
	INS_OPT_END(struct conf_limits_opt),
};

struct conf_data_opt {
	const json_t *pg, *nats, *redis;
};
static const ins_option data_table[] = {
	INS_OPT_JSON(struct conf_data_opt, pg, "PostgreSQL"),
	INS_OPT_JSON(struct conf_data_opt, nats, "NATS JetStream"),
	INS_OPT_JSON(struct conf_data_opt, redis, "Redis"),
	INS_OPT_END(struct conf_data_opt),
};

struct conf_url_opt {
	const char *url, *read_url;
};
static const ins_option url_table[] = {
	INS_OPT_STR(struct conf_url_opt, url, NULL, "where it is"),
	INS_OPT_END(struct conf_url_opt),
};
static const ins_option pg_table[] = {
	INS_OPT_STR(struct conf_url_opt, url, NULL, "where it is"),
	INS_OPT_STR(struct conf_url_opt, read_url, "", "a streaming standby, for what may be old"),
	INS_OPT_END(struct conf_url_opt),
};

struct conf_plugin_opt {
	const char *file;
	int32_t required;
	const json_t *caps, *config;
};
static const ins_option plugin_table[] = {
	INS_OPT_STR(struct conf_plugin_opt, file, "", "the shared object, if not NAME.so"),
	INS_OPT_BOOL(struct conf_plugin_opt, required, "true", "false: go on without it"),
	INS_OPT_JSON(struct conf_plugin_opt, caps, "capabilities granted; all that it asks for"),
	INS_OPT_JSON(struct conf_plugin_opt, config, "the plugin's own options"),
	INS_OPT_END(struct conf_plugin_opt),
};

static const struct {
	const char *name;
	uint64_t cap;
} caps_table[] = {
	{ "http", INS_CAP_HTTP },
	{ "db", INS_CAP_DB },
	{ "bus", INS_CAP_BUS },
	{ "fetch", INS_CAP_FETCH },
	{ "auth", INS_CAP_AUTH },
	{ "engine", INS_CAP_ENGINE },
	{ "child", INS_CAP_CHILD },
	{ "ws", INS_CAP_WS },
};

uint64_t
conf_cap(const char *name)
{
	size_t i;

	for (i = 0; i < NELEM(caps_table); i++)
		if (strcmp(caps_table[i].name, name) == 0)
			return caps_table[i].cap;
	return 0;
}

const char *
conf_cap_names(uint64_t caps, char buf[128])
{
	size_t i, n = 0;

	buf[0] = '\0';
	for (i = 0; i < NELEM(caps_table); i++)
		if (caps & caps_table[i].cap)
			n += (size_t)snprintf(
			    buf + n, 128 - n, "%s%s", n != 0 ? " " : "", caps_table[i].name);
	return buf;
}

static const char *
opt_str(const char *z)
{
	return z == NULL || *z == '\0' ? NULL : z;
}

static int
conf_read_log(struct conf *c, const json_t *obj, char err[CONF_ERR_MAX])
{
	static const char *const levels[] = { "debug", "info", "warn", "error" };
	struct conf_log_opt *o;
	size_t i;

	if (conf_options(&c->doc, "log", obj, log_table, &c->arena, (void **)&o, err) != 0)
		return -1;
	for (i = 0; i < NELEM(levels) && strcmp(levels[i], o->level) != 0; i++)
		;
	if (i == NELEM(levels))
		return conf_error(&c->doc, "log.level", err, "must be debug, info, warn or error");
	c->log_level = (int)i; /* INS_LOG_DEBUG .. INS_LOG_ERROR count from 0 */
	c->log_text = strcmp(o->format, "text") == 0;
	if (!c->log_text && strcmp(o->format, "json") != 0)
		return conf_error(&c->doc, "log.format", err, "must be json or text");
	return 0;
}

static int
conf_read_limits(struct conf *c, const json_t *obj, char err[CONF_ERR_MAX])
{
	struct conf_limits_opt *o;

	if (conf_options(&c->doc, "limits", obj, limits_table, &c->arena, (void **)&o, err) != 0)
		return -1;
	if (o->body < 1024 || o->body > (32 << 20))
		return conf_error(&c->doc, "limits.body", err,
		    "must be 1k .. 32m: larger documents "
		    "go up in parts");
	if (o->connection < o->body)
		return conf_error(
		    &c->doc, "limits.connection", err, "must not be below limits.body");
	if (o->request < 100)
		return conf_error(&c->doc, "limits.request", err, "must be 100ms or more");
	if (o->tasks < 1 || o->tasks > 8192)
		return conf_error(&c->doc, "limits.tasks", err, "must be 1 .. 8192");
	if (o->websockets < 0 || o->websockets > 1000000)
		return conf_error(&c->doc, "limits.websockets", err, "must be 0 .. 1000000");
	if (o->websockets_per_tenant < 0 || o->websockets_per_tenant > 1000000)
		return conf_error(
		    &c->doc, "limits.websockets_per_tenant", err, "must be 0 .. 1000000");
	c->websockets_max = o->websockets;
	c->websockets_tenant_max = o->websockets_per_tenant;
	c->body_max = o->body;
	c->conn_bytes_max = o->connection;
	c->request_ms = o->request;
	c->drain_ms = o->drain;
	c->tasks_per_conn_max = (int)o->tasks;
	return 0;
}

static int
conf_check_url(struct conf *c, const char *path, const char *url, const char *const *schemes,
    const char **ret, char err[CONF_ERR_MAX])
{
	size_t i;

	for (i = 0; schemes[i] != NULL; i++)
		if (strncmp(url, schemes[i], strlen(schemes[i])) == 0)
			break;
	if (schemes[i] == NULL)
		return conf_error(&c->doc, path, err, "must begin with %s", schemes[0]);
	*ret = url;
	return 0;
}

/* ret_read: the second URL of PostgreSQL; NULL for the others. */
static int
conf_read_url(struct conf *c, const char *path, const json_t *obj, const char *const *schemes,
    const char **ret, const char **ret_read, char err[CONF_ERR_MAX])
{
	struct conf_url_opt *o;
	char at[CONF_PATH_MAX];

	if (obj == NULL)
		return 0;
	if (conf_options(&c->doc, path, obj, ret_read != NULL ? pg_table : url_table, &c->arena,
		(void **)&o, err) != 0)
		return -1;
	snprintf(at, sizeof at, "%s.url", path);
	if (conf_check_url(c, at, o->url, schemes, ret, err) != 0)
		return -1;
	if (ret_read == NULL || *o->read_url == '\0')
		return 0;
	snprintf(at, sizeof at, "%s.read_url", path);
	return conf_check_url(c, at, o->read_url, schemes, ret_read, err);
}

static int
conf_read_data(struct conf *c, const json_t *obj, char err[CONF_ERR_MAX])
{
	static const char *const pg[] = { "postgresql://", "postgres://", NULL };
	static const char *const nats[] = { "nats://", "tls://", NULL };
	static const char *const redis[] = { "redis://", "unix:", NULL };
	struct conf_data_opt *o;

	if (conf_options(&c->doc, "data", obj, data_table, &c->arena, (void **)&o, err) != 0)
		return -1;
	if (conf_read_url(c, "data.pg", o->pg, pg, &c->pg_url, &c->pg_read_url, err) != 0 ||
	    conf_read_url(c, "data.nats", o->nats, nats, &c->nats_url, NULL, err) != 0 ||
	    conf_read_url(c, "data.redis", o->redis, redis, &c->redis_url, NULL, err) != 0)
		return -1;
	return 0;
}

static int
conf_read_paths(struct conf *c, const json_t *list, char err[CONF_ERR_MAX])
{
	size_t i;

	if (list == NULL) {
		c->plugin_path[c->n_plugin_path++] = PLUGINDIR;
		return 0;
	}
	if (!json_is_array(list) || json_array_size(list) > CONF_PATHS_MAX)
		return conf_error(&c->doc, "plugin_path", err,
		    "must be a list of at most %d directories", CONF_PATHS_MAX);
	for (i = 0; i < json_array_size(list); i++) {
		const char *z = json_string_value(json_array_get(list, i));
		if (z == NULL)
			return conf_error(&c->doc, "plugin_path", err, "must hold only text");
		c->plugin_path[c->n_plugin_path++] = z;
	}
	return 0;
}

static int
conf_read_caps(struct conf *c, struct conf_plugin *p, const json_t *list, char err[CONF_ERR_MAX])
{
	const char *names[NELEM(caps_table) + 1], *near;
	char at[CONF_PATH_MAX];
	size_t i;
	uint64_t cap;

	p->caps = UINT64_MAX;
	if (list == NULL)
		return 0;
	snprintf(at, sizeof at, "%s.caps", p->path);
	if (!json_is_array(list))
		return conf_error(&c->doc, at, err, "must be a list, such as [http, db]");
	for (i = 0; i < NELEM(caps_table); i++)
		names[i] = caps_table[i].name;
	names[i] = NULL;
	p->caps = 0;
	for (i = 0; i < json_array_size(list); i++) {
		const char *z = json_string_value(json_array_get(list, i));
		snprintf(at, sizeof at, "%s.caps[%zu]", p->path, i);
		cap = z == NULL ? 0 : conf_cap(z);
		if (cap == 0) {
			near = z == NULL ? NULL : conf_suggest(z, names);
			return conf_error(&c->doc, at, err,
			    "there is no such capability%s%s; there are http, db, bus, fetch, "
			    "auth, "
			    "engine and child",
			    near != NULL ? "; did you mean " : "", near != NULL ? near : "");
		}
		p->caps |= cap;
	}
	return 0;
}

/* A secret's file is part of what decides: when it was replaced, the instance reads it anew. */
static void
conf_hash_files(const json_t *v, EVP_MD_CTX *md)
{
	const char *key, *z = json_string_value(v);
	struct stat st;
	json_t *e;
	size_t i;

	if (z != NULL && strncmp(z, "file:/", 6) == 0 && stat(z + 5, &st) == 0) {
		EVP_DigestUpdate(md, &st.st_ino, sizeof st.st_ino);
		EVP_DigestUpdate(md, &st.st_size, sizeof st.st_size);
		EVP_DigestUpdate(md, &st.st_mtim.tv_sec, sizeof st.st_mtim.tv_sec);
		EVP_DigestUpdate(md, &st.st_mtim.tv_nsec, sizeof st.st_mtim.tv_nsec);
	}
	json_array_foreach((json_t *)(uintptr_t)v, i, e) conf_hash_files(e, md);
	json_object_foreach((json_t *)(uintptr_t)v, key, e) conf_hash_files(e, md);
}

/* What decides whether a running instance may stay: its options and its grants. */
static void
conf_hash(struct conf_plugin *p)
{
	char *z = p->config == NULL ? NULL : json_dumps(p->config, JSON_COMPACT | JSON_SORT_KEYS);
	char *all = base_printf("%llx %s", (unsigned long long)p->caps, z != NULL ? z : "");
	unsigned char digest[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *md = EVP_MD_CTX_new();

	AN(md);
	AN(EVP_DigestInit_ex(md, EVP_sha256(), NULL));
	AN(EVP_DigestUpdate(md, all, strlen(all)));
	conf_hash_files(p->config, md);
	AN(EVP_DigestFinal_ex(md, digest, NULL));
	EVP_MD_CTX_free(md);
	base_hex(p->hash, digest, 32);
	free(all);
	free(z);
}

static int
conf_read_plugins(struct conf *c, const json_t *map, char err[CONF_ERR_MAX])
{
	struct conf_plugin_opt *o;
	struct conf_plugin *p;
	const char *name;
	json_t *value;

	if (map != NULL && !json_is_object(map))
		return conf_error(&c->doc, "plugins", err, "must be a map of names");
	json_object_foreach((json_t *)(uintptr_t)map, name, value)
	{
		if (c->n_plugins == CONF_PLUGINS_MAX)
			return conf_error(
			    &c->doc, "plugins", err, "more than %d plugins", CONF_PLUGINS_MAX);
		p = &c->plugins[c->n_plugins++];
		p->name = name;
		p->path = arena_printf(&c->arena, "plugins.%s", name);
		if (strlen(name) > 63 ||
		    name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")] != '\0')
			return conf_error(
			    &c->doc, p->path, err, "a plugin's name has 1 to 63 of a-z, 0-9 and _");
		if (conf_options(&c->doc, p->path, json_is_null(value) ? NULL : value, plugin_table,
			&c->arena, (void **)&o, err) != 0)
			return -1;
		p->file = opt_str(o->file);
		p->required = o->required;
		p->config = o->config;
		if (conf_read_caps(c, p, o->caps, err) != 0)
			return -1;
		conf_hash(p);
	}
	return 0;
}

static int
conf_read(struct conf *c, char err[CONF_ERR_MAX])
{
	struct conf_admin_opt *admin;
	struct conf_top *t;
	long n;

	if (conf_options(&c->doc, "", c->doc.root, top_table, &c->arena, (void **)&t, err) != 0)
		return -1;
	if (t->loops < 0 || t->loops > LOOP_MAX)
		return conf_error(&c->doc, "loops", err, "must be 0 .. %d", LOOP_MAX);
	c->loops = (int)t->loops;
	if (c->loops == 0) {
		n = sysconf(_SC_NPROCESSORS_ONLN);
		c->loops = n < 1 ? 1 : n > LOOP_MAX ? LOOP_MAX : (int)n;
	}
	c->access_log = t->access_log;
	c->state_dir = opt_str(t->state_dir);
	c->metrics_public = strcmp(t->metrics, "public") == 0;
	if (!c->metrics_public && strcmp(t->metrics, "admin") != 0)
		return conf_error(&c->doc, "metrics", err, "must be public or admin");
	if (conf_options(
		&c->doc, "admin", t->admin, admin_table, &c->arena, (void **)&admin, err) != 0)
		return -1;
	c->admin_socket = opt_str(admin->socket);
	if (conf_read_listen(c, t->listen, err) != 0 || conf_read_log(c, t->log, err) != 0 ||
	    conf_read_limits(c, t->limits, err) != 0 || conf_read_data(c, t->data, err) != 0 ||
	    conf_read_paths(c, t->plugin_path, err) != 0 ||
	    conf_read_plugins(c, t->plugins, err) != 0)
		return -1;
	return 0;
}

struct conf *
conf_new(struct conf_doc *doc, char err[CONF_ERR_MAX])
{
	struct conf *c = base_alloc(sizeof *c);

	c->refs = 1;
	arena_init(&c->arena, CONF_ARENA);
	c->doc = *doc;
	memset(doc, 0, sizeof *doc);
	if (conf_read(c, err) == 0)
		return c;
	conf_unref(c);
	return NULL;
}

struct conf *
conf_ref(struct conf *c)
{
	c->refs++;
	return c;
}

void
conf_unref(struct conf *c)
{
	ASSERT(c->refs > 0);
	if (--c->refs != 0)
		return;
	arena_fini(&c->arena);
	conf_doc_fini(&c->doc);
	free(c);
}
