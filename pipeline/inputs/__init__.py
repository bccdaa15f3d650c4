"""Inputs: paths and patterns to files, and whether these belong to the columns."""
