"""The ports of a cluster's own servers, as kubeadm sets them up."""

from __future__ import annotations

API_SERVER_PORT = 6443
KUBELET_PORT = 10250
ETCD_PORT = 2379
