"""Turns results into text (terminal, JSON, JUnit, pages), and writes the report's files."""
