"""Rows to splits: train, validation, test, by a rule that looks at the row alone."""
