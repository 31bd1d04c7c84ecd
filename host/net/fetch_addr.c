/*
 * fetch_addr.c: which addresses an outbound request may not reach unless its entry opens them.
 * Pure.
 *
 * Judged is the address that is about to be connected to, after the lookup, so that a name which
 * resolves to a private address (or does so the second time) gains nothing. IPv6 forms that carry
 * an IPv4 address are judged by it. Source: the IANA special-purpose registries (RFC 6890).
 */
#include "net/fetch_int.h"

#include <arpa/inet.h>
#include <netinet/in.h>

struct range4 {
	uint32_t net;
	unsigned bits;
};
static const struct range4 closed4[] = {
	{ 0x00000000, 8 },  /* this network */
	{ 0x0a000000, 8 },  /* private */
	{ 0x64400000, 10 }, /* carrier NAT */
	{ 0x7f000000, 8 },  /* loopback */
	{ 0xa9fe0000, 16 }, /* link-local, cloud metadata */
	{ 0xac100000, 12 }, /* private */
	{ 0xc0000000, 24 }, /* protocol assignments */
	{ 0xc0000200, 24 }, /* documentation */
	{ 0xc0586300, 24 }, /* 6to4 relays */
	{ 0xc0a80000, 16 }, /* private */
	{ 0xc6120000, 15 }, /* benchmarks */
	{ 0xc6336400, 24 }, /* documentation */
	{ 0xcb007100, 24 }, /* documentation */
	{ 0xe0000000, 4 },  /* multicast */
	{ 0xf0000000, 4 },  /* reserved, broadcast */
};

struct range6 {
	unsigned char net[16];
	unsigned bits;
	unsigned v4_at; /* byte at which an IPv4 address stands that decides; 0 = closed */
};
static const struct range6 special6[] = {
	{ { 0 }, 128, 0 },                        /* unspecified */
	{ { [15] = 1 }, 128, 0 },                 /* loopback */
	{ { [10] = 0xff, [11] = 0xff }, 96, 12 }, /* mapped */
	{ { 0 }, 96, 12 },                        /* compatible */
	{ { [4] = 0xff, [5] = 0xff }, 96, 12 },   /* not in the registry: SIIT's first form */
	{ { 0x00, 0x64, 0xff, 0x9b }, 96, 12 },   /* NAT64 */
	{ { 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01 }, 48, 0 }, /* local NAT64 */
	{ { 0x01 }, 64, 0 },                               /* discard */
	{ { 0x20, 0x01, 0x00, 0x00 }, 32, 0 },             /* Teredo */
	{ { 0x20, 0x01, 0x0d, 0xb8 }, 32, 0 },             /* documentation */
	{ { 0x20, 0x02 }, 16, 2 },                         /* 6to4 */
	{ { 0xfc }, 7, 0 },                                /* unique local */
	{ { 0xfe, 0x80 }, 10, 0 },                         /* link-local */
	{ { 0xfe, 0xc0 }, 10, 0 },                         /* site-local */
	{ { 0xff }, 8, 0 },                                /* multicast */
};

static int
fetch_closed4(const unsigned char p[4])
{
	uint32_t a = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
	size_t i;

	for (i = 0; i < NELEM(closed4); i++)
		if ((a ^ closed4[i].net) >> (32 - closed4[i].bits) == 0)
			return 1;
	return 0;
}

static int
fetch_in6(const unsigned char a[16], const struct range6 *r)
{
	unsigned whole = r->bits / 8, rest = r->bits % 8;

	if (memcmp(a, r->net, whole) != 0)
		return 0;
	return rest == 0 || (a[whole] ^ r->net[whole]) >> (8 - rest) == 0;
}

int
fetch_addr_closed(const struct sockaddr *sa)
{
	const unsigned char *a;
	size_t i;

	if (sa->sa_family == AF_INET)
		return fetch_closed4(
		    (const unsigned char *)&((const struct sockaddr_in *)(const void *)sa)
			->sin_addr);
	if (sa->sa_family != AF_INET6)
		return 1;
	a = ((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr.s6_addr;
	for (i = 0; i < NELEM(special6); i++)
		if (fetch_in6(a, &special6[i]))
			return special6[i].v4_at == 0 || fetch_closed4(a + special6[i].v4_at);
	return 0;
}
