{{/*
The security context of a pod. OpenShift gives each namespace a range of users and groups, and refuses a pod that asks for
others.
*/}}
{{- define "rototo-operator.podSecurityContext" -}}
{{- $context := .Values.podSecurityContext | default dict }}
{{- $found := and (eq (toString .Values.openshift) "auto") (.Capabilities.APIVersions.Has "security.openshift.io/v1") }}
{{- if or $found (eq (toString .Values.openshift) "true") }}
{{- $context = omit $context "runAsUser" "runAsGroup" "fsGroup" }}
{{- end }}
{{- with $context }}{{ toYaml . }}{{ end }}
{{- end }}
