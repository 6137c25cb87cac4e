#!/usr/bin/env bash
# Process 1 of the node: starts everything in the node's network, mount, and pid namespaces. When this process ends, the
# kernel ends all others.
set -u
export PATH=$DEBIAN/usr/sbin:$DEBIAN/usr/bin:$PATH LD_LIBRARY_PATH=$DEBIAN/usr/lib/$(uname -m)-linux-gnu
unset HTTP_PROXY HTTPS_PROXY ALL_PROXY http_proxy https_proxy all_proxy
mount --make-rshared /
# The node writes nothing outside $STATE: it gets a /run, /var/lib, and /var/log of its own.
mount -t tmpfs tmpfs /run
mkdir -p /run/containerd /run/sshd "$STATE/varlib"
mount --bind "$STATE/varlib" /var/lib
mount --bind "$STATE/varlog" /var/log
mkdir -p /var/log/containers /var/log/pods
# sshd needs a user without rights, which only this namespace has.
{ grep -v '^sshd:' /etc/passwd; echo 'sshd:x:65534:65534::/run/sshd:/usr/sbin/nologin'; } > "$STATE/passwd"
mount --bind "$STATE/passwd" /etc/passwd
echo 1 > /proc/sys/net/ipv4/ip_forward
# The kubelet wants these settings of the kernel. It reads the wanted values, and the kernel keeps its own.
for setting in vm/overcommit_memory=1 kernel/panic=10 kernel/panic_on_oops=1; do
  value=$STATE/${setting##*/}
  echo "${setting##*=}" > "$value"
  mount --bind "$value" "/proc/sys/${setting%=*}"
done
ulimit -n 65536

start() { # name, command
  local name=$1
  shift
  "$@" > "$STATE/log/$name.log" 2>&1 < /dev/null &
  echo "$name $!" >> "$STATE/processes"
}
# Waits for a condition for at most a minute.
await() { for _ in $(seq 600); do "$@" > /dev/null 2>&1 && return; sleep .1; done; }

start etcd "$ETCD" --data-dir "$STATE/etcd" --unsafe-no-fsync \
  --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
  --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
  --initial-cluster default=http://127.0.0.1:2380
start containerd containerd --config "$STATE/containerd.toml"
start apiserver "$KUBE_APISERVER" --etcd-servers http://127.0.0.1:2379 --secure-port 6443 \
  --bind-address "$ADDRESS" --advertise-address "$ADDRESS" \
  --tls-cert-file "$STATE/pki/apiserver.crt" --tls-private-key-file "$STATE/pki/apiserver.key" \
  --client-ca-file "$STATE/pki/ca.crt" --token-auth-file "$STATE/pki/tokens.csv" \
  --kubelet-client-certificate "$STATE/pki/kubelet-client.crt" --kubelet-client-key "$STATE/pki/kubelet-client.key" \
  --kubelet-preferred-address-types InternalIP \
  --service-account-issuer https://kubernetes.default.svc \
  --service-account-key-file "$STATE/pki/serviceaccounts.key" \
  --service-account-signing-key-file "$STATE/pki/serviceaccounts.key" \
  --service-cluster-ip-range "$SERVICES" --authorization-mode Node,RBAC \
  --enable-admission-plugins NodeRestriction --allow-privileged
start sshd "$DEBIAN/usr/sbin/sshd" -D -e -f "$STATE/sshd_config"
await curl --fail --silent --cacert "$STATE/pki/ca.crt" "https://$ADDRESS:6443/readyz"
start controllers "$KUBE_CONTROLLER_MANAGER" --kubeconfig "$STATE/controllers.kubeconfig" \
  --authentication-kubeconfig "$STATE/controllers.kubeconfig" --authorization-kubeconfig "$STATE/controllers.kubeconfig" \
  --service-account-private-key-file "$STATE/pki/serviceaccounts.key" --root-ca-file "$STATE/pki/ca.crt" \
  --use-service-account-credentials --leader-elect=false --secure-port 0 \
  --flex-volume-plugin-dir "$STATE/kubelet/plugins"
start scheduler "$PROGRAMS/kube-scheduler" --kubeconfig "$STATE/scheduler.kubeconfig" \
  --authentication-kubeconfig "$STATE/scheduler.kubeconfig" --authorization-kubeconfig "$STATE/scheduler.kubeconfig" \
  --leader-elect=false --secure-port 0
start proxy "$PROGRAMS/kube-proxy" --config "$STATE/proxy.yaml"
start dns "$PROGRAMS/dns" --kubeconfig "$STATE/kubeconfig" --listen "$ADDRESS:53"
await test -S "$STATE/containerd.sock"
start kubelet "$PROGRAMS/kubelet" --config "$STATE/kubelet.yaml" --kubeconfig "$STATE/kubelet.kubeconfig" \
  --hostname-override node1 --node-ip "$ADDRESS" --root-dir "$STATE/kubelet" --cert-dir "$STATE/kubelet/pki"
trap 'exit 0' TERM
while :; do sleep 3600 & wait $!; done
