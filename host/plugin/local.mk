host_libhost_a_SOURCES += \
	host/plugin/abi.c host/plugin/abi.h \
	host/plugin/admin.c host/plugin/admin.h \
	host/plugin/api.c host/plugin/api.h \
	host/plugin/api_auth.c \
	host/plugin/api_bus.c \
	host/plugin/api_core.c \
	host/plugin/api_db.c \
	host/plugin/api_engine.c \
	host/plugin/api_fetch.c \
	host/plugin/api_http.c \
	host/plugin/api_task.c \
	host/plugin/api_ws.c \
	host/plugin/conf.c host/plugin/conf.h \
	host/plugin/conf_listen.c \
	host/plugin/conf_opt.c \
	host/plugin/conf_yaml.c \
	host/plugin/gen.c host/plugin/gen.h \
	host/plugin/gen_report.c \
	host/plugin/owner.c host/plugin/owner.h \
	host/plugin/plugin.c host/plugin/plugin.h \
	host/plugin/request.c host/plugin/request.h \
	host/plugin/server.c host/plugin/server.h host/plugin/server_health.c host/plugin/server_impl.h \
	host/plugin/server_migrate.c host/plugin/server_reload.c host/plugin/server_tls.c \
	host/plugin/stage.c host/plugin/stage.h \
	host/plugin/svc.c host/plugin/svc.h \
	host/plugin/trace.c host/plugin/trace.h \
	host/plugin/ws.c host/plugin/ws.h
