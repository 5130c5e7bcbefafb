"""The command line: words in, exit codes out. Data goes to stdout, everything else to stderr; only here is `print`."""
