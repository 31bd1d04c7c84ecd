# A plugin's own local.mk adds plugins/NAME/NAME.la to pkgplugin_LTLIBRARIES; see plugins/hello/local.mk.
include plugins/hello/local.mk
include plugins/auth/local.mk
include plugins/openai/local.mk
include plugins/policy_static/local.mk
include plugins/model_openai/local.mk
include plugins/model_extractive/local.mk
include plugins/knowledge/local.mk
include plugins/index_local/local.mk
include plugins/metering/local.mk
include plugins/runs/local.mk
include plugins/workflow_faq/local.mk
include plugins/langgraph/local.mk
