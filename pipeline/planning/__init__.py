"""`seqcols plan`: what T costs, and which T to take."""
