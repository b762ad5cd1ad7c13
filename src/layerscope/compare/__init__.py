"""Two or more networks side by side."""
