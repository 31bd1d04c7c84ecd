/*
 * tls.c: see tls.h. Made on the control thread before its listener uses it; afterwards OpenSSL's
 * own locks make the SSL_CTX safe on all loops, and nothing here is written to.
 *
 * One SSL_CTX per certificate, all with the same rules. A handshake begins in the first and moves
 * to the one whose certificate covers the name; tickets are always the first one's, so a session
 * can be resumed whatever its name was. Every SSL holds the first to its end, and so the first owns
 * the whole: a certificate that is replaced goes with the last connection that began under it.
 */
#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <time.h>

#include "base/base.h"
#include "base/log.h"

#define TLS_SOON_S (14 * 24 * 3600)

struct tls_conf {
	SSL_CTX *ctxs[TLS_CERTS_MAX];
	size_t n;
	int64_t not_after;
	void (*on_peer)(void *transport, struct tls_peer *);
};

static pthread_once_t tls_once = PTHREAD_ONCE_INIT;
static int tls_owner = -1; /* index of the tls_conf that an SSL_CTX owns */

/* The first context goes. OpenSSL calls this for every context of the process. */
static void
tls_on_ctx_freed(void *ctx, void *owned, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
	struct tls_conf *t = owned;
	size_t i;

	if (t == NULL)
		return;
	for (i = 1; i < t->n; i++)
		SSL_CTX_free(t->ctxs[i]);
	free(t);
}

static void
tls_init(void)
{
	tls_owner = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, tls_on_ctx_freed);
	ASSERT(tls_owner >= 0);
}

static int
tls_refuse(const char *file, const char *what, char err[256])
{
	char why[160];

	ERR_error_string_n(ERR_peek_last_error(), why, sizeof(why));
	ERR_clear_error();
	snprintf(err, 256, "%s: %s (%s)", file, what, why);
	return -1;
}

/* The server's order decides: HTTP/2 when the client has it, else HTTP/1.1, also when it asks for
 * neither. */
static int
tls_on_alpn(SSL *ssl, const unsigned char **ret, unsigned char *ret_n, const unsigned char *in,
    unsigned n, void *arg)
{
	static const unsigned char ours[] = "\x02h2\x08http/1.1";
	unsigned char *pick;

	if (SSL_select_next_proto(&pick, ret_n, ours, sizeof(ours) - 1, in, n) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_NOACK;
	*ret = pick;
	return SSL_TLSEXT_ERR_OK;
}

static int
tls_on_name(SSL *ssl, int *alert, void *arg)
{
	const struct tls_conf *t = arg;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	size_t i;

	for (i = 0; name != NULL && i < t->n; i++)
		if (X509_check_host(SSL_CTX_get0_certificate(t->ctxs[i]), name, 0,
			X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1) {
			SSL_set_SSL_CTX(ssl, t->ctxs[i]);
			return SSL_TLSEXT_ERR_OK;
		}
	return SSL_TLSEXT_ERR_NOACK;
}

static int64_t
tls_seconds(const ASN1_TIME *at)
{
	struct tm tm;

	return ASN1_TIME_to_tm(at, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

/* ---- clients' certificates ---- */

/* What would break a line, or is no text, is left out: a name is compared whole. */
static void
tls_add_name(struct tls_peer *p, const char *kind, const ASN1_STRING *s)
{
	const unsigned char *z = ASN1_STRING_get0_data(s);
	size_t i, n = (size_t)ASN1_STRING_length(s), at = strlen(p->names);

	for (i = 0; i < n; i++)
		if (z[i] < 0x20 || z[i] == 0x7f)
			return;
	if (at + strlen(kind) + n + 2 > sizeof(p->names))
		return;
	snprintf(p->names + at, sizeof(p->names) - at, "%s%s%.*s", at > 0 ? "\n" : "", kind, (int)n,
	    (const char *)z);
}

static void
tls_read_names(struct tls_peer *p, X509 *x)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	const GENERAL_NAME *g;
	int i;

	for (i = 0; i < sk_GENERAL_NAME_num(all); i++) {
		g = sk_GENERAL_NAME_value(all, i);
		if (g->type == GEN_DNS)
			tls_add_name(p, "DNS:", g->d.dNSName);
		else if (g->type == GEN_URI)
			tls_add_name(p, "URI:", g->d.uniformResourceIdentifier);
		else if (g->type == GEN_EMAIL)
			tls_add_name(p, "email:", g->d.rfc822Name);
	}
	GENERAL_NAMES_free(all);
}

static struct tls_peer *
tls_read_peer(X509 *x)
{
	struct tls_peer *p = base_alloc(sizeof(*p));
	unsigned char digest[EVP_MAX_MD_SIZE];
	BIO *text = BIO_new(BIO_s_mem());
	unsigned i, n = 0;
	int k;

	/* A subject that does not fit is none: half of it could be somebody else's. */
	if (text != NULL &&
	    X509_NAME_print_ex(text, X509_get_subject_name(x), 0, XN_FLAG_RFC2253) >= 0 &&
	    BIO_pending(text) < (long)sizeof(p->subject)) {
		k = BIO_read(text, p->subject, sizeof(p->subject) - 1);
		p->subject[k > 0 ? k : 0] = '\0';
	}
	BIO_free(text);
	tls_read_names(p, x);
	if (X509_digest(x, EVP_sha256(), digest, &n) == 1)
		for (i = 0; i < n; i++)
			snprintf(p->sha256 + 2 * i, 3, "%02x", digest[i]);
	p->not_after = tls_seconds(X509_get0_notAfter(x));
	ERR_clear_error();
	return p;
}

/* The verify callback would not do: a resumed session has a certificate and verifies nothing. */
static void
tls_on_info(const SSL *ssl, int where, int ret)
{
	const struct tls_conf *t;
	X509 *x;

	if (!(where & SSL_CB_HANDSHAKE_DONE))
		return;
	t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	x = SSL_get0_peer_certificate(ssl);
	if (x != NULL && t->on_peer != NULL && SSL_get_verify_result(ssl) == X509_V_OK)
		t->on_peer(BIO_get_data(SSL_get_rbio(ssl)), tls_read_peer(x));
}

static int
tls_ask_clients(SSL_CTX *ctx, const struct tls_opts *o, char err[256])
{
	STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(o->client_ca);

	if (names == NULL || SSL_CTX_load_verify_file(ctx, o->client_ca) != 1) {
		sk_X509_NAME_pop_free(names, X509_NAME_free);
		return tls_refuse(o->client_ca, "no usable certificates of authorities (PEM)", err);
	}
	SSL_CTX_set_client_CA_list(ctx, names);
	SSL_CTX_set_verify(ctx,
	    SSL_VERIFY_PEER | (o->client_required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
	SSL_CTX_set_info_callback(ctx, tls_on_info);
	return 0;
}

/* ---- the whole ---- */

static int
tls_rules(SSL_CTX *ctx, const struct tls_opts *o)
{
	/* Without it a session that showed a certificate could not be resumed. */
	static const unsigned char context[] = "insula";

	SSL_CTX_set_options(ctx,
	    SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
		SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_alpn_select_cb(ctx, tls_on_alpn, NULL);
	return SSL_CTX_set_min_proto_version(ctx, o->only_13 ? TLS1_3_VERSION : TLS1_2_VERSION) &&
	    SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") &&
	    SSL_CTX_set_session_id_context(ctx, context, sizeof(context) - 1);
}

static void
tls_note_end(struct tls_conf *t, const char *file, SSL_CTX *ctx)
{
	int64_t end = tls_seconds(X509_get0_notAfter(SSL_CTX_get0_certificate(ctx)));
	int64_t now = (int64_t)time(NULL);

	if (end - now < TLS_SOON_S)
		log_msg(INS_LOG_WARN, "tls.certificate_ends", "%s: %s", file,
		    end < now ? "it has ended, clients will refuse it"
			      : "it ends within two weeks");
	if (t->not_after == 0 || end < t->not_after)
		t->not_after = end;
}

static int
tls_add(struct tls_conf *t, const struct tls_opts *o, const struct tls_cert *c, char err[256])
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (ctx == NULL)
		return tls_refuse(c->certificate, "no TLS context", err);
	t->ctxs[t->n++] = ctx;
	if ((t->n == 1 && SSL_CTX_set_ex_data(ctx, tls_owner, t) != 1) ||
	    SSL_CTX_set_app_data(ctx, t) != 1 || !tls_rules(ctx, o))
		return tls_refuse(c->certificate, "cannot set versions and suites", err);
	if (SSL_CTX_use_certificate_chain_file(ctx, c->certificate) != 1)
		return tls_refuse(c->certificate, "no usable certificate chain (PEM)", err);
	if (SSL_CTX_use_PrivateKey_file(ctx, c->key, SSL_FILETYPE_PEM) != 1)
		return tls_refuse(c->key, "no usable private key (PEM)", err);
	if (SSL_CTX_check_private_key(ctx) != 1)
		return tls_refuse(c->key, "the key does not belong to the certificate", err);
	if (o->client_ca != NULL && tls_ask_clients(ctx, o, err) != 0)
		return -1;
	tls_note_end(t, c->certificate, ctx);
	return 0;
}

struct tls_conf *
tls_load(const struct tls_opts *o, char err[256])
{
	struct tls_conf *t = base_alloc(sizeof(*t));
	size_t i;

	pthread_once(&tls_once, tls_init);
	ASSERT(o->n_certs >= 1 && o->n_certs <= TLS_CERTS_MAX);
	for (i = 0; i < o->n_certs; i++)
		if (tls_add(t, o, &o->certs[i], err) != 0) {
			tls_free(t);
			return NULL;
		}
	SSL_CTX_set_tlsext_servername_callback(t->ctxs[0], tls_on_name);
	SSL_CTX_set_tlsext_servername_arg(t->ctxs[0], t);
	return t;
}

void
tls_free(struct tls_conf *t)
{
	if (t != NULL && t->n > 0)
		SSL_CTX_free(t->ctxs[0]); /* see tls_on_ctx_freed */
	else
		free(t);
}

void *
tls_ssl_ctx(const struct tls_conf *t)
{
	return t->ctxs[0];
}

void
tls_on_peer(struct tls_conf *t, void (*seen)(void *transport, struct tls_peer *))
{
	t->on_peer = seen;
}

int64_t
tls_not_after(const struct tls_conf *t)
{
	return t->not_after;
}
