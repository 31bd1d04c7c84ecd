/*
 * server_reload.c: another configuration or another image while the host serves, and what
 * `insula plugin` asks for. Control thread.
 *
 * All ways lead to gen_apply(): it succeeds whole, or the old generation goes on serving and the
 * caller gets the reason.
 */
#include "base/log.h"
#include "plugin/request.h"
#include "plugin/server_impl.h"

/* Takes over what may change while the host serves, and names what only a restart can change. */
static void
server_changed(const struct conf *old, const struct conf *next, char note[256])
{
	static const char *const keys[] = { "listen", "admin", "loops", "data", "state_dir" };
	const json_t *a, *b;
	size_t i, n = 0;
	int differs;

	log_level_set(next->log_level);
	request_access_log(next->access_log);
	server_health_init(next);
	note[0] = '\0';
	for (i = 0; i <= NELEM(keys); i++) {
		if (i < NELEM(keys)) {
			a = json_object_get(old->doc.root, keys[i]);
			b = json_object_get(next->doc.root, keys[i]);
			differs = i == 0 ? !server_tls_same_listeners(sv.listening, next)
					 : a != b && !json_equal(a, b);
		} else {
			differs = old->body_max != next->body_max ||
			    old->conn_bytes_max != next->conn_bytes_max ||
			    old->tasks_per_conn_max != next->tasks_per_conn_max ||
			    old->websockets_max != next->websockets_max ||
			    old->websockets_tenant_max != next->websockets_tenant_max ||
			    old->log_text != next->log_text;
		}
		if (differs)
			n += (size_t)snprintf(note + n, 256 - n, "%s%s",
			    n != 0 ? ", " : "changed and waiting for a restart: ",
			    i < NELEM(keys) ? keys[i] : "limits of connections or log.format");
	}
}

/* The file once more, with its certificates: both or neither. */
static int
server_read_again(struct conf **ret, struct tls_conf *tls[CONF_LISTEN_MAX], char err[CONF_ERR_MAX])
{
	if (server_load(ret, err) != 0)
		return -1;
	if (server_tls_load(*ret, tls, err) != 0) {
		conf_unref(*ret);
		return -1;
	}
	if (!server_tls_same_listeners(sv.listening, *ret))
		server_tls_free(tls); /* good, but for listeners that a restart makes */
	return 0;
}

int
server_reload(const char *name, char err[CONF_ERR_MAX], char ret_note[256])
{
	struct tls_conf *tls[CONF_LISTEN_MAX];
	struct conf *next, *old = sv.conf;
	size_t i;

	ret_note[0] = '\0';
	if (sv.draining)
		return server_fail(err, "the host is draining");
	if (name != NULL) {
		for (i = 0; i < old->n_plugins && strcmp(old->plugins[i].name, name) != 0; i++)
			;
		if (i == old->n_plugins)
			return server_fail(
			    err, "there is no plugin %.64s in the configuration", name);
		return gen_apply(old, name, sv.disabled, err);
	}
	if (server_read_again(&next, tls, err) != 0) {
		log_event(INS_LOG_ERROR, "generation.refused", json_pack("{s:s}", "why", err));
		return -1;
	}
	sv.conf = next;
	if (gen_apply(next, NULL, sv.disabled, err) != 0) {
		sv.conf = old;
		conf_unref(next);
		server_tls_free(tls);
		return -1;
	}
	server_tls_install(tls);
	server_changed(old, next, ret_note);
	conf_unref(old);
	return 0;
}

/* Adds a plugin that the configuration does not name, without options. */
static void
server_extra(const char *name)
{
	char path[CONF_PATH_MAX];

	if (sv.extra.root == NULL) {
		sv.extra.root = json_pack("{s:{}}", "plugins");
		sv.extra.marks = json_object();
		sv.extra.env = json_object();
	}
	snprintf(path, sizeof path, "plugins.%.64s", name);
	json_object_set_new(json_object_get(sv.extra.root, "plugins"), name, json_object());
	json_object_set_new(sv.extra.marks, path, json_string("insula plugin enable"));
}

int
server_enable(const char *name, int enabled, char err[CONF_ERR_MAX])
{
	json_t *was = json_deep_copy(sv.disabled);
	char note[256];
	size_t i;
	int known = 0, added = 0, ret;

	for (i = 0; i < sv.conf->n_plugins; i++)
		known |= strcmp(sv.conf->plugins[i].name, name) == 0;
	if (!known && !enabled) {
		json_decref(was);
		return server_fail(err, "there is no plugin %.64s in the configuration", name);
	}
	if (enabled)
		json_object_del(sv.disabled, name);
	else
		json_object_set_new(sv.disabled, name, json_true());
	if (!known) {
		server_extra(name);
		added = 1;
	}
	ret = added ? server_reload(NULL, err, note) : server_reload(name, err, note);
	if (ret != 0) {
		json_decref(sv.disabled);
		sv.disabled = was;
		if (added)
			json_object_del(json_object_get(sv.extra.root, "plugins"), name);
		return -1;
	}
	json_decref(was);
	return 0;
}

static json_t *
server_plugin(const struct instance *inst)
{
	const struct svc_offer *o;
	json_t *provides = json_array();
	char caps[128];

	for (o = inst->offers; o != NULL; o = o->next)
		json_array_append_new(provides, json_sprintf("%s %s", o->iface, o->name));
	return json_pack("{s:s, s:s, s:s, s:s, s:s#, s:s, s:o, s:I, s:I}", "name", inst->name,
	    "state", "serving", "version", inst->image->desc.version, "summary",
	    inst->image->desc.summary, "sha256", inst->image->sha256, 12, "caps",
	    conf_cap_names(inst->image->desc.caps & inst->image->grant, caps), "provides", provides,
	    "routes", (json_int_t)inst->n_routes, "images", (json_int_t)stage_images(inst->name));
}

json_t *
server_plugins(void)
{
	const struct gen *g = gen_newest();
	json_t *list = json_array(), *why;
	size_t i, k;

	for (i = 0; i < sv.conf->n_plugins; i++) {
		const char *name = sv.conf->plugins[i].name;

		for (k = 0; k < g->n_members && strcmp(g->members[k].inst->name, name) != 0; k++)
			;
		why = json_object_get(g->skipped, name);
		if (k < g->n_members)
			json_array_append_new(list, server_plugin(g->members[k].inst));
		else
			json_array_append_new(list,
			    json_pack("{s:s, s:s, s:s*}", "name", name, "state",
				why != NULL ? "skipped" : "disabled", "why",
				json_string_value(why)));
	}
	return json_pack("{s:I, s:o, s:o}", "generation", (json_int_t)g->id, "plugins", list,
	    "lifetimes", gen_report());
}
