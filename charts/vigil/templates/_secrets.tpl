{{- /*
Secrets are generated once. Those in the cluster are kept, and those of this rendering are stored in .Values, so that every
template uses the same. Without the cluster (`helm template`) every rendering generates new ones; name existing Secrets there.
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

{{- /* Name of the Secret with the generated passwords and tokens, except that of the bus. */ -}}
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

{{- /* Keys of that Secret, as YAML: those for which the values name no Secret. */ -}}
{{- define "vigil.ownKeys" -}}
{{- $keys := list -}}
{{- if not .Values.api.tokenSecret.name -}}{{- $keys = append $keys "api-token" -}}{{- end -}}
{{- if not .Values.identity.tokenSecret.name -}}{{- $keys = append $keys "identity-token" -}}{{- end -}}
{{- if and (eq .Values.postgres.mode "bundled") (not .Values.postgres.bundled.passwordSecret.name) -}}
{{- $keys = append $keys "postgres-password" -}}
{{- end -}}
{{- toYaml $keys -}}
{{- end -}}

{{- /* Checksum of the generated Secrets; pods restart when it changes. */ -}}
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
