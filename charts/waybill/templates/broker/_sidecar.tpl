{{/*
A native sidecar: mosquitto starts once the sidecar is ready, that is, once certificates, revocations and access lists are
written; and it goes on beside it, to keep them current.
*/}}
{{- define "waybill.brokerSidecar" -}}
- name: sidecar
  image: {{ include "waybill.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  restartPolicy: Always
  args: [broker-sidecar]
  env:
    - name: WAYBILL_NAMESPACE
      valueFrom:
        fieldRef: {fieldPath: metadata.namespace}
    - name: WAYBILL_LOG
      value: {{ .Values.log.level | quote }}
    - name: WAYBILL_LOG_FORMAT
      value: {{ .Values.log.format | quote }}
    - name: WAYBILL_PROBE_ADDR
      value: "0.0.0.0:8080"
    {{- with .Values.broker.sidecar.extraEnv }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  ports:
    - {name: http, containerPort: 8080}
  # The operator makes the certificates first; on a fresh cluster that takes a few seconds, without it for ever.
  startupProbe:
    httpGet: {path: /readyz, port: http}
    periodSeconds: 1
    failureThreshold: 600
  livenessProbe:
    httpGet: {path: /healthz, port: http}
    periodSeconds: 10
  securityContext:
    {{- include "waybill.containerSecurityContext" . | nindent 4 }}
  resources:
    {{- toYaml .Values.broker.sidecar.resources | nindent 4 }}
  volumeMounts:
    - {name: run, mountPath: /run/waybill-broker}
    - {name: token, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
{{- end }}
