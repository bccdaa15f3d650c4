"""Events in a sample: whether its rows are some, whose they are, when they happened, and the section `events:` that says so."""
