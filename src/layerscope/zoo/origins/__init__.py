"""Where networks come from, a file for each origin: a function from a name to its blueprint."""
