# Starts what the control plane has beside the programs of every node. init.sh reads this file on the node that has it.

# sshd needs a user without rights, which only this namespace has.
mkdir -p /run/sshd
{ grep -v '^sshd:' /etc/passwd; echo 'sshd:x:65534:65534::/run/sshd:/usr/sbin/nologin'; } > "$NODE/passwd"
mount --bind "$NODE/passwd" /etc/passwd

start etcd "$ETCD" --data-dir "$NODE/etcd" --unsafe-no-fsync \
  --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
  --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
  --initial-cluster default=http://127.0.0.1:2380
# A cluster has 300 seconds in place of 30. They pass between the moment in which a node counts as lost and that in which
# its pods are deleted and replaced. The first moment is as in a cluster, 50 seconds after the last sign of the node.
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
  --enable-admission-plugins NodeRestriction --allow-privileged \
  --default-not-ready-toleration-seconds 30 --default-unreachable-toleration-seconds 30
start sshd "$DEBIAN/usr/sbin/sshd" -D -e -f "$NODE/sshd_config"
await curl --fail --silent --cacert "$STATE/pki/ca.crt" "https://$ADDRESS:6443/readyz"
start controllers "$KUBE_CONTROLLER_MANAGER" --kubeconfig "$STATE/controllers.kubeconfig" \
  --authentication-kubeconfig "$STATE/controllers.kubeconfig" --authorization-kubeconfig "$STATE/controllers.kubeconfig" \
  --service-account-private-key-file "$STATE/pki/serviceaccounts.key" --root-ca-file "$STATE/pki/ca.crt" \
  --use-service-account-credentials --leader-elect=false --secure-port 0 \
  --flex-volume-plugin-dir "$NODE/kubelet/plugins"
start scheduler "$PROGRAMS/kube-scheduler" --kubeconfig "$STATE/scheduler.kubeconfig" \
  --authentication-kubeconfig "$STATE/scheduler.kubeconfig" --authorization-kubeconfig "$STATE/scheduler.kubeconfig" \
  --leader-elect=false --secure-port 0
start dns "$PROGRAMS/dns" --kubeconfig "$STATE/kubeconfig" --listen "$ADDRESS:53"
