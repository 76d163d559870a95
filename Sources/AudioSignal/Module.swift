// AudioSignal: see docs/architecture.md.
