"""The command line: parses, calls, prints. No mathematics, no drawing."""
