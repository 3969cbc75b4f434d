"""The demonstration weights: their package, how they were trained and how good they are."""
