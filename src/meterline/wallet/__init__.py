"""Prepaid value: grants, the order they are used in, holds, lapse, recharging. See README.md."""
