// Tests of LanguageModel.
