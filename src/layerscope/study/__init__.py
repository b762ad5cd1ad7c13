"""The folder that holds all results of one run: read, added to, checked."""
