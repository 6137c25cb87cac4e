{{/*
The binding of an admission policy, for the namespaces that this release serves. `name` is the name of both, and `root` the
context of the chart.
*/}}
{{- define "rototo-operator.policyBinding" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ .name }}
  labels: {{- include "rototo-operator.labels" .root | nindent 4 }}
spec:
  policyName: {{ .name }}
  validationActions: [Deny]
  {{- with .root.Values.watchNamespaces }}
  # Another release may serve the other namespaces.
  matchResources:
    matchPolicy: Equivalent
    objectSelector: {}
    namespaceSelector:
      matchExpressions:
      - key: kubernetes.io/metadata.name
        operator: In
        values: {{ toJson . }}
  {{- end }}
{{- end }}
