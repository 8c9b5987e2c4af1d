#!/bin/bash
# Runs inside the node image while it is made: unpacks the images that every node needs into containerd's store.
# /stage is a volume, because containerd's overlayfs can't stand on docker's.
set -o errexit -o nounset -o pipefail

containerd --root /stage &
containerd=$!
for _ in {1..100}; do
  ctr version >/dev/null 2>&1 && break
  sleep 0.1
done
ctr version >/dev/null

# Nobody reads a layer again once it is unpacked, but kind would copy it for each node that it starts.
ctr --namespace k8s.io images import --local --discard-unpacked-layers --label io.cri-containerd.pinned=pinned \
  /preload.tar
ctr --namespace k8s.io content prune references
ctr --namespace k8s.io images ls -q

kill "$containerd"
wait "$containerd" || true
rm -rf /stage/tmpmounts /var/lib/containerd
cp --archive /stage /var/lib/containerd
du -sh /var/lib/containerd/*
