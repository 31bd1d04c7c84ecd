# Models, tenancy: a whole host with a real upstream.
if HAVE_CHECK
check_PROGRAMS += tests/integration/check_models
integration_tests += tests/integration/check_models
tests_integration_check_models_SOURCES = tests/integration/check_models.c
tests_integration_check_models_LDADD = $(HOUSE_LIBS)
endif
