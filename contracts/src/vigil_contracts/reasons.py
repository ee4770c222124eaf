"""The operator's reasons: why a Camera, Subject or Site is in the state it is in.

Each member's docstring is its text in `docs/reference.md`: first what it means, then what to do.
"""

from enum import StrEnum


class CameraReason(StrEnum):
    """Why a Camera is, or is not, ready; while its pod runs, a source's and fitness's reasons add detail."""

    STREAMING = "Streaming"
    """Frames arrive and are analysed. No action is needed."""
    STARTING = "Starting"
    """The stream pod runs and has not sent a heartbeat yet. Wait some seconds."""
    RECONCILED = "Reconciled"
    """Everything that the spec asks for is there. Nothing is to be done."""
    NOT_STALLED = "NotStalled"
    """Nothing waits for a person. Nothing is to be done."""
    SUSPENDED = "Suspended"
    """`spec.suspend` is true, so no pod runs. Set it to false to go on."""
    INVALID_SPEC = "InvalidSpec"
    """The stored spec breaks a rule of this version; it was written under another one. Correct what the message names
    and apply it again."""
    SITE_NOT_FOUND = "SiteNotFound"
    """There is no Site of the name in siteRef in this namespace. Apply that Site, or delete the Camera and make it
    anew with another siteRef, which cannot be changed."""
    SITE_NOT_SERVED = "SiteNotServed"
    """No gateway of this installation serves the Camera's Site, so its sightings would not be processed. Delete the
    Camera and create it again with the siteRef of the Site that is served, or install Vigil for this one."""
    RETENTION_LONGER_THAN_SITE = "RetentionLongerThanSite"
    """`spec.retention.sightings` is longer than the Site allows. Shorten it, or lengthen the Site's."""
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - the name of a reason
    """The Secret in credentialsSecretRef is not in this namespace. Create it; the Camera starts by itself."""
    SECRET_NOT_READABLE = "SecretNotReadable"  # noqa: S105 - the name of a reason
    """The Secret that the Camera, or its Site, names lacks the label `vigil.dev/readable-by` with the value `Camera`
    (`Site`), so nothing of it is read and no pod runs. If the author of the resource may use it, set the label as the
    message states; the Camera goes on by itself."""
    SECRET_KEY_MISSING = "SecretKeyMissing"  # noqa: S105 - the name of a reason
    """The Secret lacks, or leaves empty, one of the keys `username` and `password`, or of those that the url names. Add
    it; the Camera goes on by itself."""
    BUS_CREDENTIALS_MISSING = "BusCredentialsMissing"
    """The Secret with the bus's token, or its key `token`, is not in this namespace. Create it as the message
    states."""
    DEVICE_IN_USE = "DeviceInUse"
    """Another Camera has the same USB device, and one device serves one reader. Delete or suspend one of the two."""
    INSUFFICIENT_INFERENCE_CAPACITY = "InsufficientInferenceCapacity"
    """The Site's inference has no capacity for this Camera; the message has the numbers. Lower sampling.fps here or
    elsewhere, suspend a Camera, or add Triton servers and declare what they can do in the Site's
    inference.detectionsPerSecond; of those that wait, the highest scheduling.priority enters first."""
    POD_PENDING = "PodPending"
    """The pod is made and its containers have not started. Wait; if it stays so, describe the pod."""
    POD_UNSCHEDULABLE = "PodUnschedulable"
    """No node takes the pod, or no device plugin is known that hands out its USB device; the message names it. Add
    room, change scheduling.nodeSelector, tolerations, resources or gpu, or name the device in the chart's
    operator.usbResources."""
    IMAGE_PULL_FAILED = "ImagePullFailed"
    """The node cannot get the stream image. Check its name, the registry, and the pull secrets in the chart's
    values."""
    CONTAINER_CONFIG_ERROR = "ContainerConfigError"
    """The kubelet cannot build the container; the message is the kubelet's. Create what it names."""
    OUT_OF_MEMORY = "OutOfMemory"
    """The stream process used more memory than its limit and was killed. Raise scheduling.resources.limits.memory of
    this Camera, or of all in the chart's operator.streamResources (on a GPU: operator.streamGpuResources), or lower the
    camera's resolution."""
    CRASH_LOOPING = "CrashLooping"
    """The stream process ends again and again. Read its log: `kubectl logs --previous` of the pod in the message."""
    NO_HEARTBEAT = "NoHeartbeat"
    """The pod runs, but no heartbeat of it reached the bus for 15 s. Read the pod's log; check that it reaches the
    bus."""
    INFERENCE_UNREACHABLE = "InferenceUnreachable"
    """Frames arrive and none of them can be analysed, so there are no sightings. Check the Triton pods and
    `spec.inference.endpoints` of the Site; the Camera goes on by itself."""
    BUS_UNREACHABLE = "BusUnreachable"
    """The operator does not reach the Site's bus, so the state of the camera is unknown. Look at the Site's condition
    Connected; the camera itself may work."""
    APPLY_CONFLICT = "ApplyConflict"
    """Another field manager owns fields that the operator must write; the message names both. Remove its
    ownership of them."""
    APPLY_FORBIDDEN = "ApplyForbidden"
    """The API server refuses what the operator wants to make; the message is the API server's. Most often a quota,
    an admission policy, a request in scheduling.resources above its limit, or missing permissions of the operator."""


class SubjectReason(StrEnum):
    """Why a Subject is, or is not, recognised."""

    ENROLLED = "Enrolled"
    """Every photo is in the gallery. Nothing is to be done."""
    SOME_PHOTOS_REFUSED = "SomePhotosRefused"
    """The person is recognised, but not every photo could be used. `status.photos` has the reasons; replace or remove
    those."""
    LOOKS_LIKE_ANOTHER = "LooksLikeAnother"
    """The photos look like the same person as those of another Subject, so that sightings of either are unknown or
    doubtful. Remove one of the Subjects, or the photo that shows somebody else."""
    ENROLLING = "Enrolling"
    """The photos are on their way into the gallery. Wait some seconds."""
    NO_USABLE_PHOTO = "NoUsablePhoto"
    """None of the photos could be used. `status.photos` has the reason for each; use better ones."""
    CONSENT_GRANTED = "ConsentGranted"
    """The person agreed. Nothing is to be done."""
    CONSENT_NOT_GRANTED = "ConsentNotGranted"
    """`spec.consent.status` is Pending or Withdrawn, so the person is not matched. Set it to Granted when they have
    agreed."""
    CONSENT_EXPIRED = "ConsentExpired"
    """`spec.consent.expiresAt` has passed, so the person is no longer matched. Ask again, then set a later one."""
    NOT_YET_VALID = "NotYetValid"
    """`spec.validity.notBefore` has not come. Wait, or set an earlier one."""
    EXPIRED = "Expired"
    """`spec.validity.notAfter` has passed, so the person is no longer matched. Set a later one, or delete the
    Subject."""
    PHOTO_SOURCE_MISSING = "PhotoSourceMissing"
    """A Secret, ConfigMap, key or address that a photo names is not there, or its bytes have another sha256.
    `status.photos` names them; create or correct them, and they are enrolled without further action."""
    PHOTO_SECRET_NOT_READABLE = "PhotoSecretNotReadable"  # noqa: S105 - the name of a reason
    """A Secret that a photo names lacks the label `vigil.dev/readable-by=Subject`, so nothing of it is read.
    `status.photos` has the command that sets it."""
    INVALID_SPEC = "InvalidSpec"
    """The stored spec breaks a rule of this version; it was written under another one. Correct what the message names
    and apply it again."""
    GALLERY_UNREACHABLE = "GalleryUnreachable"
    """The identity service does not answer or cannot store. Look at its pod, Postgres and Qdrant; the operator keeps
    trying."""
    ENROLMENT_REFUSED = "EnrolmentRefused"
    """The identity service refuses the Subject; the message is its own. Correct what it names."""
    ONE_SITE = "OneSite"
    """There is one Site, so there is nothing to replicate. Nothing is to be done."""
    ERASING = "Erasing"
    """The Subject was deleted, and everything known of the person is being erased. Wait some seconds."""
    ERASURE_WAITING = "ErasureWaiting"
    """The erasure cannot be completed yet; the message names what it waits for. Bring that back; the Subject stays
    until nothing is left of it."""


class SiteReason(StrEnum):
    """Why a Site is, or is not, at work."""

    CONNECTED = "Connected"
    """The bus answers and heartbeats arrive. No action is needed."""
    CONNECTING = "Connecting"
    """The first connection to the bus is being made. Wait some seconds."""
    RESOLVED = "Resolved"
    """The bus and every inference endpoint answer. Nothing is to be done."""
    INVALID_SPEC = "InvalidSpec"
    """The stored spec breaks a rule of this version, or names an unknown time zone. Correct what the message names and
    apply it again."""
    BUS_UNREACHABLE = "BusUnreachable"
    """The bus does not answer. Check `spec.bus.url`, the NATS server, and NetworkPolicies between."""
    BUS_CREDENTIALS_MISSING = "BusCredentialsMissing"
    """The Secret in `spec.bus.credentialsSecretRef`, or its key `token`, is not in this namespace. Create it."""
    BUS_CREDENTIALS_NOT_READABLE = "BusCredentialsNotReadable"
    """The Secret in `spec.bus.credentialsSecretRef` lacks the label `vigil.dev/readable-by=Site`, so nothing of it is
    read. Set the label as the message states."""
    BUS_CREDENTIALS_REFUSED = "BusCredentialsRefused"
    """The bus refuses the token. Correct it in the Secret that `spec.bus.credentialsSecretRef` names."""
    SITE_NOT_SERVED = "SiteNotServed"
    """No gateway of this installation serves this Site; what its cameras see is kept on the bus only. Install Vigil
    with this Site's name, or delete the Site."""
    INFERENCE_UNREACHABLE = "InferenceUnreachable"
    """None of the inference endpoints answers, so nobody is recognised. Check `spec.inference.endpoints` and the
    Triton pods."""
    SOME_ENDPOINTS_UNREACHABLE = "SomeEndpointsUnreachable"
    """At least one inference endpoint answers, and at least one does not. `status.endpoints` names them."""
    GALLERY_UNREACHABLE = "GalleryUnreachable"
    """The identity service does not answer, so nobody is recognised by name. Look at its pod, Postgres and Qdrant."""
    NO_UPSTREAM = "NoUpstream"
    """A Central Site has no other Site above it to be in sync with. Nothing is to be done."""
