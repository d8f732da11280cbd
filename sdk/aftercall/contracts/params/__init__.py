"""Defines what each kind of rule takes, one file per family."""
