"""Events to sequences: one row a click, a rating, a reading, in no order, become one row a sequence."""
