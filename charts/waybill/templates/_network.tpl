{{/* Probes and metrics: kubelets always may; others as networkPolicy.metricsFrom says. */}}
{{- define "waybill.metricsIngress" -}}
- ports:
    - {port: 8080, protocol: TCP}
  {{- with .Values.networkPolicy.metricsFrom }}
  from:
    - podSelector: {}
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* Names, and the API server: it has no pod labels to select it by, so only its ports are named. */}}
{{- define "waybill.clusterEgress" -}}
- ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
- ports:
    {{- range .Values.networkPolicy.apiServerPorts }}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
{{- end }}
