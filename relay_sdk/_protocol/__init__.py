"""The operations of the server as requests and their replies, in each version of its API."""
