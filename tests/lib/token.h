/* token.h: makes signed (and badly signed) tokens and key pairs for tests. */
#ifndef TESTS_TOKEN_H
#define TESTS_TOKEN_H

#include <jansson.h>

/* A PEM key pair: kind "RSA" or "EC" (P-256); bits for RSA. Aborts on failure; free() both. */
void token_key_pair(const char *kind, int bits, char **ret_private, char **ret_public);

/* A signed token; alg "HS256", "RS256", "ES256" or "none"; key is the secret or the private PEM;
 * kid may be NULL; claims as json_pack would take them. free() it. */
char *token_signed(
    const char *alg, const char *key, const char *kid, const char *claims_format, ...);

/* A token of these exact texts as header and claims, signed with HS256 whatever the header says. */
char *token_raw(const char *header, const char *claims, const char *secret);

#endif
