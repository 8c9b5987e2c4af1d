"""One control in each file: text, attack, sabotage. No control imports another."""
