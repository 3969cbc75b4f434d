"""`mome-node bench`: what the node does in a unit of time or memory, as ratios of one run."""
