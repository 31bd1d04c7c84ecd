host_libhost_a_SOURCES += host/cli/client.c host/cli/client.h host/cli/ingest.c host/cli/run.c
