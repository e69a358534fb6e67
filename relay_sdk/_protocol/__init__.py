"""The operations of the server as requests and replies, in each version of its API."""
