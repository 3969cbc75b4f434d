"""The outbox: results go back to the PACS, and are retried until they are there."""
