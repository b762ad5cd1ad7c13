"""From a layer's activations back to pixels: the rules, whole layers, single units."""
