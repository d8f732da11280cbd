"""Detect shifts of latencies, costs, tokens and scores."""
