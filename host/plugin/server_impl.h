/* server_impl.h: what the server_*.c share: the one host of the process. Control thread alone. */
#ifndef HOST_SERVER_IMPL_H
#define HOST_SERVER_IMPL_H

#include <uv.h>

#include "net/http.h"
#include "net/tls.h"
#include "plugin/server.h"

struct server {
	struct server_opts opts;
	struct conf *conf;      /* of the last load */
	struct conf *listening; /* which the listeners were made by; NULL before */
	struct conf_doc extra;  /* plugins enabled by hand */
	json_t *disabled;       /* plugins disabled by hand */
	char dir[4096], admin[4096];
	int lock_fd;
	int redis; /* it is configured, and the URL was understood */
	struct tls_conf *tls[CONF_LISTEN_MAX];
	struct http_listener *listeners[CONF_LISTEN_MAX], *admin_listener;
	uv_signal_t signals[3];
	uv_timer_t drain_timer, old_timer;
	int64_t drain_began_us;
	int draining, cut, closed, unclean;
	uint64_t leaked_before; /* by an earlier host of this process */
};
extern struct server sv;

int server_fail(char err[CONF_ERR_MAX], const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Reads the configuration with what was enabled by hand laid over it. 0, or -1 and err. */
int server_load(struct conf **ret, char err[CONF_ERR_MAX]);

/*
 * server_tls.c. load: NULL for listeners in clear text; 0, or -1 and err with nothing left. install
 * takes what load gave, for the same listeners. Connections that are open go on as they are.
 */
int server_tls_load(
    const struct conf *, struct tls_conf *ret[CONF_LISTEN_MAX], char err[CONF_ERR_MAX]);
void server_tls_free(struct tls_conf *[CONF_LISTEN_MAX]);
void server_tls_install(struct tls_conf *[CONF_LISTEN_MAX]);
/* The same addresses, each in clear text or not as before. */
int server_tls_same_listeners(const struct conf *, const struct conf *);
void server_tls_metrics(int on);

#endif
