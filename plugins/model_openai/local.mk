# plugins/model_openai
