{{/* CEL: the prefix of every service account of the request's namespace. */}}
{{- define "waybill.accountsVariable" -}}
- name: accounts
  expression: "'system:serviceaccount:' + request.namespace + ':'"
{{- end }}

{{/* CEL: the conditions of a Delivery that the operator owns; the services own all others. */}}
{{- define "waybill.operatorConditions" -}}
["Admitted", "Ready", "Reconciling", "Stalled"]
{{- end }}

{{/* CEL: events that end a delivery or an attempt, or record something about its end. */}}
{{- define "waybill.endings" -}}
{{ list "Delivered" "AttemptFailed" "Refused" "Damaged" "Lost" "OnHold" "ReturnToSender" "Returned" "Cancelled" "Received"
  "ProofAttached" "Corrected" "Found" "Erased" "Forgotten" | toJson }}
{{- end }}
