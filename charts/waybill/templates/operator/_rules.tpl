{{/*
What the operator may do where participants live: what it does itself, and (marked) what it passes on. It makes Roles for
Sellers and Carrier APIs, and Kubernetes lets it grant only what it holds. A test compares this with the audit log.
*/}}
{{- define "waybill.operatorRules" -}}
- apiGroups: [waybill.dev]
  resources: [deliveries]
  verbs: [get, list, watch, delete] # get: passed on
- apiGroups: [waybill.dev]
  resources: [sellers, carriers]
  verbs: [get, list, watch, create, delete]
- apiGroups: [waybill.dev]
  resources: [deliveries/status, sellers/status, carriers/status]
  verbs: [patch]
# A participant's certificate and keys. Server-side apply asks for patch, and for create where the object is not there yet.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, patch, delete]
# What participants trust: waybill-trust.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch, create, patch, delete] # watch: passed on
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services]
  verbs: [list, watch, create, patch]
# The volume with a namespace's photos: made once, never changed or removed.
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, create]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [list, watch, create, patch]
- apiGroups: [rbac.authorization.k8s.io]
  resources: [roles, rolebindings]
  verbs: [list, watch, create, patch]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get, list, watch, create, patch] # list, watch, patch: passed on
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end }}
