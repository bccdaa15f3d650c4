"""The command line: options, the commands, what they print, and how they end."""
