"""Series roles, DCE phases and the complete study. Pure functions over header facts; no I/O."""
