#!/bin/bash
# Runs on a node that is to be frozen, once, as root. It stops Kubernetes there, forgets what a copy must not have, and
# lays what is in the volume at /var into the root file system below it, as only that is part of an image.
#
# What is left of private keys are those of the CAs: each copy makes all others for itself (thaw.sh).
set -euo pipefail

snapshots=lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots
pki=/etc/kubernetes/pki

etcd() { # PATH BODY: one request to etcd's JSON gateway
  curl --silent --show-error --fail --cacert "$pki/etcd/ca.crt" --cert "$pki/etcd/healthcheck-client.crt" \
    --key "$pki/etcd/healthcheck-client.key" "https://localhost:2379/v3/$1" --data "$2"
}

range() { # PREFIX: of keys, as etcd wants it; the end is the prefix with its last character, a slash, made one greater
  printf '"key":"%s","range_end":"%s"' "$(printf %s "$1" | base64 -w0)" "$(printf %s "${1%/}0" | base64 -w0)"
}

forget() { # what would be stale in a copy, or keep its controllers waiting
  # masterleases and the endpoints: this node's address; it may be another cluster's by then
  # leases: a controller waits until that of its predecessor has run out
  for each in events certificatesigningrequests leases/kube-system masterleases peerserverleases \
    endpointslices services/endpoints; do
    etcd kv/deleterange "{$(range "/registry/$each/")}" >/dev/null
  done
  # The key that these were encrypted with is gone with this cluster. In no condition and in no pipe: there, an answer that
  # did not come would look like one in which nothing is encrypted.
  if [ "$1" = random-keys ]; then
    stored=$(etcd kv/range "{$(range /registry/)}")
    case $stored in
    *'"value":"azhzOmVuYz'*)
      echo "k8ssec: objects other than bootstrap tokens are encrypted with a key that each cluster has of its own" >&2
      exit 3
      ;;
    *'"kvs":'*) ;;
    *)
      echo "k8ssec: etcd does not tell what it has stored, so it is not known what of it is encrypted" >&2
      exit 3
      ;;
    esac
  fi
  revision=$(etcd kv/range "{$(range /registry/),\"count_only\":true}" | grep -o '"revision":"[0-9]*' | tr -dc 0-9)
  etcd kv/compaction "{\"revision\":\"$revision\",\"physical\":true}" >/dev/null
  etcd maintenance/defragment '{}' >/dev/null
}

stop() { # NAME SECONDS: the containers of that name, in order
  crictl ps --quiet --name "^$1\$" | xargs --no-run-if-empty crictl --timeout 60s stop --timeout "$2" >/dev/null
}

none_left() { # no pod is there
  pods=$(crictl pods --quiet)
  if [ -n "$pods" ]; then
    echo "k8ssec: pods do not stop" >&2
    exit 1
  fi
}

systemctl stop kubelet
if [ -f "$pki/ca.key" ]; then
  stop kube-apiserver 20
  forget "$1"
  stop etcd 20
fi
crictl --timeout 60s rmp --force --all >/dev/null
none_left
ctr --namespace k8s.io content prune references >/dev/null # collects garbage, and waits for it
systemctl stop containerd
awk '$2 ~ "^/var/lib/kubelet/pods/" {print $2}' /proc/mounts | xargs --no-run-if-empty umount

rm -rf /var/log/* /var/tmp/* /var/lib/kubelet/pods /var/lib/kubelet/pki /var/lib/kubelet/checkpoints/* \
  /var/lib/cni/networks /var/lib/cni/results /var/lib/systemd/random-seed /var/lib/etcd/member/wal/*.tmp
rm -f /var/lib/kubelet/*_state /var/lib/kubelet/device-plugins/*.sock /var/lib/kubelet/pod-resources/*.sock
if [ -f "$pki/ca.key" ]; then
  find "$pki" -type f ! -name ca.crt ! -name ca.key ! -name 'front-proxy-ca.*' -delete
  rm -f /etc/kubernetes/{admin,super-admin,controller-manager,scheduler}.conf
fi
rm -f /etc/kubernetes/bootstrap-kubelet.conf /kind/product_uuid /etc/machine-id

rm -rf /etc/cni/net.d/* # a node has a network once its plugin says so, as in a new cluster
mkdir -p /etc/systemd/system/kubelet.service.d
cat >/etc/systemd/system/kubelet.service.d/20-k8ssec.conf <<'END'
# A copy of a frozen node makes its keys while it starts (/kind/k8ssec/thaw.sh). A kubelet that comes before containerd ends,
# and is started again a second later.
[Unit]
After=containerd.service
[Service]
ExecStartPre=/bin/bash /kind/k8ssec/thaw.sh wait
END

root=$(mktemp -d)
mount --bind / "$root" # without what is mounted on it
keep() { # FOLDER NAME: empty it but for one
  find "$1" -mindepth 1 -maxdepth 1 ! -name "$2" -exec rm -rf {} +
}
keep "$root/var" lib
keep "$root/var/lib" containerd
keep "$root/var/lib/containerd" io.containerd.snapshotter.v1.overlayfs
tar --create --sparse --directory /var --exclude "./$snapshots" . | tar --extract --sparse --directory "$root/var"
# The layers of images that the node image has: they stand there already, and never change.
mkdir -p "$root/var/$snapshots"
chmod 700 "$root/var/$snapshots"
for place in "/var/$snapshots"/*; do
  [ -e "$root/var/$snapshots/${place##*/}" ] || cp --archive "$place" "$root/var/$snapshots/"
done
for place in "$root/var/$snapshots"/*; do
  [ -e "/var/$snapshots/${place##*/}" ] || rm -rf "$place"
done
umount "$root"
rmdir "$root"
