"""The tests. `conftest` brings PostgreSQL and a fresh database; `wire` brings a running server and Stripe's SDK."""
