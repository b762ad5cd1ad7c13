"""From vectors to a filled plane: distances, embedding, grid, regions, and how far it can be trusted."""
