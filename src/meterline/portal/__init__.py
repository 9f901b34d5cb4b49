"""HTML for the end customer: hosted checkout, hosted invoices, the confirmation of a payment.

A page is opened by its address alone, which holds an id that cannot be guessed; nobody signs in. Pages are plain
forms and one stylesheet of ours: they work without scripts. Nothing is decided here.
"""
