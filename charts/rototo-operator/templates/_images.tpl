{{/* An image by its digest, or by its tag. The argument has `image` and `tag`, the tag that is used if none is given. */}}
{{- define "rototo-operator.image" -}}
{{- if .image.digest }}
{{- printf "%s@%s" .image.repository .image.digest }}
{{- else }}
{{- printf "%s:%s" .image.repository (default .tag .image.tag) }}
{{- end }}
{{- end }}
