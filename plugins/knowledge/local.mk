# plugins/knowledge
