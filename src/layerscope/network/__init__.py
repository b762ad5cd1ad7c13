"""A network seen operation by operation: its graph, its layers, their receptive fields, its convolutions."""
