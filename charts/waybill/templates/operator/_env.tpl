{{/* The operator's settings, one variable each; operator/src/args.rs reads exactly these. */}}
{{- define "waybill.operatorEnv" -}}
- name: WAYBILL_NAMESPACE
  valueFrom:
    fieldRef: {fieldPath: metadata.namespace}
- name: WAYBILL_POD
  valueFrom:
    fieldRef: {fieldPath: metadata.name}
- name: WAYBILL_WATCH_NAMESPACES
  value: {{ include "waybill.namespaces" . | fromJsonArray | join "," | quote }}
- name: WAYBILL_IMAGE
  value: {{ include "waybill.image" . | quote }}
- name: WAYBILL_IMAGE_PULL_POLICY
  value: {{ .Values.image.pullPolicy }}
- name: WAYBILL_IMAGE_PULL_SECRETS
  value: {{ join "," .Values.participants.imagePullSecrets | quote }}
{{- if .Values.broker.external.url }}
- name: WAYBILL_BROKER_URL
  value: {{ .Values.broker.external.url | quote }}
{{- else }}
- name: WAYBILL_BROKER_HOST
  value: {{ printf "waybill-broker.%s.svc" .Release.Namespace | quote }}
- name: WAYBILL_BROKER_EXTERNAL_NAMES
  value: {{ join "," .Values.broker.externalNames | quote }}
{{- end }}
- name: WAYBILL_CARRIER_API_EXTERNAL_NAMES
  value: {{ join "," .Values.carrierApi.externalNames | quote }}
- name: WAYBILL_BOARD
  value: {{ .Values.board.enabled | quote }}
- name: WAYBILL_BOARD_EXTERNAL_NAMES
  value: {{ join "," .Values.board.externalNames | quote }}
{{- if .Values.board.enabled }}
- name: WAYBILL_BOARD_URL
  value: {{ .Values.board.externalUrl | quote }}
{{- end }}
- name: WAYBILL_CA_TTL
  value: {{ .Values.ca.ttl | quote }}
- name: WAYBILL_CA_OVERLAP
  value: {{ .Values.ca.overlap | quote }}
- name: WAYBILL_ORDER_URLS
  value: {{ join "," .Values.sellers.orderUrls | quote }}
- name: WAYBILL_NOTIFY_HOSTS
  value: {{ join "," .Values.sellers.notifyHosts | quote }}
- name: WAYBILL_RATE_LIMIT
  value: {{ .Values.rateLimit | int | quote }}
- name: WAYBILL_SELLER_REPLICAS
  value: {{ .Values.sellers.replicas | quote }}
- name: WAYBILL_CARRIER_API_REPLICAS
  value: {{ .Values.carrierApi.replicas | quote }}
{{- with .Values.carrierApi.photos }}
- name: WAYBILL_PHOTOS_URL
  value: {{ .url | quote }}
- name: WAYBILL_PHOTOS_CREDENTIALS
  value: {{ .credentialsSecret | quote }}
- name: WAYBILL_PHOTOS_SIZE
  value: {{ .volume.size | quote }}
- name: WAYBILL_PHOTOS_STORAGE_CLASS
  value: {{ .volume.storageClass | quote }}
{{- end }}
{{- with .Values.participants.resources }}
- name: WAYBILL_POD_CPU_REQUEST
  value: {{ .requests.cpu | quote }}
- name: WAYBILL_POD_MEMORY_REQUEST
  value: {{ .requests.memory | quote }}
- name: WAYBILL_POD_MEMORY_LIMIT
  value: {{ .limits.memory | quote }}
{{- end }}
- name: WAYBILL_STALL_AFTER
  value: {{ .Values.deliveries.stallAfter | quote }}
- name: WAYBILL_CONCURRENCY
  value: {{ .Values.operator.concurrency | quote }}
- name: WAYBILL_LOG
  value: {{ .Values.log.level | quote }}
- name: WAYBILL_LOG_FORMAT
  value: {{ .Values.log.format | quote }}
- name: WAYBILL_PROBE_ADDR
  value: "0.0.0.0:8080"
{{- end }}
