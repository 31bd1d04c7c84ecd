# tests/integration
include tests/integration/data.mk
include tests/integration/models.mk
