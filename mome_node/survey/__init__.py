"""A dry run: which of an archive's studies the node would evaluate, by the archive's own lists."""
