# plugins/openai
