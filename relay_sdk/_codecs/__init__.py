"""Payloads and states to JSON text and back."""
