{{- define "rototo-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The name of all objects in the release's namespace, of at most 52 characters, so that suffixes such as `-tls` fit. */}}
{{- define "rototo-operator.fullname" -}}
{{- if and (not .Values.fullnameOverride) (regexMatch "^[0-9]" .Release.Name) }}
{{- fail (printf "the release name %s begins with a digit, which the name of a Service must not: choose another, or set fullnameOverride" .Release.Name) }}
{{- end }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trimSuffix "-" }}
{{- else if contains (include "rototo-operator.name" .) .Release.Name }}
{{- .Release.Name | replace "." "-" | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "rototo-operator.name" .) | replace "." "-" | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/*
The name of this install, which its Lease has and its markers name: that of the release. A chart that depends on this one
twice, by aliases, has two installs in one release, and each one needs a Lease of its own.
*/}}
{{- define "rototo-operator.install" -}}
{{- if eq .Chart.Name "rototo-operator" }}
{{- .Release.Name }}
{{- else }}
{{- include "rototo-operator.fullname" . }}
{{- end }}
{{- end }}

{{/* The name of objects without a namespace. It differs between releases of the same name in two namespaces. */}}
{{- define "rototo-operator.clusterName" -}}
{{- printf "%s.%s" (include "rototo-operator.fullname" .) .Release.Namespace }}
{{- end }}

{{/* The name of the admission policy about requests of people, and of its binding. */}}
{{- define "rototo-operator.requestsPolicy" -}}
{{- include "rototo-operator.clusterName" . }}.requests
{{- end }}

{{- define "rototo-operator.tlsSecret" -}}
{{- include "rototo-operator.fullname" . }}-tls
{{- end }}

{{- define "rototo-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "rototo-operator.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "rototo-operator.labels" -}}
{{ include "rototo-operator.selectorLabels" . }}
app.kubernetes.io/component: operator
{{ include "rototo-operator.commonLabels" . }}
{{- end }}

{{/* Labels by which a NetworkPolicy selects the pod of `helm test`. */}}
{{- define "rototo-operator.testSelectorLabels" -}}
app.kubernetes.io/name: {{ include "rototo-operator.name" . | trunc 58 | trimSuffix "-" }}-test
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/* The labels of a pod that is no operator: the Service must not lead to it. */}}
{{- define "rototo-operator.testLabels" -}}
{{ include "rototo-operator.testSelectorLabels" . }}
app.kubernetes.io/component: test
{{ include "rototo-operator.commonLabels" . }}
{{- end }}

{{- define "rototo-operator.commonLabels" -}}
app.kubernetes.io/part-of: rototo
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "rototo-operator.advertiseUrl" -}}
{{- if .Values.advertiseUrl }}
{{- .Values.advertiseUrl }}
{{- else if eq (int .Values.service.port) 443 }}
{{- printf "https://%s.%s.svc" (include "rototo-operator.fullname" .) .Release.Namespace }}
{{- else }}
{{- printf "https://%s.%s.svc:%d" (include "rototo-operator.fullname" .) .Release.Namespace (int .Values.service.port) }}
{{- end }}
{{- end }}

{{/* The user name of the operator in admission requests. */}}
{{- define "rototo-operator.user" -}}
{{- printf "system:serviceaccount:%s:%s" .Release.Namespace (include "rototo-operator.fullname" .) }}
{{- end }}
