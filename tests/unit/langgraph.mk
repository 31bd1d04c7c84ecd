# unit tests of langgraph
if HAVE_CHECK
check_PROGRAMS += tests/unit/check_langgraph
unit_tests += tests/unit/check_langgraph
tests_unit_check_langgraph_SOURCES = tests/unit/check_langgraph.c $(langgraph_pure)
tests_unit_check_langgraph_CFLAGS = $(AM_CFLAGS)
tests_unit_check_langgraph_LDADD = $(JANSSON_LIBS) $(OPENSSL_LIBS) $(CHECK_LIBS)
endif
