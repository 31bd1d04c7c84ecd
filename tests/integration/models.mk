# Models, tenancy: a whole host with a real upstream.
if HAVE_CHECK
check_PROGRAMS += tests/integration/check_models tests/integration/check_tenancy
integration_tests += tests/integration/check_models tests/integration/check_tenancy
tests_integration_check_models_SOURCES = tests/integration/check_models.c
tests_integration_check_models_LDADD = $(HOUSE_LIBS)
tests_integration_check_tenancy_SOURCES = tests/integration/check_tenancy.c
tests_integration_check_tenancy_LDADD = $(HOUSE_LIBS)
endif
