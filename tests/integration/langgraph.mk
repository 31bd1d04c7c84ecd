# The LangGraph API through a whole host.
if HAVE_CHECK
check_PROGRAMS += tests/integration/check_langgraph
integration_tests += tests/integration/check_langgraph
tests_integration_check_langgraph_SOURCES = tests/integration/check_langgraph.c
tests_integration_check_langgraph_LDADD = $(HOUSE_LIBS)
endif
