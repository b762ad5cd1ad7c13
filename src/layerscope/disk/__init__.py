"""Files that appear whole or not at all, folders of one writer, tables, names. Knows nothing of networks."""
