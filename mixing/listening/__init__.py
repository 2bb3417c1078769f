"""Listening tests: a page that people rate mixes on, blind, and the report of what they said.

`design` settles what is heard where and under which opaque name, `sound` prepares the excerpts, `folder` writes the test,
`ratings` reads what came back, `cleaning` leaves out what cannot count, `analysis` and `report` say what it means.
"""
