"""Holds the stateful steps, their messages and the outputs of the dataflow."""
