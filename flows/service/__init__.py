"""Runs the pipeline as a service, `aftercall run`: processes, health, signals, logs."""
