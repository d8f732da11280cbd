"""Judges past calls by contracts, before these are put to work: `aftercall contract check`."""
