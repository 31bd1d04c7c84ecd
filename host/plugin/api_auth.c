/* api_auth.c: for the plugin that says who is calling. Loops. */
#include "net/http.h"
#include "net/tls.h"
#include "plugin/api.h"
#include "tenant/tenant.h"

static int
auth_is_uuid(const char *z)
{
	size_t i;

	for (i = 0; i < 36; i++)
		if (i == 8 || i == 13 || i == 18 || i == 23
			? z[i] != '-'
			: !((z[i] >= '0' && z[i] <= '9') || (z[i] >= 'a' && z[i] <= 'f')))
			return 0;
	return z[36] == '\0';
}

int
api_set_principal(struct ins_ctx *ctx, const ins_principal *p)
{
	char *permissions;

	CHECK_OBJ(ctx, TASK_MAGIC);
	if (p->tenant_id == NULL || !auth_is_uuid(p->tenant_id))
		return task_fail(
		    ctx, INS_EUNAUTHENTICATED, "the credential's tenant is not a lower-case uuid");
	if (p->user_id != NULL && strlen(p->user_id) >= sizeof ctx->user_id)
		return task_fail(
		    ctx, INS_EUNAUTHENTICATED, "the credential's user is longer than 128 bytes");
	if (p->plan != NULL && strlen(p->plan) >= sizeof ctx->plan)
		return task_fail(ctx, INS_EINTERNAL, "the plan's name is longer than 32 bytes");
	permissions = arena_strdup(&ctx->arena, p->permissions != NULL ? p->permissions : "");
	if (permissions == NULL)
		return task_fail(ctx, INS_ENOMEM, "out of memory");
	snprintf(ctx->tenant_id, sizeof ctx->tenant_id, "%s", p->tenant_id);
	snprintf(ctx->user_id, sizeof ctx->user_id, "%s", p->user_id != NULL ? p->user_id : "");
	snprintf(ctx->plan, sizeof ctx->plan, "%s", p->plan != NULL ? p->plan : "");
	ctx->permissions = permissions;
	return 0;
}

static int
auth_peer_cert(ins_ctx *ctx, ins_peer_cert *ret)
{
	const struct tls_peer *p = ctx->http == NULL ? NULL : http_peer(ctx->http);

	if (p == NULL)
		return -INS_ENOTFOUND;
	ret->subject = p->subject;
	ret->names = p->names;
	ret->sha256 = p->sha256;
	ret->not_after = p->not_after;
	return 0;
}

const ins_auth_api api_auth = {
	.size = sizeof(ins_auth_api),
	.set_principal = api_set_principal,
	.key_lookup = tenant_key_lookup,
	.tenant_lookup = tenant_lookup,
	.peer_cert = auth_peer_cert,
};
