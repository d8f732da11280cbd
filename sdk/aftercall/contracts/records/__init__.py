"""Judges single calls by what their records hold, one file per family of kinds."""
