// SpeechSynthesis: see docs/architecture.md.
