{{- /* The part that all pods share. (dict "root" $ "component" "api" "settings" .Values.api "user" 65532) */ -}}
{{- define "vigil.pod" -}}
serviceAccountName: {{ default (printf "%s-%s" (include "vigil.fullname" .root) .component) .serviceAccount }}
automountServiceAccountToken: {{ eq .component "operator" }}
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ default 65532 .user }}
  runAsGroup: {{ default 65532 .user }}
  fsGroup: {{ default 65532 .user }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .settings.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .settings.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .settings.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .spread }}
topologySpreadConstraints:
  {{- range .root.Values.topologySpreadKeys }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "vigil.selector" $ | nindent 8 }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "vigil.container" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- end -}}

{{- define "vigil.env.log" -}}
- name: VIGIL_LOG_LEVEL
  value: {{ .Values.log.level }}
- name: VIGIL_LOG_FORMAT
  value: {{ .Values.log.format }}
{{- end -}}

{{- define "vigil.env.http" -}}
- name: VIGIL_HTTP_HOST
  value: 0.0.0.0
- name: VIGIL_HTTP_PORT
  value: "8080"
{{- end -}}

{{- /* Probes of Vigil's own programs, which respond at once; /readyz names what a program waits for. */ -}}
{{- define "vigil.probes" -}}
startupProbe:
  httpGet: {path: /healthz, port: http}
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /healthz, port: http}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: http}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 2
{{- end -}}

{{- /* Wait until Postgres responds, and with "schema" until it has been migrated. (dict "root" $ "for" "schema") */ -}}
{{- define "vigil.waitForDatabase" -}}
- name: wait-for-{{ .for }}
  image: {{ include "vigil.image" (dict "root" .root "image" .root.Values.identity.image) }}
  {{- include "vigil.container" .root | nindent 2 }}
  command: [python, -c, {{ .root.Files.Get "files/wait_for_database.py" | toJson }}, {{ .for }}]
  env:
    {{- include "vigil.env.database" .root | nindent 4 }}
  resources: {{- toYaml .root.Values.migrate.resources | nindent 4 }}
{{- end -}}

{{- /* (dict "root" $ "component" "nats" "persistence" ...): a claim template or, without persistence, a volume. */ -}}
{{- define "vigil.claim" -}}
- metadata:
    name: data
    labels: {{- include "vigil.selector" . | nindent 6 }}
  spec:
    accessModes: [ReadWriteOnce]
    {{- with .persistence.storageClass }}
    storageClassName: {{ . }}
    {{- end }}
    resources:
      requests:
        storage: {{ .persistence.size }}
{{- end -}}
