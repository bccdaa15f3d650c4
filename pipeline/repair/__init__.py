"""`seqcols repair`: rejected rows go through again, and are added to their data set."""
