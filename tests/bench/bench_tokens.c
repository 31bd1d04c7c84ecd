/*
 * bench_tokens.c: bench_tokens N SECRET TENANT: N tokens (HS256, one hour) of one tenant, a user
 * each, one a line. The issuer and audience are those of tests/bench/run.
 */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static size_t
base64url(char *out, const void *p, size_t n)
{
	size_t len = (size_t)EVP_EncodeBlock((unsigned char *)out, p, (int)n);

	while (len > 0 && out[len - 1] == '=')
		len--;
	for (size_t i = 0; i < len; i++)
		out[i] = out[i] == '+' ? '-' : out[i] == '/' ? '_' : out[i];
	out[len] = '\0';
	return len;
}

int
main(int argc, char **argv)
{
	static const char header[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
	unsigned char mac[EVP_MAX_MD_SIZE];
	char claims[512], token[2048];
	unsigned mac_n;
	size_t n;

	if (argc != 4) {
		fprintf(stderr, "usage: bench_tokens N SECRET TENANT\n");
		return 2;
	}
	for (int i = 0; i < atoi(argv[1]); i++) {
		n = base64url(token, header, sizeof header - 1);
		token[n++] = '.';
		snprintf(claims, sizeof claims,
		    "{\"iss\":\"bench\",\"aud\":\"insula\",\"sub\":\"user-%d\",\"exp\":%lld,"
		    "\"tenant_id\":\"%.64s\",\"permissions\":[\"hello:read\"]}",
		    i, (long long)time(NULL) + 3600, argv[3]);
		n += base64url(token + n, claims, strlen(claims));
		HMAC(EVP_sha256(), argv[2], (int)strlen(argv[2]), (unsigned char *)token, n, mac,
		    &mac_n);
		token[n++] = '.';
		base64url(token + n, mac, mac_n);
		puts(token);
	}
	return 0;
}
