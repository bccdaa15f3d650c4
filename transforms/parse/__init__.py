"""Parse: a source's Arrow columns to canonical lists, value by value where they are not canonical already."""
