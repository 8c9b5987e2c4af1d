"""How fast a run is: frozen clusters, overlapping work, first verdicts, the policy engine, the matrix."""
