"""Measures what contracts cost: `make bench-contracts`.

Each figure is a ratio within one run, of processor time that variants take by turns, or bytes, or a percentile of one
process. A part is a module with `figures() -> dict[str, float]`, and stands in `PARTS` of `__main__`.
"""
