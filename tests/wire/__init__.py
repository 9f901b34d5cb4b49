"""The Stripe dialect, spoken by the official SDKs to a running server."""
