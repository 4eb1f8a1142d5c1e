"""What the installation knows about its own state: processes, tasks, checks, health, metrics, the page System."""
