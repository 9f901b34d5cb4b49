"""The rules of the house, checked: where code may live, how long it may grow, what it may know."""
