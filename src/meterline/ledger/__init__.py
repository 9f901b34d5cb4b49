"""The books: accounts, transfers between them, and every recipe that posts.

A transfer moves a positive amount from one account (its debit) to another (its credit) of the same asset, so
nothing can be out of balance. A transaction is a list of transfers with one cause; neither is ever changed:
a mistake is answered by a reversal. Every customer has a set of books, the house's accounts included (revenue
*from this customer*), so that books never contend with each other and their sums are the house's.

Amounts are Decimals in major units of the asset (1.50 USD, 20 tokens) with at most twelve decimals. Two times
are kept: `business_at`, when it happened in the customer's life, and `booked_at`, when the books learned of it.
Booking times strictly increase within a customer's books, so a balance as of a booking time never changes.

Owned here: balances, balance of every transaction, the hash chain. Not owned: why money moves (wallet, invoice,
payment decide that) and what things cost (rating).
"""
