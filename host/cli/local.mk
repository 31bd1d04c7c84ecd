host_libhost_a_SOURCES += \
	host/cli/cli.h \
	host/cli/client.c host/cli/client.h \
	host/cli/common.c \
	host/cli/dev.c \
	host/cli/ingest.c \
	host/cli/migrate.c \
	host/cli/plugin.c \
	host/cli/plugin_cli.h \
	host/cli/plugin_doc.c \
	host/cli/plugin_new.c \
	host/cli/run.c \
	host/cli/serve.c \
	host/cli/tenant.c
