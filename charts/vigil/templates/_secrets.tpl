{{- /*
Secrets are made once: what is in the cluster is kept, and what was made in this rendering is remembered in .Values, so that
every template sees the same. Where Helm cannot ask the cluster (`helm template`), every rendering makes new ones; name
existing Secrets there.
(dict "root" $ "secret" "vigil-bus" "key" "token")
*/ -}}
{{- define "vigil.made" -}}
{{- if not (hasKey .root.Values "_made") -}}{{- $_ := set .root.Values "_made" dict -}}{{- end -}}
{{- $made := get .root.Values "_made" -}}
{{- $id := printf "%s/%s" .secret .key -}}
{{- if not (hasKey $made $id) -}}
{{- $found := lookup "v1" "Secret" .root.Release.Namespace .secret -}}
{{- $value := dig "data" .key "" $found -}}
{{- $_ := set $made $id (ternary (b64dec $value) (randAlphaNum 40) (ne $value "")) -}}
{{- end -}}
{{- get $made $id -}}
{{- end -}}

{{- define "vigil.busSecret" -}}
{{- default "vigil-bus" .Values.nats.tokenSecret.name -}}
{{- end -}}

{{- /* Names of the Secrets with the other passwords: the user's, or the one that the chart makes. */ -}}
{{- define "vigil.ownSecret" -}}{{ include "vigil.fullname" . }}-secrets{{- end -}}

{{- /* (dict "root" $ "given" .Values.api.tokenSecret "key" "api-token"): a secretKeyRef. */ -}}
{{- define "vigil.secretKeyRef" -}}
secretKeyRef:
  name: {{ default (include "vigil.ownSecret" .root) .given.name }}
  key: {{ ternary .given.key .key (ne .given.name "") }}
{{- end -}}

{{- define "vigil.env.nats" -}}
- name: VIGIL_NATS_URL
  value: {{ include "vigil.natsUrl" . | quote }}
- name: VIGIL_NATS_TOKEN
  valueFrom:
    secretKeyRef:
      name: {{ include "vigil.busSecret" . }}
      key: token
{{- end -}}

{{- define "vigil.env.database" -}}
{{- if eq .Values.postgres.mode "bundled" -}}
- name: POSTGRES_PASSWORD
  valueFrom:
    {{- include "vigil.secretKeyRef" (dict "root" . "given" .Values.postgres.bundled.passwordSecret "key" "postgres-password") | nindent 4 }}
- name: VIGIL_DATABASE_URL
  value: postgresql://vigil:$(POSTGRES_PASSWORD)@{{ include "vigil.fullname" . }}-postgres.{{ .Release.Namespace }}.svc:5432/vigil
{{- else -}}
- name: VIGIL_DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ .Values.postgres.external.urlSecret.name }}
      key: {{ .Values.postgres.external.urlSecret.key }}
{{- end -}}
{{- end -}}

{{- /* Keys of the chart's own Secret, as YAML: those for which the user names no Secret. */ -}}
{{- define "vigil.ownKeys" -}}
{{- $keys := list -}}
{{- if not .Values.api.tokenSecret.name -}}{{- $keys = append $keys "api-token" -}}{{- end -}}
{{- if not .Values.identity.tokenSecret.name -}}{{- $keys = append $keys "identity-token" -}}{{- end -}}
{{- if and (eq .Values.postgres.mode "bundled") (not .Values.postgres.bundled.passwordSecret.name) -}}
{{- $keys = append $keys "postgres-password" -}}
{{- end -}}
{{- toYaml $keys -}}
{{- end -}}

{{- /* Changes when a Secret that the chart makes changes, so that pods read it anew. */ -}}
{{- define "vigil.secretsChecksum" -}}
{{- $parts := list -}}
{{- range include "vigil.ownKeys" . | fromYamlArray -}}
{{- $parts = append $parts (include "vigil.made" (dict "root" $ "secret" (include "vigil.ownSecret" $) "key" .)) -}}
{{- end -}}
{{- if not .Values.nats.tokenSecret.name -}}
{{- $parts = append $parts (include "vigil.made" (dict "root" $ "secret" (include "vigil.busSecret" $) "key" "token")) -}}
{{- end -}}
{{- join "," $parts | sha256sum | trunc 16 -}}
{{- end -}}
