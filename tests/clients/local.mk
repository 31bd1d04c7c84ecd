# tests/clients: run by tests/clients/run, not by make
EXTRA_DIST += tests/clients/README.md tests/clients/run tests/clients/config.mjs tests/clients/lib.mjs \
	tests/clients/openai.test.mjs tests/clients/stream.test.mjs tests/clients/lighthouse.md \
	tests/clients/langgraph.test.mjs tests/clients/langgraph-script.mjs tests/clients/langgraph-compare.mjs \
	tests/clients/langgraph-differences.json tests/clients/langgraph-oracle.json \
	tests/clients/oracle/graphs.mjs tests/clients/oracle/record.mjs tests/clients/oracle/run \
	tests/clients/oracle/package.json tests/clients/oracle/package-lock.json tests/clients/oracle/.npmrc \
	tests/clients/package.json tests/clients/package-lock.json tests/clients/.npmrc

# LangGraph's own server, run again: a difference from what is recorded of it is an error.
check-oracle:
	$(top_srcdir)/tests/clients/oracle/run
