"""Who can really talk to whom: measured from every workload, and compared with what was declared."""
