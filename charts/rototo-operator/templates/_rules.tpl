{{/* The rights of the operator in the namespaces that it serves. */}}
{{- define "rototo-operator.servedRules" -}}
- apiGroups: [rototo.dev]
  resources: [rototoworkspaces]
  verbs: [get, list, watch]
- apiGroups: [rototo.dev]
  resources: [rototoworkspaces/status]
  verbs: [get, patch, update]
# One ConfigMap of each namespace, and no other. This rule authorizes a list or watch with the field selector
# metadata.name=rototo-markers.
- apiGroups: [""]
  resources: [configmaps]
  resourceNames: [rototo-markers]
  verbs: [get, list, watch, patch]
# `create` can't be limited by name, because the object has no name yet when it is authorized.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [create]
# The operator counts the pods of a fleet.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- if ne .Values.rbac.secrets.access "none" }}
# The Secrets that a RototoWorkspace names. Without `list`, the operator has to know the name.
- apiGroups: [""]
  resources: [secrets]
  {{- if eq .Values.rbac.secrets.access "listed" }}
  resourceNames: {{ toJson .Values.rbac.secrets.names }}
  {{- end }}
  verbs: [get]
{{- end }}
{{- end }}
