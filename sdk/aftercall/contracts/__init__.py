"""Judges calls by contracts: files of rules that a call keeps or breaks, with one of four results per rule and call.

Pure: the standard library and pydantic. What looks into texts also needs the extra `aftercall[contracts]`, and loads it
when it is used. Importing this package loads nothing.
"""
