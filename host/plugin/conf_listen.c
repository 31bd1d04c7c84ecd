/* conf_listen.c: the key `listen`: addresses, certificates, and what is asked of clients. */
#include "plugin/conf.h"

#include "net/tls.h"

struct listen_opt {
	const char *address;
	const json_t *tls;
};
static const ins_option listen_table[] = {
	INS_OPT_STR(struct listen_opt, address, NULL, "HOST:PORT; port 0 picks a free one"),
	INS_OPT_JSON(struct listen_opt, tls, "certificates; without it: clear text"),
	INS_OPT_END(struct listen_opt),
};

struct tls_opt {
	const char *certificate, *key, *min_version, *client_ca, *client;
	const json_t *sni;
};
static const ins_option tls_table[] = {
	INS_OPT_STR(struct tls_opt, certificate, NULL, "file with the chain, PEM"),
	INS_OPT_STR(struct tls_opt, key, NULL, "file with the private key, PEM"),
	INS_OPT_JSON(struct tls_opt, sni,
	    "more certificates, taken by the name that a client asks for: [{certificate, key}]"),
	INS_OPT_STR(struct tls_opt, min_version, "1.2", "oldest version that is spoken: 1.2, 1.3"),
	INS_OPT_STR(struct tls_opt, client_ca, "",
	    "file with the authorities of client certificates, PEM; without it none is asked for"),
	INS_OPT_STR(struct tls_opt, client, "optional",
	    "with client_ca: optional, or required: no connection without a certificate"),
	INS_OPT_END(struct tls_opt),
};

static const ins_option cert_table[] = {
	INS_OPT_STR(struct tls_cert, certificate, NULL, "file with the chain, PEM"),
	INS_OPT_STR(struct tls_cert, key, NULL, "file with the private key, PEM"),
	INS_OPT_END(struct tls_cert),
};

/* One of two words, so that none is guessed. */
static int
one_of(struct conf *c, const char *path, const char *key, const char *value, const char *off,
    const char *on, int *ret, char err[CONF_ERR_MAX])
{
	char sub[CONF_PATH_MAX];

	*ret = strcmp(value, on) == 0;
	if (*ret || strcmp(value, off) == 0)
		return 0;
	snprintf(sub, sizeof sub, "%.400s.%s", path, key);
	return conf_error(&c->doc, sub, err, "must be %s or %s", off, on);
}

static int
read_sni(struct conf *c, const char *path, const json_t *list, struct tls_opts *tls,
    char err[CONF_ERR_MAX])
{
	struct tls_cert *cert;
	char sub[CONF_PATH_MAX];
	size_t i;

	snprintf(sub, sizeof sub, "%.400s.sni", path);
	if (list != NULL && !json_is_array(list))
		return conf_error(&c->doc, sub, err, "must be a list of {certificate, key}");
	if (json_array_size(list) >= TLS_CERTS_MAX)
		return conf_error(
		    &c->doc, sub, err, "more than %d certificates", TLS_CERTS_MAX - 1);
	for (i = 0; i < json_array_size(list); i++) {
		snprintf(sub, sizeof sub, "%.400s.sni[%zu]", path, i);
		if (conf_options(&c->doc, sub, json_array_get(list, i), cert_table, &c->arena,
			(void **)&cert, err) != 0)
			return -1;
		tls->certs[tls->n_certs++] = *cert;
	}
	return 0;
}

static int
read_tls(struct conf *c, const char *path, const json_t *obj, struct tls_opts **ret,
    char err[CONF_ERR_MAX])
{
	struct tls_opts *tls = arena_alloc(&c->arena, sizeof *tls);
	struct tls_opt *o;

	AN(tls);
	if (conf_options(&c->doc, path, obj, tls_table, &c->arena, (void **)&o, err) != 0 ||
	    one_of(c, path, "min_version", o->min_version, "1.2", "1.3", &tls->only_13, err) != 0 ||
	    one_of(c, path, "client", o->client, "optional", "required", &tls->client_required,
		err) != 0)
		return -1;
	tls->certs[0] = (struct tls_cert){ o->certificate, o->key };
	tls->n_certs = 1;
	if (*o->client_ca != '\0')
		tls->client_ca = o->client_ca;
	else if (tls->client_required)
		return conf_error(&c->doc, path, err,
		    "client: required, but client_ca does not say whose certificates are good");
	*ret = tls;
	return read_sni(c, path, o->sni, tls, err);
}

int
conf_read_listen(struct conf *c, const json_t *list, char err[CONF_ERR_MAX])
{
	struct listen_opt *o;
	char path[CONF_PATH_MAX], sub[CONF_PATH_MAX + 8];
	size_t i;

	if (list != NULL && !json_is_array(list))
		return conf_error(&c->doc, "listen", err, "must be a list of {address, tls}");
	if (json_array_size(list) > CONF_LISTEN_MAX)
		return conf_error(
		    &c->doc, "listen", err, "more than %d listeners", CONF_LISTEN_MAX);
	for (i = 0; i < json_array_size(list); i++) {
		snprintf(path, sizeof path, "listen[%zu]", i);
		if (conf_options(&c->doc, path, json_array_get(list, i), listen_table, &c->arena,
			(void **)&o, err) != 0)
			return -1;
		c->listen[i].address = o->address;
		snprintf(sub, sizeof sub, "%s.tls", path);
		if (o->tls != NULL && read_tls(c, sub, o->tls, &c->listen[i].tls, err) != 0)
			return -1;
		c->n_listen++;
	}
	return 0;
}
