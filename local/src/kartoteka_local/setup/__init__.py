"""What makes a bare clone runnable. Runs on the system's Python: standard library only."""
