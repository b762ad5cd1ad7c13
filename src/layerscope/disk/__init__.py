"""Files that appear whole or not at all, folders that one process writes, tables. Knows nothing of networks."""
