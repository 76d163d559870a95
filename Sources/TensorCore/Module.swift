// TensorCore: see docs/architecture.md.
