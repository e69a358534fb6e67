"""The dashboard: a page that shows and changes jobs, its API, and the metrics."""
