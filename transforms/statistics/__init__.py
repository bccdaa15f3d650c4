"""Statistics of a data set: exact moments, quantiles, figures by key and by row; and what columns see of them."""
