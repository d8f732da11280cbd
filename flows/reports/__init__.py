"""What commands print of a snapshot: insights, digest, summary."""
