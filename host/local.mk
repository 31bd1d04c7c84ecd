bin_PROGRAMS += host/insula
noinst_LIBRARIES += host/libhost.a
host_insula_SOURCES = host/main.c
host_insula_LDADD = $(HOST_LIBS)
host_libhost_a_SOURCES = host/watch.c host/watch.h

include host/base/local.mk
include host/loop/local.mk
include host/net/local.mk
include host/data/local.mk
include host/child/local.mk
include host/tenant/local.mk
include host/plugin/local.mk
include host/cli/local.mk
