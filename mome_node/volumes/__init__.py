"""One series, or one phase of it, as one array on one grid in the patient."""
