"""Watches success rates at moments that are known beforehand: a new config, a new model, a mark."""
