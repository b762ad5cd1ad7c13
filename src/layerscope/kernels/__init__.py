"""Compiled work on plain arrays: one walk over activations, exact sums."""
