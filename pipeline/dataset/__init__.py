"""A data set on disk or in a store: its layout, manifest, ledger, statistics and graphs; publishing and leftovers."""
