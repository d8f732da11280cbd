"""Compares CT-SR with an oracle and other detectors: `make bench-detection`.

It compares detection delays and false alarms. Every stream is a stream of failure indicators: a drop of the success
rate is a rise of the failure rate.
"""
