"""Who runs what when: stages as idempotent functions of an id, and what runs them."""
