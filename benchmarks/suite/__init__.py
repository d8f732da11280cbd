"""Measures the rules over runs of an evaluation suite: `make bench-suite`.

Sets of 50 and 200 rows with 0, 10 and 30 % flaky rows; a part is a module with `figures(builds, rng)`, and stands in
`PARTS` of `__main__`. The draws are fresh in each run unless `--seed` is given, and the results have the seed.
"""
