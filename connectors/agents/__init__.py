"""Asks agents: functions of Python, commands, and services over HTTP."""
