"""Meterline: usage-based billing that you run yourself."""
