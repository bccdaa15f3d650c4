"""`seqcols inspect`: a sample of the rows, what its features hold, and a draft of a columns file for them."""
