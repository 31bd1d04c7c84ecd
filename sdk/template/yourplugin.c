/*
 * yourplugin.c: greets, and says how often it did.
 *
 * GET /v1/yourplugin/{name}, permission yourplugin:read.
 */
#include <insula/insula.h>

struct conf {
	const char *greeting;
	int64_t longest;
};

/* One for all loops: read-only once init has returned. What changes is a metric, or state of a loop
 * made in start(). */
struct yourplugin {
	struct conf conf;
	ins_metric *greetings;
};

static int
yourplugin_get(ins_ctx *ctx, void *self)
{
	struct yourplugin *p = self;
	const char *name = ins_param(ctx, "name");

	if (strlen(name) > (size_t)p->conf.longest) {
		ins_field(ctx, "name");
		return ins_fail(
		    ctx, INS_EINVAL, "a name has at most %lld bytes", (long long)p->conf.longest);
	}
	ins_add(p->greetings, NULL, 1);
	return ins_reply_json(ctx, 200, "{s:s, s:s}", "greeting", p->conf.greeting, "name", name);
}

static int
yourplugin_init(ins_host *host, const void *conf, void **ret_self)
{
	struct yourplugin *p = ins_new(host, sizeof *p);

	p->conf = *(const struct conf *)conf;
	p->greetings = ins_counter(host, "yourplugin_greetings_total", "greetings sent", NULL);
	*ret_self = p;
	return ins_route(host, "GET", "/v1/yourplugin/{name}", "yourplugin:read", yourplugin_get);
}

static const ins_option yourplugin_options[] = {
	INS_OPT_STR(struct conf, greeting, "Hello", "the word before the name"),
	INS_OPT_INT_IN(struct conf, longest, "64", 1, 200, "bytes of the longest name"),
	INS_OPT_END(struct conf),
};

INS_PLUGIN(.name = "yourplugin", .version = "0.1.0", .summary = "greets", .caps = INS_CAP_HTTP,
    .options = yourplugin_options, .init = yourplugin_init);
