"""Events by key: blocks of Arrow, a partition and batch each, through an engine's shuffle or through files of this machine."""
