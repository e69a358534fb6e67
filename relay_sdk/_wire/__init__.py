"""What the server's operations are on the wire, in each version of its API."""
