{{/* CEL: the prefix of every service account of the request's namespace. */}}
{{- define "waybill.accountsVariable" -}}
- name: accounts
  expression: "'system:serviceaccount:' + request.namespace + ':'"
{{- end }}

{{/* CEL: the conditions of a Delivery that the operator owns; the services own all others. */}}
{{- define "waybill.operatorConditions" -}}
["Admitted", "Ready", "Reconciling", "Stalled"]
{{- end }}

{{/* CEL: events that end an attempt, a delivery or a proof: those of `Kind::is_ending` in services/protocol. */}}
{{- define "waybill.endings" -}}
{{ list "Delivered" "ProofAttached" "ReceiptProved" "AttemptFailed" "OnHold" "Refused" "Damaged" "Lost" "Found" "Cancelled"
  "ReturnRequested" "GivenBack" "ReturnReceived" "Countersigned" "Corrected" "Erased" "Forgotten" | toJson }}
{{- end }}
