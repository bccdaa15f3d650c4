"""Two data sets side by side: rows, lengths, columns and how far their distributions have drifted, from what they hold."""
