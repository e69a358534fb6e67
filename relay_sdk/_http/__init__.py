"""An HTTP client: connections, pools, deadlines and errors. It knows nothing of jobs."""
