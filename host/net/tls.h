/* tls.h: a listener's certificate and key: TLS 1.3 (and 1.2 with AEAD suites), ALPN h2 and
 * http/1.1. */
#ifndef HOST_TLS_H
#define HOST_TLS_H

struct tls_conf;
/* NULL and err on failure (file, reason). */
struct tls_conf *tls_load(const char *cert_file, const char *key_file, char err[256]);
void tls_free(struct tls_conf *);
void *tls_ssl_ctx(const struct tls_conf *); /* SSL_CTX * */

#endif
