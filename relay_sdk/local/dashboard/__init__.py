"""A page to look at the jobs, what it reads, and metrics."""
