"""Modules that every other package imports."""
