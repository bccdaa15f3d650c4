"""Distributions of values before and after normalising, counted for the report."""
