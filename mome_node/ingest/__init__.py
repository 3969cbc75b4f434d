"""The only way in: validate, store, index, acknowledge."""
