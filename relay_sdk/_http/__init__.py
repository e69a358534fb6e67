"""An HTTP client: connections, pools, deadlines and errors. It does not depend on jobs."""
