# plugins/workflow_faq
