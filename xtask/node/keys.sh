#!/usr/bin/env bash
# Makes the keys, tokens, and kubeconfigs of the cluster in the directory $STATE: one authority, a pair for the API server, a
# pair with which it calls the kubelets, a key for ServiceAccounts, and the keys of the git server.
set -euo pipefail
cd "$STATE"
mkdir pki && cd pki
new=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
openssl req -x509 "${new[@]}" -days 30 -subj /CN=rototo-node -keyout ca.key -out ca.crt 2>/dev/null
pair() { # name, subject, alternative names
  openssl req "${new[@]}" -subj "$2" -keyout "$1.key" -out "$1.csr" 2>/dev/null
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out "$1.crt" 2>/dev/null \
    -extfile <(printf 'extendedKeyUsage=serverAuth,clientAuth\n%s' "${3:+subjectAltName=$3}")
}
pair apiserver /CN=kube-apiserver "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,\
DNS:kubernetes.default.svc.cluster.local,DNS:localhost,IP:$API_SERVICE,IP:$CONTROL_PLANE,IP:127.0.0.1"
pair kubelet-client /O=system:masters/CN=apiserver-kubelet-client ""
openssl genrsa -out serviceaccounts.key 2048 2>/dev/null

: > tokens.csv
kubeconfig() { # file, user, groups
  local token
  token=$(openssl rand -hex 16)
  echo "$token,$2,$2,$3" >> tokens.csv
  cat > "../$1" <<EOF
apiVersion: v1
kind: Config
clusters: [{name: node, cluster: {server: "https://$CONTROL_PLANE:6443", certificate-authority: $STATE/pki/ca.crt}}]
users: [{name: user, user: {token: $token}}]
contexts: [{name: node, context: {cluster: node, user: user}}]
current-context: node
EOF
}
kubeconfig kubeconfig admin system:masters
for node in $NODES; do kubeconfig "kubelet-$node.kubeconfig" "system:node:$node" system:nodes; done
kubeconfig proxy.kubeconfig system:kube-proxy ""
kubeconfig controllers.kubeconfig system:kube-controller-manager ""
kubeconfig scheduler.kubeconfig system:kube-scheduler ""

mkdir ../ssh && cd ../ssh
for key in host identity; do ssh-keygen -q -t ed25519 -N "" -C rototo-node -f "$key"; done
echo "[$CONTROL_PLANE]:2222 $(cut -d' ' -f1,2 host.pub)" > known_hosts
chmod 600 ../*kubeconfig ../pki/*.key ../pki/tokens.csv
