"""Where instances lie: durable put, get and delete in a local directory."""
