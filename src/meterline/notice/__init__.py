"""Telling others what happened: who wants to know what, how it is signed, and when to try again.

A *notice* is one change of one object. An *endpoint* is an address that wants some of them. A *delivery* is
one notice on its way to one endpoint. Writing notices is `store.notice`; sending them is `worker.delivery`.
"""
