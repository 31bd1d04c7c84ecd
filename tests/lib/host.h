/*
 * host.h: a whole host inside the test's process: its loops, plugins and listeners, on a free port.
 *
 * The control thread is one that host_start makes, so the test's own thread is free to be a client.
 * With servers (servers.h) started before, the configuration has their URLs, and missing migrations
 * are applied. One host at a time.
 */
#ifndef TESTS_HOST_H
#define TESTS_HOST_H

#include <jansson.h>

/*
 * yaml is laid over {listen: 127.0.0.1:0, loops: 2, log: {level: warn}, access_log: false,
 * plugin_path: [the build's modules], state_dir: a temporary directory, data: of the servers}.
 * host_start ends the test with the host's sentence when it does not start; host_try returns the
 * sentence instead (static), NULL when it serves.
 */
void host_start(const char *yaml);
const char *host_try(const char *yaml);
/* Drains and stops. 0 when nothing was left over: no request cut, every plugin unloaded. */
int host_stop(void);

const char *host_url(void);   /* "http://127.0.0.1:PORT" */
const char *host_admin(void); /* path of the admin socket */
unsigned host_port(void);
const char *host_modules(void); /* directory of the build's plugins */
const char *host_dir(void);     /* the state directory */

/* Runs fn(arg) on the control thread and waits. */
void host_control(void (*fn)(void *), void *arg);
/* A reload of one plugin, or of everything (NULL), from another configuration if yaml is not NULL.
 * NULL, or why it was refused (static). */
const char *host_reload(const char *name, const char *yaml);
/* GET or POST on the admin socket; NULL unless the answer is 200. A new reference. */
json_t *host_admin_call(const char *method, const char *path);

/* Makes the tenant if there is none; its id (static until the next call). Needs PostgreSQL. */
const char *host_tenant(const char *name);
/* A new key of the tenant (made if there is none); malloc. */
char *host_key(const char *tenant, const char *permissions);

#endif
