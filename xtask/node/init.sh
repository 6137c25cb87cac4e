#!/usr/bin/env bash
# Process 1 of a node: starts everything in the node's network, mount, and pid namespaces. When this process ends, the
# kernel ends all others. $NODE is the node's folder, which is its disk: it stays when the node is started again.
set -u
export PATH=$DEBIAN/usr/sbin:$DEBIAN/usr/bin:$PATH LD_LIBRARY_PATH=$DEBIAN/usr/lib/$(uname -m)-linux-gnu
unset HTTP_PROXY HTTPS_PROXY ALL_PROXY http_proxy https_proxy all_proxy
mount --make-rshared /
# The node writes nothing outside $NODE: it gets a /run, /var/lib, and /var/log of its own.
mount -t tmpfs tmpfs /run
mkdir -p /run/containerd "$NODE/varlib"
mount --bind "$NODE/varlib" /var/lib
mount --bind "$NODE/varlog" /var/log
mkdir -p /var/log/containers /var/log/pods
echo 1 > /proc/sys/net/ipv4/ip_forward
# The kubelet wants the first three settings of the kernel. It reads the wanted values, and the kernel keeps its own. By the
# last one it sees that the node was started again.
for setting in vm/overcommit_memory=1 kernel/panic=10 kernel/panic_on_oops=1 \
  "kernel/random/boot_id=$(cat /proc/sys/kernel/random/uuid)"; do
  path=${setting%=*}
  value=$NODE/${path##*/}
  echo "${setting##*=}" > "$value"
  mount --bind "$value" "/proc/sys/$path"
done
ulimit -n 65536

start() { # name, command
  local name=$1
  shift
  "$@" >> "$NODE/log/$name.log" 2>&1 < /dev/null &
  echo "$name $!" >> "$NODE/processes"
}
# Waits for a condition for at most a minute.
await() { for _ in $(seq 600); do "$@" > /dev/null 2>&1 && return; sleep .1; done; }

: > "$NODE/processes"
start containerd containerd --config "$NODE/containerd.toml"
if [ "$ROLE" = control-plane ]; then . "$SCRIPTS/control-plane.sh"; fi
await curl --fail --silent --cacert "$STATE/pki/ca.crt" "https://$CONTROL_PLANE:6443/readyz"
start proxy "$PROGRAMS/kube-proxy" --config "$NODE/proxy.yaml"
await test -S "$NODE/containerd.sock"
start kubelet "$PROGRAMS/kubelet" --config "$NODE/kubelet.yaml" --kubeconfig "$STATE/kubelet-$NAME.kubeconfig" \
  --hostname-override "$NAME" --node-ip "$ADDRESS" --root-dir "$NODE/kubelet" --cert-dir "$NODE/kubelet/pki"
trap 'exit 0' TERM
while :; do sleep 3600 & wait $!; done
