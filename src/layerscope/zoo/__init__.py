"""Networks that have a name, and where their weights come from."""
