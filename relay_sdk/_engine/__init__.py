"""What a client does with requests: retries, polling, runs of jobs and their heartbeats."""
