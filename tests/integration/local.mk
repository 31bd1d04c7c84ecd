# tests/integration
include tests/integration/data.mk
include tests/integration/host.mk
include tests/integration/models.mk
include tests/integration/runs.mk
include tests/integration/langgraph.mk
include tests/integration/gateway.mk
include tests/integration/knowledge.mk
