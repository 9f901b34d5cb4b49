"""HTML for the end customer: hosted checkout, invoices and top-ups, the confirmation of a payment, and the portal.

A hosted page is opened by its address alone, which holds what cannot be guessed; the portal by a link that is
exchanged for a cookie (`door`). Nobody has a password. Pages are plain forms and stylesheets of ours: they work
without scripts. Nothing is decided here.
"""
