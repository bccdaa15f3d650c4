"""File formats that rows are read from, and what their readers share."""
