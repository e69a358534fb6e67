"""The operations of a client: retries, polling, runs of jobs and their heartbeats."""
