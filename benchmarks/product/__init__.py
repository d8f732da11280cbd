"""Measures what users run: `aftercall replay` and `aftercall run` on a real broker, with every output on.

`__main__.py` is the command `make bench-product`. `sections.py` and `held.py` say what is measured, `processes.py` and
`service.py` how, `stages.py` where the time goes, `base.py` against which commit.
"""
