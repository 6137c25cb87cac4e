{{/* What the operator may do in the namespaces that it serves. */}}
{{- define "rototo-operator.servedRules" -}}
- apiGroups: [rototo.dev]
  resources: [rototoworkspaces]
  verbs: [get, list, watch]
- apiGroups: [rototo.dev]
  resources: [rototoworkspaces/status]
  verbs: [get, patch, update]
# One ConfigMap of each namespace, and no other. A list or watch with the field selector metadata.name=rototo-markers
# is authorized by this.
- apiGroups: [""]
  resources: [configmaps]
  resourceNames: [rototo-markers]
  verbs: [get, list, watch, patch]
# `create` can't be limited by name: when it is authorized, the object has none yet.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [create]
# How many processes a fleet should have.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- if ne .Values.rbac.secrets.access "none" }}
# What spec.secretRef and spec.webhook.secretRef name. Without `list`, a name has to be known.
- apiGroups: [""]
  resources: [secrets]
  {{- with .Values.rbac.secrets.names }}
  resourceNames: {{ toJson . }}
  {{- end }}
  verbs: [get]
{{- end }}
{{- end }}
