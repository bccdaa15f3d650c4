"""`report.html`: what a run read, wrote and rejected, and what its columns look like, on one page for people."""
