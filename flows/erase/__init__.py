"""Erases calls on a running or a stopped service: `aftercall erase`."""
