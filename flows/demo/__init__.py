"""Simulates traffic: `aftercall demo` and `aftercall simulate`."""
