#!/bin/bash
# How a copy of a frozen node starts, first and later times: this before kind's entrypoint, then that, then this again,
# then init. It fills the node's own /var, and makes the keys and certificates that no two copies may share. They are
# made while init starts what needs none of them; the kubelet waits for them (see its drop-in, 20-k8ssec.conf).
#
#   thaw.sh first CONTROL_PLANE COMMAND...    CONTROL_PLANE: name of its container
#   thaw.sh wait                              until this node has its keys, and a worker is answered
set -euo pipefail

here=/kind/k8ssec
snapshots=lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots
packages=lib/dpkg
pki=/etc/kubernetes/pki
manifests=/etc/kubernetes/manifests

first() { # the volume at /var is empty: what is in it comes from the image
  mkdir -p "$here/layers" /run/k8ssec-root
  mount --bind / /run/k8ssec-root # without what is mounted on it
  if [ ! -e "$here/filled" ]; then
    # etcd's log is zeros, mostly. Seven of eight files are the packages', which are used where they are, as layers of images.
    tar --create --sparse --hole-detection=raw --directory /run/k8ssec-root/var \
      --exclude "./$snapshots/*" --exclude "./$packages/*" . |
      tar --extract --sparse --directory /var
    for place in "/run/k8ssec-root/var/$snapshots"/*; do
      ln -s "$here/layers/${place##*/}" "/var/$snapshots/"
    done
    [ ! -e "$here/changed" ] || cp --recursive "$here/changed/." / # a sabotage of the configuration
    touch "$here/filled"
  fi
  mount --bind "/run/k8ssec-root/var/$snapshots" "$here/layers"
  mount -o remount,bind,ro "$here/layers" # they are only read
  [ ! -d "/var/$packages" ] || mount --bind "/run/k8ssec-root/var/$packages" "/var/$packages"
  umount /run/k8ssec-root
  rmdir /run/k8ssec-root
}

certificate() { # KUBECONFIG FILE: the certificate and the key in it, as a kubelet keeps them
  for field in client-certificate-data client-key-data; do
    sed -n "s/^ *$field: //p" "$1" | base64 --decode
  done >"$2"
}

answered() { # WHO CERTIFICATE PATH: wait until the API server answers that, at most half a minute
  # Whoever asks one that does not listen, or knows no rights yet, waits some seconds before asking again.
  SECONDS=0
  server=$(sed -n 's/^ *server: //p' "/etc/kubernetes/$1.conf")
  until curl --silent --fail --output /dev/null --max-time 2 --noproxy '*' --cacert "$pki/ca.crt" --cert "$2" \
    "$server/api/v1/$3" || [ "$SECONDS" -gt 30 ]; do sleep 0.1; done
}

certificates() { # of servers and clients; keys are 0600 whatever the mask
  umask 022
  # What the API server is reached and signs by is judged: those two are what kind's are.
  kubeadm init phase certs sa --config /kind/kubeadm.conf &
  kubeadm init phase certs apiserver --config /kind/kubeadm.conf
  wait $!
  kubeadm init phase certs all --config "$here/quick.conf"
}

renew() { # all but the CAs; kubeadm makes what is not there, as it does for a new cluster
  umask 077
  mkdir -p "$here/made" "$here/clients" "$here/later"
  # A key of RSA takes a processor a tenth of a second, and there are a dozen.
  cp /kind/kubeadm.conf "$here/quick.conf"
  if grep -q '^apiVersion: kubeadm.k8s.io/v1beta4$' /kind/kubeadm.conf && ! grep -q encryptionAlgorithm /kind/kubeadm.conf; then
    sed -i 's/^kind: ClusterConfiguration$/encryptionAlgorithm: ECDSA-P256\n&/' "$here/quick.conf"
  fi
  certificates &
  certs=$!
  if [ -e "$here/changed/kind/kubeadm.conf" ]; then
    kubeadm init phase control-plane all --config /kind/kubeadm.conf
    kubeadm init phase etcd local --config /kind/kubeadm.conf
  fi
  # The kubelet needs a certificate of its own to start. What it is to run comes once there are those that this needs.
  mv "$manifests"/{etcd,kube-apiserver,kube-controller-manager,kube-scheduler}.yaml "$here/later/"
  kubeadm init phase kubeconfig kubelet --config "$here/quick.conf" --kubeconfig-dir "$here/made"
  certificate "$here/made/kubelet.conf" "$here/client.pem"
  take_up
  kubeadm init phase kubeconfig all --config "$here/quick.conf" --kubeconfig-dir "$here/made"
  rm "$here/made/kubelet.conf"
  mv "$here/made"/*.conf /etc/kubernetes/
  wait $certs
  mv "$here/later"/{etcd,kube-apiserver}.yaml "$manifests/"
  for name in $(cat "$here/workers"); do
    kubeadm kubeconfig user --config "$here/quick.conf" --client-name "system:node:$name" --org system:nodes \
      >"$here/made/$name"
    certificate "$here/made/$name" "$here/clients/$name.pem"
  done
  rm -r "$here/made"
  touch "$here/renewed"
  # What the others read first.
  certificate /etc/kubernetes/controller-manager.conf /run/k8ssec-manager.pem # gone with the node, if this is broken off
  answered controller-manager /run/k8ssec-manager.pem namespaces/kube-system/configmaps/extension-apiserver-authentication
  rm /run/k8ssec-manager.pem
  mv "$here/later"/*.yaml "$manifests/"
  [ ! -e "$here/changed/kind/kubeadm.conf" ] || kubeadm init phase upload-config all --config /kind/kubeadm.conf
}

follow() { # CONTROL_PLANE: a worker finds it, and gets its certificate from there
  # The names in certificates and configurations are those of the cluster that was frozen.
  until address=$(getent ahostsv4 "$1" | head -n 1 | cut -d ' ' -f 1) && [ -n "$address" ]; do sleep 0.1; done
  echo "$address $(cat "$here/control-plane")" >>/etc/hosts
  until [ -e "$here/client.pem" ] || [ -e "$here/ready" ]; do sleep 0.05; done
  [ ! -e "$here/client.pem" ] || take_up
}

take_up() { # the kubelet's own certificate, where it would keep it
  mkdir -p /var/lib/kubelet/pki
  chmod 755 /var/lib/kubelet/pki
  file=/var/lib/kubelet/pki/kubelet-client-$(date +%F-%H-%M-%S).pem
  mv "$here/client.pem" "$file"
  chmod 600 "$file"
  ln -sf "$file" /var/lib/kubelet/pki/kubelet-client-current.pem
  touch "$here/ready"
}

stage=$1
if [ "$stage" = wait ]; then
  until [ -e "$here/ready" ]; do sleep 0.05; done
  # A later start: the control plane may have another address than the last time.
  [ ! -f "$pki/ca.key" ] || exit 0
  until grep -q " $(cat "$here/control-plane")\$" /etc/hosts; do sleep 0.05; done
  answered kubelet /var/lib/kubelet/pki/kubelet-client-current.pem 'services?limit=1'
  exit
fi
if [ "$stage" = renew ]; then
  trap 'touch "$here/failed"' ERR # whoever waits for the certificates need not wait until the end
  set -E
  renew
  exit
fi
control_plane=$2
if [ "$stage" = follow ]; then
  follow "$control_plane"
  exit
fi
shift 2
if [ "$stage" = first ]; then
  first
  exec /usr/local/bin/entrypoint /bin/bash "$0" second "$control_plane" "$@"
fi
[ -z "$(ls -A "$here/later" 2>/dev/null)" ] || mv "$here/later"/*.yaml "$manifests/" # it was stopped too early
# In sessions of their own: init hangs up the console that this one has.
if [ ! -f "$pki/ca.key" ]; then
  setsid --fork /bin/bash "$0" follow "$control_plane" </dev/null >>"$here/log" 2>&1
elif [ ! -e "$here/renewed" ]; then
  setsid --fork /bin/bash "$0" renew </dev/null >>"$here/log" 2>&1
fi
exec "$@"
