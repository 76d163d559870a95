// LanguageModel: see docs/architecture.md.
