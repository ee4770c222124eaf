// Where the CRDs come from with which the chart's monitoring and routes are checked. Nothing of this is built.
module vigil.test/crds

go 1.24.0

require (
	github.com/prometheus-operator/prometheus-operator v0.85.0
	sigs.k8s.io/gateway-api v1.4.0
)
