"""The columns file: YAML to a checked spec and back, with the lines of all faults, and its JSON Schema."""
