/* certs.c: see certs.h. */
#include "tests/lib/certs.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>

#include "base/base.h"

struct cert_issuer {
	X509 *x;
	EVP_PKEY *key;
};

static EVP_PKEY *
make_key(const char *file)
{
	EVP_PKEY *k = EVP_EC_gen("P-256");
	FILE *f = fopen(file, "we");

	ASSERT(k != NULL && f != NULL);
	ASSERT(PEM_write_PrivateKey(f, k, NULL, NULL, 0, NULL, NULL) == 1);
	fclose(f);
	return k;
}

void
certs_key(const char *file)
{
	EVP_PKEY_free(make_key(file));
}

static void
add_extension(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	ASSERT(e != NULL && X509_add_ext(x, e, -1) == 1);
	X509_EXTENSION_free(e);
}

struct cert_issuer *
certs_make(const char *cert_file, const char *key_file, const char *cn, const char *san,
    struct cert_issuer *issuer)
{
	static atomic_long serial;
	struct cert_issuer *c = base_alloc(sizeof *c);
	FILE *f;

	c->key = make_key(key_file);
	c->x = X509_new();
	X509_set_version(c->x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(c->x), atomic_fetch_add(&serial, 1) + 1);
	X509_gmtime_adj(X509_getm_notBefore(c->x), -60);
	X509_gmtime_adj(X509_getm_notAfter(c->x), 3600);
	X509_NAME_add_entry_by_txt(
	    X509_get_subject_name(c->x), "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0);
	X509_set_issuer_name(c->x, X509_get_subject_name(issuer == NULL ? c->x : issuer->x));
	add_extension(c->x, NID_subject_alt_name, san);
	add_extension(c->x, NID_basic_constraints, issuer == NULL ? "CA:TRUE" : "CA:FALSE");
	X509_set_pubkey(c->x, c->key);
	ASSERT(X509_sign(c->x, issuer == NULL ? c->key : issuer->key, EVP_sha256()) > 0);
	f = fopen(cert_file, strcmp(cert_file, key_file) == 0 ? "ae" : "we");
	ASSERT(f != NULL && PEM_write_X509(f, c->x) == 1);
	fclose(f);
	return c;
}

void
certs_free(struct cert_issuer *c)
{
	X509_free(c->x);
	EVP_PKEY_free(c->key);
	free(c);
}
