"""Other people's systems. Each part speaks to one of them and decides nothing."""
