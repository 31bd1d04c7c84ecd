/*
 * admin.c: the verbs of an operator, over the admin socket.
 *
 *	GET  /plugins                  what is loaded, and what old generations wait for
 *	POST /plugins/NAME/reload      one plugin again from its file
 *	POST /plugins/NAME/enable      until the next start; the configuration file is not written
 *	POST /plugins/NAME/disable
 *	POST /reload                   the configuration and every plugin whose file changed
 *	GET  /routes                   every route that plugins registered, with its permission
 *	GET  /websockets               the open WebSocket connections
 *	GET  /metrics
 *
 * Requests come in on loop 0 and are worked on by the control thread, one at a time, because they
 * build generations. The request is not touched by loop 0 until its answer comes back by mail.
 * There is no credential: the socket's mode is 0600 and whoever may open it may do everything.
 */
#include "plugin/admin.h"

#include "base/log.h"
#include "net/http.h"
#include "plugin/server.h"
#include "plugin/ws.h"

struct admin_job {
	struct http_req *req;
	int code; /* INS_E*, 0 = answered with body */
	char err[CONF_ERR_MAX];
	char *body; /* malloc */
};

static void
admin_answer(struct ins_loop *loop, void *arg)
{
	struct admin_job *job = arg;

	if (job->code != 0)
		http_reply_error(job->req, job->code, job->err, NULL, NULL);
	else
		http_reply(job->req, 200, "application/json", job->body, strlen(job->body));
	http_req_done(job->req);
	free(job->body);
	free(job);
}

static void
admin_take(struct admin_job *job, json_t *body)
{
	job->body = json_dumps(body, JSON_COMPACT);
	AN(job->body);
	json_decref(body);
}

static void
admin_reload(struct admin_job *job, const char *name)
{
	char note[256];
	int64_t began = base_mono_us();

	if (server_reload(name, job->err, note) != 0) {
		job->code = INS_ECONFLICT;
		return;
	}
	admin_take(job,
	    json_pack("{s:I, s:I, s:s}", "generation", (json_int_t)gen_newest()->id, "ms",
		(json_int_t)(base_mono_us() - began) / 1000, "note", note));
}

static void
admin_plugin(struct admin_job *job, char *name)
{
	char *verb = strchr(name, '/');

	if (verb == NULL) {
		job->code = INS_ENOTFOUND;
		snprintf(job->err, sizeof job->err, "POST /plugins/NAME/reload, enable or disable");
		return;
	}
	*verb++ = '\0';
	if (strcmp(verb, "reload") == 0) {
		admin_reload(job, name);
	} else if (strcmp(verb, "enable") == 0 || strcmp(verb, "disable") == 0) {
		if (server_enable(name, *verb == 'e', job->err) != 0)
			job->code = INS_ECONFLICT;
		else
			admin_take(job,
			    json_pack("{s:I, s:s}", "generation", (json_int_t)gen_newest()->id,
				"note",
				"until the next start; the configuration file is unchanged"));
	} else {
		job->code = INS_ENOTFOUND;
		snprintf(job->err, sizeof job->err, "there is no verb %.64s", verb);
	}
}

static void
admin_work(struct ins_loop *control, void *arg)
{
	struct admin_job *job = arg;
	const char *path = job->req->path;
	int get = strcmp(job->req->method, "GET") == 0,
	    post = strcmp(job->req->method, "POST") == 0;
	char name[256];

	if (get && strcmp(path, "/plugins") == 0) {
		admin_take(job, server_plugins());
	} else if (get && strcmp(path, "/routes") == 0) {
		admin_take(job, gen_routes());
	} else if (get && strcmp(path, "/websockets") == 0) {
		admin_take(job, ws_list());
	} else if (post && strcmp(path, "/reload") == 0) {
		admin_reload(job, NULL);
	} else if (post && strncmp(path, "/plugins/", 9) == 0 && strlen(path) < sizeof name) {
		snprintf(name, sizeof name, "%s", path + 9);
		admin_plugin(job, name);
	} else {
		job->code = INS_ENOTFOUND;
		snprintf(job->err, sizeof job->err, "there is no %.16s %.200s on the admin socket",
		    job->req->method, path);
	}
	loop_post(job->req->loop, admin_answer, job);
}

void
admin_entry(struct http_req *req)
{
	struct admin_job *job;

	if (strcmp(req->method, "GET") == 0 && strcmp(req->path, "/metrics") == 0) {
		server_metrics(req);
		http_req_done(req);
		return;
	}
	job = base_alloc(sizeof *job);
	job->req = req;
	loop_post(loop_get(LOOP_CONTROL), admin_work, job);
}
