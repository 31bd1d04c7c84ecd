/*
 * auth.c: says who is calling: API keys, signed tokens and client certificates. Provides
 * ins.auth/1.
 *
 * This file holds the descriptor, the options and the life of the per-loop tables; auth_identify.c
 * is the way of a request.
 */
#include "auth.h"

#include <stdlib.h>

static void
fini(void *self)
{
	struct auth *auth = self;

	keys_free(&auth->keys);
	certs_free(&auth->certs);
}

static int
init(ins_host *host, const void *options, void **ret_self)
{
	const struct conf *conf = options;
	struct auth *auth = ins_new(host, sizeof *auth);
	struct keys_error err;
	int r;

	if (conf->recheck < 100 || conf->recheck > 60000)
		return ins_conf_error(host, "recheck", "must be from 100ms to 1m");
	if (conf->grace < 0 || conf->grace > 3600000)
		return ins_conf_error(host, "grace", "must be from 0s to 1h");
	if (conf->cache_entries < 16 || conf->cache_entries > 65536)
		return ins_conf_error(host, "cache_entries", "must be from 16 to 65536");
	if (keys_load(&auth->keys, conf->keys, &err) != 0)
		return ins_conf_error(host, err.where, "%s", err.text);
	if (certs_load(&auth->certs, conf->clients, &err) != 0) {
		keys_free(&auth->keys);
		return ins_conf_error(host, err.where, "%s", err.text);
	}
	auth->host = host;
	auth->recheck_us = conf->recheck * 1000;
	auth->grace_us = conf->grace * 1000;
	auth->cache_entries = (unsigned)conf->cache_entries;
	auth->requests = ins_counter(
	    host, "auth_requests_total", "Requests by what became of their credential", "result");
	auth->service = (ins_auth){
		.size = sizeof auth->service, .self = auth, .identify = auth_identify
	};
	*ret_self = auth;
	r = ins_provide(host, INS_AUTH_IFACE, "auth", &auth->service);
	if (r != 0)
		fini(auth);
	return r;
}

static int
start(void *self, ins_loop *loop, void **ret_local)
{
	struct auth *auth = self;
	struct auth_loop *l = calloc(1, sizeof *l);

	if (l == NULL || auth_loop_init(l, auth->cache_entries) != 0) {
		free(l);
		return -INS_ENOMEM;
	}
	*ret_local = l;
	return 0;
}

static void
stop(void *self, ins_loop *loop, void *local)
{
	auth_loop_fini(local);
	free(local);
}

static const ins_option options[] = {
	INS_OPT_JSON(struct conf, keys,
	    "keys that tokens are verified with: [{kid, alg: HS256|RS256|ES256, secret | key_file, "
	    "issuer, audience, tenant_claim, permissions_claim, leeway}]"),
	INS_OPT_JSON(struct conf, clients,
	    "whom client certificates stand for: [{name: URI:... | DNS:... | email:... | "
	    "subject:... | sha256:..., tenant, user, permissions}]"),
	INS_OPT_MS(struct conf, recheck, "2s",
	    "how long a key's or tenant's state is believed before the database is asked again"),
	INS_OPT_MS(
	    struct conf, grace, "1m", "how long what is known holds while the database is away"),
	INS_OPT_INT(struct conf, cache_entries, "4096", "credentials that each loop remembers"),
	INS_OPT_END(struct conf),
};

INS_PLUGIN(.name = "auth", .version = "1.0.0",
    .summary = "API keys, signed tokens, client certificates", .caps = INS_CAP_AUTH | INS_CAP_HTTP,
    .options = options, .init = init, .start = start, .stop = stop, .fini = fini);
