# Documents, their ingestion and retrieval: a whole host with PostgreSQL and NATS.
if HAVE_CHECK
check_PROGRAMS += tests/integration/check_knowledge
integration_tests += tests/integration/check_knowledge
tests_integration_check_knowledge_SOURCES = tests/integration/check_knowledge.c
tests_integration_check_knowledge_LDADD = $(HOUSE_LIBS)
endif
