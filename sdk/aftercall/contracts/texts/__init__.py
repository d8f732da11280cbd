"""Judges the rules on texts: all phrases and patterns of a contract in one pass, in linear time."""
