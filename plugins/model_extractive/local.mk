# plugins/model_extractive
