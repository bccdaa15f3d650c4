"""One file for each family of column types: the rows that `tests/test_columns.py` puts every one of them through."""
