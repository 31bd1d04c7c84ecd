# Three hosts on one database. `make check-long` is R1 in its long form: 10,000 runs, NATS away for a minute.
if HAVE_CHECK
check_PROGRAMS += tests/integration/check_cluster
integration_tests += tests/integration/check_cluster
tests_integration_check_cluster_SOURCES = tests/integration/check_cluster.c
tests_integration_check_cluster_LDADD = $(CLUSTER_LIBS)
check-long: tests/integration/check_cluster tests/plugins/stepper.la all-am
	INSULA_LONG=1 INSULA_SRCDIR=$(abs_top_srcdir) tests/integration/check_cluster
.PHONY: check-long
endif
EXTRA_DIST += contrib/haproxy/insula.cfg
