"""Events to sequences: rows that are a click, a rating or a reading each, in any order, become one row per sequence."""
