"""Files that columns and graphs keep: vocabularies, embedding tables, folders on any of Beam's file systems."""
