"""What the node knows: tables, the study's state machine, queries and migrations."""
