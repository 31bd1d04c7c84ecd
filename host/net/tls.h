/*
 * tls.h: what a listener shows to its peers and asks of them: TLS 1.3 (and 1.2 with AEAD suites
 * unless it is turned off), ALPN h2 and http/1.1, a certificate by the name that is asked for (SNI,
 * RFC 6066 §3), and client certificates.
 */
#ifndef HOST_TLS_H
#define HOST_TLS_H

#include <stddef.h>
#include <stdint.h>

#define TLS_CERTS_MAX 32
#define TLS_PEER_NAMES_MAX 2048 /* bytes; further names of a certificate are left out */

/* Files, PEM. */
struct tls_cert {
	const char *certificate, *key; /* the chain, the server's own first */
};

struct tls_opts {
	struct tls_cert certs[TLS_CERTS_MAX];
	size_t n_certs; /* the first serves every name that none covers, and clients without one */
	const char *client_ca; /* NULL: clients are not asked for a certificate */
	int client_required;
	int only_13;
};

/* A client's certificate, verified against client_ca. */
struct tls_peer {
	char subject[512]; /* RFC 2253 */
	char
	    names[TLS_PEER_NAMES_MAX]; /* of subjectAltName, a line each: "DNS:a\nURI:spiffe://b" */
	char sha256[65];               /* of its DER form, hexadecimal */
	int64_t not_after;             /* seconds since 1970 */
};

struct tls_conf;

/* Reads all files. NULL and err on failure (file, reason). Warns in the log about a certificate
 * that ends within two weeks. */
struct tls_conf *tls_load(const struct tls_opts *, char err[256]);
void tls_free(struct tls_conf *);           /* connections that use it keep what they need */
void *tls_ssl_ctx(const struct tls_conf *); /* SSL_CTX * */

/* Called on the connection's loop when a handshake is over in which the client showed a certificate
 * that verified, also when the session is resumed; `transport` is what the connection's read BIO
 * carries. The peer is the callee's, to be released by free(). Before any connection. */
void tls_on_peer(struct tls_conf *, void (*seen)(void *transport, struct tls_peer *));

/* When the earliest of its certificates ends, seconds since 1970. */
int64_t tls_not_after(const struct tls_conf *);

#endif
