{{- define "vigil.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- /* Begins the name of everything; short enough for the longest ending. */ -}}
{{- define "vigil.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "vigil.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "vigil.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- /* (dict "root" $ "component" "api") */ -}}
{{- define "vigil.selector" -}}
app.kubernetes.io/name: {{ include "vigil.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- /* Without versions: a new chart alone restarts nothing. */ -}}
{{- define "vigil.podLabels" -}}
{{ include "vigil.selector" . }}
app.kubernetes.io/part-of: vigil
{{- end -}}

{{- define "vigil.labels" -}}
{{ include "vigil.selector" . }}
app.kubernetes.io/part-of: vigil
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- /* (dict "root" $ "component" "api"): name, namespace and labels of one object. */ -}}
{{- define "vigil.metadata" -}}
name: {{ include "vigil.fullname" .root }}-{{ .component }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "vigil.labels" . | nindent 2 }}
{{- end -}}

{{- /*
The operator's Lease names the installation, and each Camera's children bear that name: a release has one of its own,
and one that was installed when every Lease was named vigil-operator keeps that name, unless another release holds it.
Who renders without the cluster cannot ask it, and names the Lease.
*/ -}}
{{- define "vigil.lease" -}}
{{- .Values.operator.leaseName | default (include "vigil.foundLease" .) -}}
{{- end -}}

{{- define "vigil.foundLease" -}}
{{- $own := printf "%s-operator" (include "vigil.fullname" .) -}}
{{- $name := $own -}}
{{- with lookup "apps/v1" "Deployment" .Release.Namespace $own -}}
{{- $told := "" -}}
{{- range .spec.template.spec.containers -}}
{{- range .env -}}
{{- if eq .name "VIGIL_LEASE_NAME" -}}{{- $told = .value -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- $former := "vigil-operator" -}}
{{- $lease := lookup "coordination.k8s.io/v1" "Lease" $.Release.Namespace $former -}}
{{- $holder := dig "spec" "holderIdentity" "" $lease | default "" -}}
{{- $free := or (not $holder) (hasPrefix (printf "%s-" $own) $holder) -}}
{{- $name = $told | default (ternary $former $own $free) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{- /* (dict "root" $ "image" "vigil/api"): an image of Vigil's own, with its tag. */ -}}
{{- define "vigil.image" -}}
{{- include "vigil.mirrored" (dict "root" .root "image" (printf "%s:%s" .image (default .root.Chart.AppVersion .root.Values.image.tag))) -}}
{{- end -}}

{{- /* (dict "root" $ "image" "docker.io/library/nats:2"): behind a mirror the public host's name is left out. */ -}}
{{- define "vigil.mirrored" -}}
{{- if .root.Values.image.registry -}}
{{- printf "%s/%s" (trimSuffix "/" .root.Values.image.registry) (regexReplaceAll "^[^/]+\\.[^/]+/" .image "") -}}
{{- else -}}
{{- .image -}}
{{- end -}}
{{- end -}}

{{- define "vigil.natsUrl" -}}
{{- if eq .Values.nats.mode "bundled" -}}
nats://{{ include "vigil.fullname" . }}-nats.{{ .Release.Namespace }}.svc:4222
{{- else -}}
{{ .Values.nats.external.url }}
{{- end -}}
{{- end -}}

{{- define "vigil.tritonUrls" -}}
{{- $urls := .Values.triton.externalUrls -}}
{{- if .Values.triton.enabled -}}
{{- $urls = prepend $urls (printf "%s-triton.%s.svc:8001" (include "vigil.fullname" .) .Release.Namespace) -}}
{{- end -}}
{{- join "," $urls -}}
{{- end -}}
