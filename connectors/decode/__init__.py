"""From bytes to columns: parse, validate, redact."""
