"""The embedded stack: a supervisor of ordinary processes."""
