"""How values are distributed before and after: counted for the report."""
