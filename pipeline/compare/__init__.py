"""Two data sets compared by the files that describe them: rows, lengths, columns and how far their distributions have drifted."""
