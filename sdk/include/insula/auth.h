/* auth.h: "ins.auth/1": who is calling. One provider in a generation; the host asks it on every
 * route that is not public, and whenever it says no the request ends there. */
#ifndef INSULA_AUTH_H
#define INSULA_AUTH_H

#include <insula/insula.h>

#define INS_AUTH_IFACE "ins.auth/1"

typedef struct {
	uint32_t size;
	void *self;
	/*
	 * Reads the credential of the request and calls ins_set_principal(), or fails:
	 * -INS_EUNAUTHENTICATED (none, unknown, expired, malformed), -INS_EDENIED (tenant
	 * suspended), -INS_EUNAVAILABLE (could not be checked; never 401 for that).
	 */
	INS_AWAITS
	int (*identify)(ins_ctx *, void *self);
} ins_auth;

/* For the provider (INS_CAP_AUTH). Sets tenant, user, plan and permissions of the task; the strings
 * are copied. */
static inline int
ins_set_principal(ins_ctx *ctx, const ins_principal *principal)
{
	return ins_api_->auth->set_principal(ctx, principal);
}

/* Finds an API key by its public id. 0, -INS_ENOTFOUND, -INS_EUNAVAILABLE. Strings live as long as
 * the task. */
INS_AWAITS
static inline int
ins_key_lookup(ins_ctx *ctx, const char *public_id, ins_key_row *ret)
{
	ret->size = sizeof *ret;
	return ins_api_->auth->key_lookup(ctx, public_id, ret);
}

/* Plan and status ("active", "suspended") of a tenant. 0, -INS_ENOTFOUND, -INS_EUNAVAILABLE. */
INS_AWAITS
static inline int
ins_tenant_lookup(
    ins_ctx *ctx, const char *tenant_id, const char **ret_plan, const char **ret_status)
{
	return ins_api_->auth->tenant_lookup(ctx, tenant_id, ret_plan, ret_status);
}

/* The client's certificate. 0, or -INS_ENOTFOUND: none was shown, or none is asked for. */
static inline int
ins_client_cert(ins_ctx *ctx, ins_peer_cert *ret)
{
	ret->size = sizeof *ret;
	return ins_api_->auth->peer_cert(ctx, ret);
}

#endif
