"""A layer's representation space: its patches, their plane, its regions, as part of a study."""
