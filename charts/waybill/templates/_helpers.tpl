{{/*
Names. The namespaced ones are fixed, because participants, policies and documents name them; so one namespace holds one
release. Cluster-scoped ones carry the release's namespace, so that several releases can share a cluster.
*/}}
{{- define "waybill.clusterName" -}}
{{- $release := index . 0 -}}
{{- printf "waybill-%s.%s" (index . 1) $release.Release.Namespace -}}
{{- end }}

{{- define "waybill.policyName" -}}
{{- $release := index . 0 -}}
{{- printf "%s.%s.waybill.dev" (index . 1) $release.Release.Namespace -}}
{{- end }}

{{- define "waybill.operatorUser" -}}
system:serviceaccount:{{ .Release.Namespace }}:waybill-operator
{{- end }}

{{- define "waybill.selectorLabels" -}}
app.kubernetes.io/name: waybill
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "waybill.labels" -}}
{{- $release := index . 0 -}}
{{ include "waybill.selectorLabels" . }}
app.kubernetes.io/version: {{ $release.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $release.Release.Service }}
app.kubernetes.io/part-of: waybill
helm.sh/chart: {{ printf "%s-%s" $release.Chart.Name $release.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Labels of a pod template: the selector's, and what the user adds. Nothing that changes with every release. */}}
{{- define "waybill.podLabels" -}}
{{ include "waybill.selectorLabels" . }}
{{- with (index . 2) }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "waybill.imageRef" -}}
{{- $image := index . 0 -}}
{{- $tag := $image.tag | default (index . 1) -}}
{{- if $image.digest -}}
{{ $image.repository }}{{ with $tag }}:{{ . }}{{ end }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $tag }}
{{- end -}}
{{- end }}

{{- define "waybill.image" -}}
{{ include "waybill.imageRef" (list .Values.image .Chart.AppVersion) }}
{{- end }}

{{/* The namespaces the operator works in, as JSON; empty when it works in all of them. */}}
{{- define "waybill.namespaces" -}}
{{- if .Values.clusterWide -}}
[]
{{- else -}}
{{ .Values.namespaces | default (list "default") | uniq | toJson }}
{{- end -}}
{{- end }}

{{/* Choices that would do harm are refused before anything is installed. */}}
{{- define "waybill.checkChoices" -}}
{{- if and .Values.clusterWide .Values.namespaces -}}
{{- fail "clusterWide and namespaces exclude each other: set clusterWide=true, or list the namespaces, not both" -}}
{{- end -}}
{{- if has .Release.Namespace (include "waybill.namespaces" . | fromJsonArray) -}}
{{- fail (printf "the release's namespace %q holds the CA's key, so nobody's deliveries may live in it: install with --namespace waybill-system --create-namespace, or list other namespaces in `namespaces`" .Release.Namespace) -}}
{{- end -}}
{{- if and .Values.broker.external.url .Values.broker.expose.type -}}
{{- fail "broker.external.url uses another broker, so there is none of ours to expose: unset broker.expose.type" -}}
{{- end -}}
{{- with .Values.board -}}
{{- if and .oidc.issuer (not (and .oidc.clientId .externalUrl)) -}}
{{- fail "board.oidc.issuer sends people back to the board: set board.externalUrl, and board.oidc.clientId as the issuer knows it" -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* What restricted Pod Security asks of a pod and of a container; the image's user is 65532 as well. */}}
{{- define "waybill.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "waybill.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Where a pod runs; the argument is its block of the values. */}}
{{- define "waybill.scheduling" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{/* Policies apply where this release works: in the namespaces listed, or everywhere. */}}
{{- define "waybill.policyScope" -}}
{{- $namespaces := include "waybill.namespaces" . | fromJsonArray -}}
{{- if $namespaces }}
matchResources:
  namespaceSelector:
    matchExpressions:
      - key: kubernetes.io/metadata.name
        operator: In
        values: {{ toJson $namespaces }}
{{- end }}
{{- end }}
