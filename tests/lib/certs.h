/* certs.h: keys and certificates on P-256 for tests, as PEM files. Ends the program on failure. */
#ifndef TESTS_CERTS_H
#define TESTS_CERTS_H

struct cert_issuer; /* a certificate with its key */

/* A key alone, in a new file. */
void certs_key(const char *file);
/*
 * A certificate that is good for an hour. san as in openssl.cnf: "DNS:a.example,IP:127.0.0.1".
 * issuer NULL: it signs itself and is an authority. The certificate goes into cert_file, the key
 * into key_file, which may be the same. Returned for issuing others, to be freed.
 */
struct cert_issuer *certs_make(const char *cert_file, const char *key_file, const char *cn,
    const char *san, struct cert_issuer *issuer);
void certs_free(struct cert_issuer *);

#endif
