"""The programs that run inside pods and on nodes' networks: one file each, standard library only, Python 3.9."""
