{{/*
Refuses a limit of the pod's disk that the operator may exceed: the kubelet would evict the pod. Without a volume, `/data` is on
that disk.
*/}}
{{- define "rototo-operator.ephemeralStorage" -}}
{{- $limit := dig "limits" "ephemeral-storage" "" (.Values.resources | default dict) }}
{{- $mib := include "rototo-operator.mib" $limit }}
{{- $needed := add (int .Values.limits.diskMib) (mul 2 128 (int .Values.limits.polls)) }}
{{- if and $mib (not .Values.persistence.enabled) (le (float64 $mib) (float64 $needed)) }}
{{- fail (printf "\n\nThe limit of ephemeral-storage in resources.limits is %v, and the kubelet evicts a pod that exceeds it. The operator may\nuse %d MiB of its disk: limits.diskMib, and 128 MiB for each of twice limits.polls. Raise the limit above that, with\nroom for /tmp and the log, or lower limits.diskMib or limits.polls.\n" $limit $needed) }}
{{- end }}
{{- end }}

{{/* The MiB of a quantity such as `15Gi`. Nothing if it is no quantity, which the API server refuses. */}}
{{- define "rototo-operator.mib" -}}
{{- $text := toString . }}
{{- $number := regexFind "^[0-9]+(\\.[0-9]*)?([eE][-+]?[0-9]+)?" $text }}
{{- $bytes := dict "" 1 "m" 0.001 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 }}
{{- $unit := trimPrefix $number $text }}
{{- if and $number (hasKey $bytes $unit) }}
{{- divf (mulf $number (get $bytes $unit)) 1048576 }}
{{- end }}
{{- end }}
