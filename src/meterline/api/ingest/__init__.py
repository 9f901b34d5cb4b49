"""Our own doors for usage: bulk in every common shape, one verdict per event, and what became of strays."""
