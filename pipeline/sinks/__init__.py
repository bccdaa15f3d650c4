"""File formats that dense data are written in, and what their writers share."""
