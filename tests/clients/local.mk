# tests/clients: run by tests/clients/run, not by make
EXTRA_DIST += tests/clients/README.md tests/clients/run tests/clients/config.mjs tests/clients/lib.mjs \
	tests/clients/openai.test.mjs tests/clients/stream.test.mjs tests/clients/lighthouse.md \
	tests/clients/package.json tests/clients/package-lock.json tests/clients/.npmrc
