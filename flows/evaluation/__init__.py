"""Runs suites of cases against agents: `aftercall eval`."""
