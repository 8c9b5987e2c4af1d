"""Reports: from results to text, nothing else."""
