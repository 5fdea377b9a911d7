"""Run a small editorial room of agents, have it followed by an ingester, and show the answers."""
