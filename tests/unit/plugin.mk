# unit tests of plugin
if HAVE_CHECK
check_PROGRAMS += tests/unit/check_conf tests/unit/check_plugin
unit_tests += tests/unit/check_conf tests/unit/check_plugin
tests_unit_check_conf_SOURCES = tests/unit/check_conf.c
tests_unit_check_conf_LDADD = $(UNIT_LIBS)
tests_unit_check_plugin_SOURCES = tests/unit/check_plugin.c
tests_unit_check_plugin_LDADD = $(UNIT_LIBS)
endif
