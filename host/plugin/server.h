/*
 * server.h: a whole host in this process: start order, reload, drain, stop. `insula serve`, `insula
 * dev` and the tests' harness are its users. One at a time; the thread that starts it is the
 * control thread.
 */
#ifndef HOST_SERVER_H
#define HOST_SERVER_H

#include "plugin/gen.h"

struct http_req;

struct server_opts {
	/* Reads the configuration; again at each reload. 0, or -1 and err. */
	int (*load)(void *arg, struct conf_doc *ret, char err[CONF_ERR_MAX]);
	void *arg;
	int signals; /* SIGTERM and SIGINT drain, SIGHUP reloads */
	int migrate; /* apply missing migrations instead of refusing to start */
	int (*quarantined)(const char *plugin); /* NULL = none is */
};

/* 0, or -1 with a sentence in err; then everything that was started is stopped again. */
int server_start(const struct server_opts *, char err[CONF_ERR_MAX]);
/* Serves until server_quit() and the end of the drain; then everything is stopped. 0, or -1 when
 * work was cut or something did not go. */
int server_run(void);
void server_quit(void);         /* any thread: begins the drain; a second call cuts it short */
unsigned server_port(size_t i); /* of the i-th listener */
const char *server_admin_socket(void);

/* Control thread, for the admin socket. name NULL: read the configuration again and look at every
 * plugin's file; else reload this plugin alone. 0, or -1 and err, the old one serving. ret_note
 * says what needs a restart, "" if nothing. */
int server_reload(const char *name, char err[CONF_ERR_MAX], char ret_note[256]);
/* On until the next start: the configuration file is not written. */
int server_enable(const char *name, int enabled, char err[CONF_ERR_MAX]);
json_t *server_plugins(void); /* for `insula plugin list` */

/* server_health.c: the host's own routes. */
enum server_state { SERVER_STARTING, SERVER_SERVING, SERVER_DRAINING };
extern const struct gen_host_route server_routes[];
void server_health_init(const struct conf *);
void server_health_state(enum server_state);
void server_metrics(struct http_req *);

/* The default state directory: $STATE_DIRECTORY (systemd), /var/lib/insula as root, else below
 * $XDG_STATE_HOME. */
void server_default_state_dir(char ret[4096]);
/* Stages every plugin of the configuration and runs its migrations with the host's. 0, or -1. */
int server_migrate(struct conf *, int dry, FILE *progress, char err[CONF_ERR_MAX]);
/* A temporary directory to stage images in, for a process that does not serve. 0, or -1 and err. */
#define SERVER_SCRATCH_MAX 256
int server_scratch(char dir[SERVER_SCRATCH_MAX], char err[CONF_ERR_MAX]);
void server_scratch_end(const char *dir);
/* Are the certificates of the listeners usable? 0, or -1 and err. */
int server_tls_check(const struct conf *, char err[CONF_ERR_MAX]);
/* mkdir -p with mode 0700. */
int server_mkdir(const char *path, char err[CONF_ERR_MAX]);

#endif
