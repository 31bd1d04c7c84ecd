# Plugins that tests load. -rpath makes libtool build shared objects of what is never installed.
TEST_PLUGIN_LDFLAGS = $(PLUGIN_LDFLAGS) -rpath $(abs_top_builddir)/tests/plugins
if HAVE_CHECK
check_LTLIBRARIES += tests/plugins/anyone.la
tests_plugins_anyone_la_SOURCES = tests/plugins/anyone.c
tests_plugins_anyone_la_LDFLAGS = $(TEST_PLUGIN_LDFLAGS)
tests_plugins_anyone_la_LIBADD = $(JANSSON_LIBS)
check_LTLIBRARIES += tests/plugins/probe.la
tests_plugins_probe_la_SOURCES = tests/plugins/probe.c
tests_plugins_probe_la_LDFLAGS = $(TEST_PLUGIN_LDFLAGS)
tests_plugins_probe_la_LIBADD = $(JANSSON_LIBS)
endif
# A workflow for tests of the run engine.
if HAVE_CHECK
check_LTLIBRARIES += tests/plugins/stepper.la
tests_plugins_stepper_la_SOURCES = tests/plugins/stepper.c
tests_plugins_stepper_la_LDFLAGS = $(TEST_PLUGIN_LDFLAGS)
tests_plugins_stepper_la_LIBADD = $(JANSSON_LIBS)
endif
# Graphs for tests of the LangGraph API.
if HAVE_CHECK
check_LTLIBRARIES += tests/plugins/graphs.la
tests_plugins_graphs_la_SOURCES = tests/plugins/graphs.c
tests_plugins_graphs_la_LDFLAGS = $(TEST_PLUGIN_LDFLAGS)
tests_plugins_graphs_la_LIBADD = $(JANSSON_LIBS)
endif
# WebSocket on demand.
if HAVE_CHECK
check_LTLIBRARIES += tests/plugins/sockets.la
tests_plugins_sockets_la_SOURCES = tests/plugins/sockets.c
tests_plugins_sockets_la_LDFLAGS = $(TEST_PLUGIN_LDFLAGS)
tests_plugins_sockets_la_LIBADD = $(JANSSON_LIBS)
endif
