"""One HTTP exchange at a time: connections, pools, deadlines and errors. Knows nothing of jobs."""
