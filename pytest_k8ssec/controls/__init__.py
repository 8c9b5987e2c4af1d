"""One control a file: text, attack, sabotage. No control imports another."""
