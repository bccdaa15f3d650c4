"""`seqcols verify`: the files of a data set against its manifest, and rows of its inputs against its files."""
