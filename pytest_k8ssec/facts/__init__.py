"""Reads a cluster's objects, its nodes and its listening ports. It attacks nothing and changes nothing."""
