"""What is measured.

A job takes a `Task`, checks the contender's answers and returns a `Sample`.
"""
