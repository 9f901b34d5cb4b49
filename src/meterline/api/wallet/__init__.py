"""The wallet dialect: Credyt-shaped JSON over HTTP, and our own gate for calls that are about to run.

A thin layer in the manner of `api.stripe`: every route declares what it accepts, and gets a `Call`. Errors are RFC
7807 problems. Amounts are decimals in major units; they are taken as numbers or as text, and told as exact numbers.
"""
