/*
 * anyone.c: says that every caller is the same user of one tenant, after a pause.
 *
 * For tests of the host alone: no database stands behind it. The pause makes requests straddle a
 * reload.
 */
#include <insula/auth.h>

struct conf {
	const char *tenant, *permissions;
	int64_t pause;
};

static int
identify(ins_ctx *ctx, void *self)
{
	const struct conf *conf = self;
	ins_principal who = { .size = sizeof who,
		.tenant_id = conf->tenant,
		.user_id = "anyone",
		.plan = "free",
		.permissions = conf->permissions };
	int r = conf->pause > 0 ? ins_sleep(ctx, conf->pause) : 0;

	return r != 0 ? r : ins_set_principal(ctx, &who);
}

static int
init(ins_host *host, const void *conf, void **ret_self)
{
	ins_auth *auth = ins_new(host, sizeof *auth);

	auth->size = sizeof *auth;
	auth->self = ins_dup(host, conf, sizeof(struct conf));
	auth->identify = identify;
	*ret_self = auth->self;
	return ins_provide(host, INS_AUTH_IFACE, "anyone", auth);
}

static const ins_option options[] = {
	INS_OPT_STR(struct conf, tenant, "00000000-0000-4000-8000-000000000001", "the tenant"),
	INS_OPT_STR(struct conf, permissions, "*", "what everybody may"),
	INS_OPT_MS(struct conf, pause, "0", "before the answer"),
	INS_OPT_END(struct conf),
};

INS_PLUGIN(.name = "anyone", .version = "1.0.0", .summary = "everybody is one user of one tenant",
    .caps = INS_CAP_AUTH, .options = options, .init = init);
