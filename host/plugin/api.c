/* api.c: which tables an image sees. A table that was not granted is NULL, so that a call through
 * it fails at once and in the plugin's own frame. */
#include "plugin/api.h"

void
api_core_fill(ins_api *api)
{
	memset(api, 0, sizeof *api);
	api->size = sizeof *api;
	api->abi_minor = INS_ABI_MINOR;
	api->core = &api_core;
	api->task = &api_task;
	api->service = &api_service;
	api->metric = &api_metric;
}

void
api_grant(ins_api *api, uint64_t caps)
{
	api->http = caps & INS_CAP_HTTP ? &api_http : NULL;
	api->db = caps & INS_CAP_DB ? &api_db : NULL;
	api->bus = caps & INS_CAP_BUS ? &api_bus : NULL;
	api->fetch = caps & INS_CAP_FETCH ? &api_fetch : NULL;
	api->auth = caps & INS_CAP_AUTH ? &api_auth : NULL;
	api->engine = caps & INS_CAP_ENGINE ? &api_engine : NULL;
	api->child = caps & INS_CAP_CHILD ? &api_child : NULL;
	api->ws = caps & INS_CAP_WS ? &api_ws : NULL;
}
