# The host itself: requests, generations, reload.
if HAVE_CHECK
check_PROGRAMS += tests/integration/check_host
integration_tests += tests/integration/check_host
tests_integration_check_host_SOURCES = tests/integration/check_host.c
tests_integration_check_host_LDADD = $(HOST_TEST_LIBS)
check_PROGRAMS += tests/integration/check_mtls
integration_tests += tests/integration/check_mtls
tests_integration_check_mtls_SOURCES = tests/integration/check_mtls.c tests/lib/certs.c tests/lib/certs.h
tests_integration_check_mtls_LDADD = $(HOST_TEST_LIBS)
check_PROGRAMS += tests/reload/check_reload
integration_tests += tests/reload/check_reload
tests_reload_check_reload_SOURCES = tests/reload/check_reload.c
tests_reload_check_reload_LDADD = $(HOST_TEST_LIBS)
check_PROGRAMS += tests/integration/check_ws
integration_tests += tests/integration/check_ws
tests_integration_check_ws_SOURCES = tests/integration/check_ws.c
tests_integration_check_ws_LDADD = $(HOST_TEST_LIBS)
check_PROGRAMS += tests/integration/check_ws_life
integration_tests += tests/integration/check_ws_life
tests_integration_check_ws_life_SOURCES = tests/integration/check_ws_life.c
tests_integration_check_ws_life_LDADD = $(HOST_TEST_LIBS)
endif
