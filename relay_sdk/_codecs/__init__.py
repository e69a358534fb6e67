"""Encode payloads and states as JSON, and decode them."""
