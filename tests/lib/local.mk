# tests/lib
include tests/lib/host.mk
include tests/plugins/local.mk
# The upstream that tests of model_openai talk to, a program of its own.
check_PROGRAMS += tests/lib/upstream
tests_lib_upstream_SOURCES = tests/lib/upstream.c tests/lib/upstream_script.c tests/lib/upstream_script.h
tests_lib_upstream_LDADD = $(UV_LIBS) $(JANSSON_LIBS)
# A whole host beside a test, as a process of its own.
if HAVE_CHECK
check_LIBRARIES += tests/lib/libhouse.a
tests_lib_libhouse_a_SOURCES = \
	tests/lib/client.c \
	tests/lib/client.h \
	tests/lib/house.c \
	tests/lib/house.h \
	tests/lib/upstream_proc.c \
	tests/lib/upstream_proc.h
HOUSE_LIBS = tests/lib/libhouse.a tests/lib/libservers.a $(UNIT_LIBS)
endif
# Several hosts behind HAProxy.
if HAVE_CHECK
check_LIBRARIES += tests/lib/libcluster.a
tests_lib_libcluster_a_SOURCES = tests/lib/cluster.c tests/lib/cluster.h
CLUSTER_LIBS = tests/lib/libcluster.a $(HOUSE_LIBS)
endif
