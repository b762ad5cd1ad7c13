"""How a signal goes back through one operation: one idea for each file."""
