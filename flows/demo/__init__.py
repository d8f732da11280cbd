"""`aftercall demo` and `aftercall simulate`."""
