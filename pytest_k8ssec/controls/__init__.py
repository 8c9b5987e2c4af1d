"""One control a file: text, attack, sabotage. None knows another."""
