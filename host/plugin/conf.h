/*
 * conf.h: the configuration, from YAML text to checked values.
 *
 * conf_yaml.c turns YAML into a jansson tree and remembers for every path the file and line that it
 * came from; conf_opt.c fills a struct from such a tree by an option table; conf.c holds the tables
 * of the host's own keys. Every error reads "FILE:LINE: KEY: what is wrong". Any thread; nothing
 * here keeps state.
 */
#ifndef HOST_CONF_H
#define HOST_CONF_H

#include <insula/insula.h>
#include <jansson.h>

#include "base/arena.h"

#define CONF_FILE_MAX (1u << 20) /* bytes of a file */
#define CONF_DEPTH_MAX 32        /* levels of lists and maps */
#define CONF_NODES_MAX 65536u    /* values in a file */
#define CONF_PATH_MAX 512        /* bytes of a key's path */
#define CONF_ERR_MAX 1024        /* bytes of an error's text */
#define CONF_LISTEN_MAX 16
#define CONF_PATHS_MAX 16
#define CONF_PLUGINS_MAX 128

/* A tree and where its parts stood. Paths are written "plugins.auth.config.keys[0].alg". */
struct conf_doc {
	json_t *root;  /* an object; empty for an empty file */
	json_t *marks; /* path -> "FILE:LINE" */
	json_t *env;   /* path -> true where the text came from the environment */
};

/* 0, or -1 with err filled. `file` is only for messages. */
int conf_doc_parse(
    struct conf_doc *, const char *file, const char *text, size_t n, char err[CONF_ERR_MAX]);
int conf_doc_load(struct conf_doc *, const char *file, char err[CONF_ERR_MAX]);
/* Lays `over` upon `base`: maps are merged, anything else is replaced. Takes over's content. */
void conf_doc_merge(struct conf_doc *base, struct conf_doc *over);
void conf_doc_fini(struct conf_doc *);
/* Writes "FILE:LINE: PATH: text" (the line of the nearest parent that has one). Returns -1. */
int conf_error(const struct conf_doc *, const char *path, char err[CONF_ERR_MAX], const char *fmt,
    ...) __attribute__((format(printf, 4, 5)));

/*
 * Fills a struct by an option table from the object at `path` (NULL: all defaults). Unknown keys,
 * missing ones without a default and values of the wrong type are refused. Strings and the struct
 * live in the arena; INS_OPT_JSON values are borrowed from obj. 0, or -1 with err.
 */
int conf_options(const struct conf_doc *, const char *path, const json_t *obj, const ins_option *,
    struct arena *, void **ret_conf, char err[CONF_ERR_MAX]);

/* "250ms" "5s" "2m" "1h" or 0; "64k" "4m" "1g" or bytes. 0, or -1. Never negative. */
int conf_parse_ms(const char *, int64_t *ret);
int conf_parse_size(const char *, int64_t *ret);
/* "10/s" "600/m" "5/h" "1/d" or 0, per second. 0, or -1. */
int conf_parse_rate(const char *, double *ret);
/* The range of an option as an operator would write it ("1s .. 1h"); 0 when it has none. */
int conf_range(const ins_option *, char buf[96]);

struct conf_listen {
	const char *address;
	struct tls_opts *tls; /* NULL: clear text */
};

/* The key `listen`; in conf_listen.c. */
struct conf;
int conf_read_listen(struct conf *, const json_t *list, char err[CONF_ERR_MAX]);

struct conf_plugin {
	const char *name;
	const char *file; /* NULL: NAME.so in the plugin path */
	int required;
	uint64_t caps;        /* granted; UINT64_MAX = whatever the plugin asks for */
	const json_t *config; /* NULL = none; borrowed from the document */
	char hash[65];        /* of config and caps: the same hash is the same instance */
	const char *path;     /* "plugins.NAME", for messages */
};

struct conf {
	struct arena arena; /* holds all that follows */
	struct conf_doc doc;
	int refs;
	struct conf_listen listen[CONF_LISTEN_MAX];
	size_t n_listen;
	const char *admin_socket; /* NULL = admin.sock in the state directory */
	const char *state_dir;    /* private: staged images, crash ledger; NULL = the default */
	int loops;                /* 1 .. LOOP_MAX */
	int log_level, log_text;
	int access_log, metrics_public;
	int64_t body_max, conn_bytes_max, request_ms, drain_ms;
	int64_t websockets_max, websockets_tenant_max;
	int tasks_per_conn_max;
	const char *pg_url, *nats_url, *redis_url; /* NULL = none */
	const char *pg_read_url;                   /* a streaming standby; NULL = none */
	const char *plugin_path[CONF_PATHS_MAX];
	size_t n_plugin_path;
	struct conf_plugin plugins[CONF_PLUGINS_MAX];
	size_t n_plugins;
};

/* Checks the document (which it takes, also on failure) and makes a conf of it. NULL and err. */
struct conf *conf_new(struct conf_doc *, char err[CONF_ERR_MAX]);
struct conf *conf_ref(struct conf *);
void conf_unref(struct conf *);
/* Looks a capability's name up ("http"); 0 if there is no such. */
uint64_t conf_cap(const char *name);
const char *conf_cap_names(uint64_t caps, char buf[128]);
/* The nearest of the names (NULL-terminated) to `z`, if near enough to be a slip of the pen. */
const char *conf_suggest(const char *z, const char *const *names);

#endif
