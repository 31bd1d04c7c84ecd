# tests/integration
include tests/integration/data.mk
