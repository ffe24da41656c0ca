"""Measure this harness beside what a user would pick instead, in one run on one cluster."""
