"""Sends tasks to a program of ours in or beside the cluster, and reads that program's answers.

How a TCP connection is tried:

1. A probe or control makes the task, ``Tcp(host, port)`` (``tasks.py``), and calls ``pod.probe(task)`` (``pods/pool.py``),
   or ``probe(place, tasks)`` where it stands elsewhere.
2. That is ``ask`` (``vantage.py``): it runs ``remote/agent.py`` in the place by one exec, and gives it the task as JSON.
3. There, in the pod, on the node's network or outside, ``OPERATIONS["tcp"]`` of ``remote/agent.py`` opens the connection.
4. ``ask`` believes the answers only if all are there, and makes them ``Evidence``, from which the caller concludes.

``remote/sweeper.py`` does the same for many addresses at a time (``reach/measure.py`` calls it); ``remote/pod_listener.py`` is
what answers. ``client_hello.py`` writes the first message of a TLS handshake.
"""
