"""New pictures through a study's networks while somebody looks on: what `layerscope serve` adds to the pages."""
