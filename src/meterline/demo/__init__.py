"""The main job, told step by step through the official Stripe SDK."""
