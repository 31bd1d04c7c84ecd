# Unit tests: tests/unit/AREA.mk adds programs to check_PROGRAMS and unit_tests.
include tests/unit/base.mk
include tests/unit/loop.mk
include tests/unit/net.mk
include tests/unit/data.mk
include tests/unit/plugin.mk
include tests/unit/auth.mk
include tests/unit/openai.mk
include tests/unit/langgraph.mk
include tests/unit/knowledge.mk
include tests/unit/runs.mk
include tests/unit/models.mk
include tests/integration/local.mk
include tests/faults/local.mk
include tests/fuzz/local.mk
include tests/bench/local.mk
include tests/lib/local.mk
include tests/clients/local.mk
