"""Whether an exam is fit for a model: what is checked, and who decides what a failed check does."""
