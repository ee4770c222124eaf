{{- define "vigil.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- /* Prefix of all names, short enough for the longest suffix. */ -}}
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

{{- /* Without versions, so that a new chart alone restarts no pod. */ -}}
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
The name of the operator's Lease identifies the installation, and the objects of each Camera carry it. Every release has a
Lease of its own. A release from the time when every Lease was named vigil-operator keeps that name, unless another release
holds it. Without the cluster the chart cannot look it up; operator.leaseName names it then.
*/ -}}
{{- define "vigil.lease" -}}
{{- .Values.operator.leaseName | default (include "vigil.foundLease" .) -}}
{{- end -}}

{{- define "vigil.foundLease" -}}
{{- $own := printf "%s-operator" (include "vigil.fullname" .) -}}
{{- $name := $own -}}
{{- with lookup "apps/v1" "Deployment" .Release.Namespace $own -}}
{{- $current := "" -}}
{{- range .spec.template.spec.containers -}}
{{- range .env -}}
{{- if eq .name "VIGIL_LEASE_NAME" -}}{{- $current = .value -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- $former := "vigil-operator" -}}
{{- $lease := lookup "coordination.k8s.io/v1" "Lease" $.Release.Namespace $former -}}
{{- $holder := dig "spec" "holderIdentity" "" $lease | default "" -}}
{{- $free := or (not $holder) (hasPrefix (printf "%s-" $own) $holder) -}}
{{- $name = $current | default (ternary $former $own $free) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{- /* Images were strings in earlier versions. Templates are rendered in any order, so each use of an image checks this. */ -}}
{{- define "vigil.refuseFormerImages" -}}
{{- $images := dict
      "operator.image" .Values.operator.image "operator.streamImage" .Values.operator.streamImage "api.image" .Values.api.image
      "identity.image" .Values.identity.image "triton.images.cpu" .Values.triton.images.cpu
      "triton.modelRepository.pull.image" .Values.triton.modelRepository.pull.image -}}
{{- range $path, $image := $images -}}
{{- if kindIs "string" $image -}}
{{- fail (printf "%s is a string, as in an earlier version; use %s: {name: %s} and, for the path before it, image.repository" $path $path (base $image)) -}}
{{- end -}}
{{- end -}}
{{- range $path, $image := dict "triton.images.gpu" .Values.triton.images.gpu "nats.bundled.image" .Values.nats.bundled.image "postgres.bundled.image" .Values.postgres.bundled.image -}}
{{- if kindIs "string" $image -}}
{{- fail (printf "%s is a string, as in an earlier version; use %s: {repository: …, tag: …}" $path $path) -}}
{{- end -}}
{{- if not (or $image.tag $image.digest) -}}
{{- fail (printf "%s has neither a tag nor a digest; set one" $path) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* (dict "root" $ "image" .Values.api.image): the reference of one of Vigil's own images. */ -}}
{{- define "vigil.image" -}}
{{- if kindIs "string" .image -}}{{- include "vigil.refuseFormerImages" .root -}}{{- end -}}
{{- $values := .root.Values.image -}}
{{- $repository := ternary (printf "%s/%s" $values.repository .image.name) .image.name (ne $values.repository "") -}}
{{- $tag := coalesce .image.tag $values.tag .root.Chart.AppVersion -}}
{{- include "vigil.publicImage" (dict "root" .root "image" (dict "repository" $repository "tag" $tag "digest" .image.digest)) -}}
{{- end -}}

{{- /* (dict "root" $ "image" .Values.nats.bundled.image): image.registry replaces the host name of the public registry. */ -}}
{{- define "vigil.publicImage" -}}
{{- if kindIs "string" .image -}}{{- include "vigil.refuseFormerImages" .root -}}{{- end -}}
{{- $registry := .root.Values.image.registry -}}
{{- if $registry -}}{{ trimSuffix "/" $registry }}/{{ regexReplaceAll "^[^/]+\\.[^/]+/" .image.repository "" }}{{- else -}}{{ .image.repository }}{{- end -}}
{{- with .image.tag -}}:{{ . }}{{- end -}}
{{- with .image.digest -}}@{{ . }}{{- end -}}
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
