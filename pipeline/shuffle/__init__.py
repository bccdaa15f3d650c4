"""Events by key: blocks of Arrow through an engine's shuffle, or columns in files of this machine."""
