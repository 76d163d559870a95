// StepAudio: see docs/architecture.md.
