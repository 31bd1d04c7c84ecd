# A whole host in a test's process, and an HTTP client for it: link with HOST_TEST_LIBS.
if HAVE_CHECK
check_LIBRARIES += tests/lib/libtesthost.a
tests_lib_libtesthost_a_SOURCES = \
	tests/lib/client.c tests/lib/client.h \
	tests/lib/host.c tests/lib/host.h \
	tests/lib/wsraw.c tests/lib/wsraw.h
tests_lib_libtesthost_a_CPPFLAGS = $(AM_CPPFLAGS) \
	-DTEST_MODULES='"$(abs_top_builddir)/modules"' -DTEST_PLUGINS='"$(abs_top_builddir)/tests/plugins/.libs"'
HOST_TEST_LIBS = tests/lib/libtesthost.a $(SERVER_LIBS)
endif
