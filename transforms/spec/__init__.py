"""The spec: columns and sequence groups, checked together; and the same as text, as parse specs, and in bytes a row."""
