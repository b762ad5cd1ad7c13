"""Figures of networks and of reconstructions, and the folder they are written to."""
