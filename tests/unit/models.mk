# unit tests of the model and policy plugins
