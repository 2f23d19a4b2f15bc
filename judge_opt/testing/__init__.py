"""Shipped for tests: servers that fail on command."""
