"""One pass over a set of pictures that feeds many reducers, shard by shard, and the study made of it."""
