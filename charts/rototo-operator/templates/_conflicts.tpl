{{/*
Refuses a release that could not do its work, before anything is installed. `lookup` finds nothing where no cluster can be
asked, as in `helm template`.
*/}}
{{- define "rototo-operator.conflicts" -}}
{{- if .Values.conflictCheck.enabled }}
{{- include "rototo-operator.conflictOfReleases" . }}
{{- if .Values.crds.install }}
{{- include "rototo-operator.conflictOfCrd" . }}
{{- end }}
{{- include "rototo-operator.conflictOfMarkers" . }}
{{- end }}
{{- end }}

{{/* Two operators that serve one namespace: the second could publish nothing there. */}}
{{- define "rototo-operator.conflictOfReleases" -}}
{{- range (lookup "rbac.authorization.k8s.io/v1" "ClusterRole" "" "").items }}
{{- $served := dig "metadata" "annotations" "rototo.dev/watch-namespaces" "none" . }}
{{- $release := dig "metadata" "labels" "app.kubernetes.io/instance" "?" . }}
{{- $namespace := dig "metadata" "annotations" "meta.helm.sh/release-namespace" "?" . }}
{{- /* An upgrade may change the name of the ClusterRole. */}}
{{- $same := and (eq $release $.Release.Name) (eq $namespace $.Release.Namespace) }}
{{- $own := or $same (eq .metadata.name (include "rototo-operator.clusterName" $)) }}
{{- if and (ne $served "none") (not $own) }}
{{- $theirs := without (splitList "," $served) "" }}
{{- $both := list }}
{{- if and $theirs $.Values.watchNamespaces }}
{{- range $.Values.watchNamespaces }}{{ if has . $theirs }}{{ $both = append $both . }}{{ end }}{{ end }}
{{- else }}
{{- $both = concat $theirs $.Values.watchNamespaces | default (list "all namespaces") }}
{{- end }}
{{- if $both }}
{{- fail (printf "\n\nThe release %s in the namespace %s serves %s already, and one operator serves a namespace.\nEither upgrade that release (helm upgrade %s --namespace %s …), or uninstall it first, or let both serve different\nnamespaces with the value watchNamespaces. Nothing was changed. conflictCheck.enabled=false turns this check off.\n" $release $namespace (join ", " $both) $release $namespace) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* A CRD that belongs to another release, which Helm would refuse after a part of the release is rendered. */}}
{{- define "rototo-operator.conflictOfCrd" -}}
{{- with lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" "rototoworkspaces.rototo.dev" }}
{{- $release := dig "annotations" "meta.helm.sh/release-name" "" .metadata }}
{{- $namespace := dig "annotations" "meta.helm.sh/release-namespace" "" .metadata }}
{{- if or (ne $release $.Release.Name) (ne $namespace $.Release.Namespace) }}
{{- $owner := $release | empty | ternary "no Helm release" (printf "the release %s in the namespace %s" $release $namespace) }}
{{- fail (printf "\n\nThe CRD rototoworkspaces.rototo.dev exists and belongs to %s.\nIf its owner is still in use, set crds.install=false: the owner upgrades the CRD. Otherwise let this release own it,\nwhich changes no RototoWorkspace:\n  kubectl label --overwrite crd rototoworkspaces.rototo.dev app.kubernetes.io/managed-by=Helm\n  kubectl annotate --overwrite crd rototoworkspaces.rototo.dev meta.helm.sh/release-name=%s meta.helm.sh/release-namespace=%s\nIf Helm then names a conflict with kubectl, which applied the CRD, add --force-conflicts to the command once.\nNothing was changed. conflictCheck.enabled=false turns this check off.\n" $owner $.Release.Name $.Release.Namespace) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Markers of an earlier release: this one would publish nothing there, with the reason ForeignMarkers. */}}
{{- define "rototo-operator.conflictOfMarkers" -}}
{{- $install := printf "%s/%s" .Release.Namespace (include "rototo-operator.install" .) }}
{{- $foreign := list }}
{{- $commands := list }}
{{- range (include "rototo-operator.namespacesWithWorkspaces" . | fromYamlArray) }}
{{- with lookup "v1" "ConfigMap" . "rototo-markers" }}
{{- $owner := dig "annotations" "rototo.dev/install" "" .metadata }}
{{- if ne $owner $install }}
{{- $foreign = append $foreign (printf "  %s: %s" .metadata.namespace ($owner | empty | ternary "nobody" $owner)) }}
{{- $commands = append $commands (printf "  kubectl annotate --overwrite configmap rototo-markers --namespace %s rototo.dev/install=%s" .metadata.namespace $install) }}
{{- end }}
{{- end }}
{{- end }}
{{- if $foreign }}
{{- fail (printf "\n\nThe markers of some namespaces belong to another install, as namespace/release:\n%s\nThis release would publish nothing there. If that install is gone or no longer serves these namespaces, let this one\ntake them over; processes follow, and nothing is published anew:\n%s\nIf it still serves them, leave the namespaces out of watchNamespaces. Nothing was changed. conflictCheck.enabled=false\nturns this check off.\n" (join "\n" $foreign) (join "\n" $commands)) }}
{{- end }}
{{- end }}

{{/* The served namespaces that have a RototoWorkspace, as a YAML list. */}}
{{- define "rototo-operator.namespacesWithWorkspaces" -}}
{{- $found := list }}
{{- $crd := lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" "rototoworkspaces.rototo.dev" }}
{{- $established := false }}
{{- range (dig "status" "conditions" list $crd) }}
{{- if and (eq .type "Established") (eq .status "True") }}{{ $established = true }}{{ end }}
{{- end }}
{{- if $established }}
{{- range (.Values.watchNamespaces | default (list "")) }}
{{- range (lookup "rototo.dev/v1alpha1" "RototoWorkspace" . "").items }}
{{- $found = append $found .metadata.namespace }}
{{- end }}
{{- end }}
{{- end }}
{{- toYaml ($found | uniq) }}
{{- end }}
