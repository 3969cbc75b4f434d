"""The commands: arguments in, results on standard output, progress and logs on standard error."""
