"""Causes every fault that the pipeline promises to survive, from outside, and judges what a consumer reads."""
