"""What a control is: its decorator, families, frameworks, and where the packaged ones are found."""
