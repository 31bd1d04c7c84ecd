/* tls.c: see tls.h. Made on the control thread before the listener; afterwards OpenSSL's own locks
 * make the SSL_CTX safe on all loops. */
#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/base.h"

struct tls_conf {
	SSL_CTX *ctx;
};

static struct tls_conf *
tls_refuse(struct tls_conf *t, const char *file, const char *what, char err[256])
{
	char why[160];

	ERR_error_string_n(ERR_peek_last_error(), why, sizeof(why));
	ERR_clear_error();
	snprintf(err, 256, "%s: %s (%s)", file, what, why);
	tls_free(t);
	return NULL;
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

struct tls_conf *
tls_load(const char *cert_file, const char *key_file, char err[256])
{
	struct tls_conf *t = base_alloc(sizeof(*t));

	t->ctx = SSL_CTX_new(TLS_server_method());
	if (t->ctx == NULL)
		return tls_refuse(t, cert_file, "no TLS context", err);
	if (!SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION) ||
	    !SSL_CTX_set_cipher_list(t->ctx, "ECDHE+AESGCM:ECDHE+CHACHA20"))
		return tls_refuse(t, cert_file, "cannot set versions and suites", err);
	SSL_CTX_set_options(t->ctx,
	    SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
		SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_alpn_select_cb(t->ctx, tls_on_alpn, NULL);
	if (SSL_CTX_use_certificate_chain_file(t->ctx, cert_file) != 1)
		return tls_refuse(t, cert_file, "no usable certificate chain (PEM)", err);
	if (SSL_CTX_use_PrivateKey_file(t->ctx, key_file, SSL_FILETYPE_PEM) != 1)
		return tls_refuse(t, key_file, "no usable private key (PEM)", err);
	if (SSL_CTX_check_private_key(t->ctx) != 1)
		return tls_refuse(t, key_file, "the key does not belong to the certificate", err);
	return t;
}

void
tls_free(struct tls_conf *t)
{
	if (t == NULL)
		return;
	SSL_CTX_free(t->ctx);
	free(t);
}

void *
tls_ssl_ctx(const struct tls_conf *t)
{
	return t->ctx;
}
