"""JSON over HTTP, for programs. Doors translate; they decide nothing."""
