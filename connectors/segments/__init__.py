"""Files of stored state: each is written once, read at a start, and deleted when no stored state needs it."""
