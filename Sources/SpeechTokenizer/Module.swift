// SpeechTokenizer: see docs/architecture.md.
