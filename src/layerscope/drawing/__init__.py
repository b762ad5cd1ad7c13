"""Numbers to pixels, pages and charts. Knows nothing of networks or studies."""
