{{/* What the board may do where deliveries live: see, and nothing else. */}}
{{- define "waybill.boardRules" -}}
- apiGroups: [waybill.dev]
  resources: [deliveries]
  verbs: [get, list, watch] # get: the log, when somebody opens a timeline
- apiGroups: [waybill.dev]
  resources: [sellers, carriers]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [configmaps]
  resourceNames: [waybill-trust]
  verbs: [list, watch]
{{- end }}

{{/* What a person needs to look at the board, and at the same things with kubectl. */}}
{{- define "waybill.viewerRules" -}}
- apiGroups: [waybill.dev]
  resources: [deliveries, sellers, carriers]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [configmaps]
  resourceNames: [waybill-trust]
  verbs: [get]
{{- end }}
