"""Lists dead letters, and sends their records again: `aftercall dead-letters`."""
