"""Reads data sets of cases in the formats of others, and keeps the file of runs."""
