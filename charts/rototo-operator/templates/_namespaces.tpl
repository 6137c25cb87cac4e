{{/*
The watched namespaces that an upgrade finds deleted, as a YAML list: the API server refuses objects there. Where no cluster
can be asked, as in `helm template`, there are none. At an install there are none either: all have to exist, and the release
itself may create some of them.
*/}}
{{- define "rototo-operator.absentNamespaces" -}}
{{- $absent := list }}
{{- if and .Release.IsUpgrade .Values.conflictCheck.enabled (lookup "v1" "Namespace" "" .Release.Namespace) }}
{{- range .Values.watchNamespaces }}
{{- $namespace := lookup "v1" "Namespace" "" . }}
{{- if or (not $namespace) (dig "metadata" "deletionTimestamp" "" $namespace) }}{{ $absent = append $absent . }}{{ end }}
{{- end }}
{{- end }}
{{- toYaml $absent }}
{{- end }}
