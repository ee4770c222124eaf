"""One row for every rule of Cameras."""

from tests.support.crd_cases_base import (
    FORBIDDEN,
    NO_TIME,
    NOTHING,
    SOME_TIME,
    Case,
    camera,
    names,
    region,
    rtsp,
    source,
    toleration,
)

SOURCE = "spec.source"
TOLERATION, TOLERATION_AT = "spec.scheduling.tolerations[0]", "spec.scheduling.tolerations[]"
SCHEMES = (
    "url does not begin as its type asks (RTSP: rtsp:// or rtsps://; HTTPMJPEG: http:// or https://; USB: /dev/; "
    "WebSocket: ws:// or wss://; Socket: tcp://; File: file:)"
)
CUDA = {"accelerator": "CUDA"}
GPU = {"gpu": True}
DECODED_BY_FFMPEG = {
    "RTSP": "rtsp://h/1",
    "HTTPMJPEG": "http://h/1",
    "USB": "/dev/video0",
    "File": "file:clip.mp4",
}
SQUARE = ((200, 200), (800, 200), (800, 800), (200, 800))
ENCLOSING = (
    SQUARE,
    SQUARE * 2,
    (*SQUARE, SQUARE[0]),
    ((0, 0), (0, 0), (1000, 1), (500, 0)),
    ((500, 20), (780, 890), (40, 350), (960, 350), (220, 890)),
    tuple((x, 1000 * (x % 2)) for x in range(32)),
)
ON_ONE_LINE = (
    ((5, 5), (5, 5), (5, 5)),
    ((0, 0), (1000, 1000), (0, 0)),
    ((0, 0), (1000, 1000), (10, 10), (990, 990)),
    ((100, 0), (100, 1000), (100, 500)),
    tuple((x, 3 * x) for x in range(32)),
)
CAMERAS = (
    names("Camera"),
    Case(
        "Camera",
        SOURCE,
        "spec.source.url",
        "url holds a user or a password; put them into a Secret and name it in credentialsSecretRef",
        (rtsp(), source("RTSP", "rtsp://10.0.0.5/path?user=@home"), source("HTTPMJPEG", "http://h/a@b")),
        (source("RTSP", "rtsp://admin:secret@10.0.0.5/1"), source("WebSocket", "ws://admin@h/1")),
    ),
    Case(
        "Camera",
        SOURCE,
        "spec.source.url",
        SCHEMES,
        (
            source("RTSP", "rtsps://h/1"),
            source("HTTPMJPEG", "https://h/1"),
            source("USB", "/dev/video0"),
            source("WebSocket", "wss://h/1"),
            source("Socket", "tcp://h:9000"),
            source("File", "file:clip.mp4"),
        ),
        (
            source("RTSP", "http://h/1"),
            source("USB", "video0"),
            source("File", "/clip.mp4"),
            source("Socket", "h:9000"),
        ),
    ),
    Case(
        "Camera",
        SOURCE,
        "spec.source.url",
        "url names no host; write it after the //, as in rtsp://10.0.0.5:554/stream1",
        (source("RTSP", "rtsp://[2001:db8::5]/a"), source("RTSP", "rtsp://h"), source("File", "file:///clip.mp4")),
        (source("RTSP", "rtsp://"), source("RTSP", "rtsp:///stream1"), source("Socket", "tcp://:9000")),
    ),
    Case(
        "Camera",
        SOURCE,
        "spec.source.url",
        "url holds a space; take it out, or write a space that belongs to it as %20",
        (source("HTTPMJPEG", "http://h/my%20clip"), source("File", "file:my clip.mp4")),
        (
            source("RTSP", "rtsp://h:554/my clip"),
            source("USB", "/dev/video0 "),
        ),
    ),
    Case(
        "Camera",
        SOURCE,
        "spec.source.url",
        "url holds a {key}, and no Secret has its value; name one in credentialsSecretRef, or write { as %7B",
        (
            source("RTSP", "rtsp://h/{token}/1", credentialsSecretRef={"name": "door"}),
            source(
                "HTTPMJPEG", "http://h/1?user={username}&password={password}", credentialsSecretRef={"name": "door"}
            ),
            source("HTTPMJPEG", "http://h/1?q={}&r={a b}".replace(" ", "%20")),
            source("File", "file:{clip}.mp4"),
        ),
        (source("RTSP", "rtsp://h/{token}/1"), source("WebSocket", "ws://h/?t={my-token.1}")),
    ),
    Case(
        "Camera",
        SOURCE,
        "spec.source.transport",
        "transport is only for type RTSP; leave it out",
        (rtsp(transport="UDP"), source("USB", "/dev/video0")),
        (source("HTTPMJPEG", "http://h/1", transport="TCP"),),
        how=FORBIDDEN,
    ),
    Case(
        "Camera",
        SOURCE,
        "spec.source.loop",
        "loop is only for type File; leave it out",
        (source("File", "file:a.mp4", loop=True), rtsp(loop=False)),
        (rtsp(loop=True),),
        how=FORBIDDEN,
    ),
    Case(
        "Camera",
        SOURCE,
        "spec.source.stallTimeoutSeconds",
        "stallTimeoutSeconds has no meaning for type File; leave it out",
        (rtsp(stallTimeoutSeconds=5), source("USB", "/dev/video0", stallTimeoutSeconds=3600)),
        (source("File", "file:a.mp4", stallTimeoutSeconds=60),),
        how=FORBIDDEN,
    ),
    Case(
        "Camera",
        SOURCE,
        "spec.source.credentialsSecretRef",
        "credentialsSecretRef has no meaning for type USB, Socket or File; leave it out",
        (
            rtsp(credentialsSecretRef={"name": "door.example"}),
            source("WebSocket", "ws://h/1", credentialsSecretRef={"name": "door"}),
            source("HTTPMJPEG", "http://h/1", credentialsSecretRef={"name": "door"}),
        ),
        (
            source("USB", "/dev/video0", credentialsSecretRef={"name": "door"}),
            source("Socket", "tcp://h:9000", credentialsSecretRef={"name": "door"}),
            source("File", "file:a.mp4", credentialsSecretRef={"name": "door"}),
        ),
        how=FORBIDDEN,
    ),
    Case(
        "Camera",
        "spec",
        "spec.decode.accelerator",
        "accelerator CUDA has no meaning for type WebSocket or Socket, which are decoded on the CPU; leave it out",
        (
            *(camera(decode=CUDA, source={"type": kind, "url": url}) for kind, url in DECODED_BY_FFMPEG.items()),
            camera(decode={"accelerator": "CPU"}, source={"type": "WebSocket", "url": "ws://h/1"}),
            camera(decode={}, source={"type": "Socket", "url": "tcp://h:9000"}),
        ),
        (
            camera(decode=CUDA, source={"type": "WebSocket", "url": "ws://h/1"}),
            camera(decode=CUDA, source={"type": "Socket", "url": "tcp://h:9000"}),
        ),
        how=FORBIDDEN,
    ),
    Case(
        "Camera",
        "spec",
        "spec.scheduling.gpu",
        "gpu has no meaning for type WebSocket or Socket, which are decoded on the CPU; leave it out",
        (
            *(camera(scheduling=GPU, source={"type": kind, "url": url}) for kind, url in DECODED_BY_FFMPEG.items()),
            camera(scheduling={"gpu": False}, source={"type": "WebSocket", "url": "ws://h/1"}),
            camera(scheduling={"priority": 1}, source={"type": "Socket", "url": "tcp://h:9000"}),
        ),
        (
            camera(scheduling=GPU, source={"type": "WebSocket", "url": "ws://h/1"}),
            camera(scheduling=GPU, source={"type": "Socket", "url": "tcp://h:9000"}),
        ),
        how=FORBIDDEN,
    ),
    Case(
        "Camera",
        "spec.detection",
        "spec.detection.regions",
        "two regions have the same name; rename one",
        (camera(detection={"regions": [region("a"), region("b")]}),),
        (camera(detection={"regions": [region("a"), region("b"), region("a")]}),),
    ),
    Case(
        "Camera",
        "spec.detection",
        "spec.detection.privacyMasks",
        "two privacyMasks have the same name; rename one",
        (camera(detection={"privacyMasks": [region("a"), region("b")], "regions": [region("a")]}),),
        (camera(detection={"privacyMasks": [region("a"), region("a")]}),),
    ),
    *(
        Case(
            "Camera",
            f"spec.detection.{field}[]",
            f"spec.detection.{field}[0].polygon",
            "polygon encloses nothing, because its corners lie on one line; list at least three that do not",
            tuple(camera(detection={field: [region("a", corners)]}) for corners in ENCLOSING),
            tuple(camera(detection={field: [region("a", corners)]}) for corners in ON_ONE_LINE),
        )
        for field in ("regions", "privacyMasks")
    ),
    Case(
        "Camera",
        "spec",
        "spec.analyses",
        "analyses: any analysis but Faces is not implemented yet; leave analyses out",
        (camera(analyses=["Faces"]), camera()),
        (camera(analyses=["People"]), camera(analyses=["Faces", "Vehicles"])),
        how=FORBIDDEN,
    ),
    Case(
        "Camera",
        "spec",
        "spec.preview",
        "preview: the live preview is not implemented yet; leave preview out",
        (camera(preview={"enabled": False}), camera(preview={})),
        (camera(preview={"enabled": True}),),
        how=FORBIDDEN,
    ),
    Case(
        "Camera",
        "spec",
        "spec.siteRef",
        "siteRef cannot be changed; what the camera saw belongs to its Site; delete the Camera and make it anew",
        (camera(siteRef={"name": "hq"}, suspend=True),),
        (camera(siteRef={"name": "plant"}), camera()),
        before=camera(siteRef={"name": "hq"}),
        how=FORBIDDEN,
    ),
    Case(
        "Camera",
        "spec.retention",
        "spec.retention.sightings",
        NOTHING,
        tuple(camera(retention=one) for one in SOME_TIME),
        tuple(camera(retention=one) for one in NO_TIME),
    ),
    Case(
        "Camera",
        TOLERATION_AT,
        f"{TOLERATION}.operator",
        "a toleration without key needs operator Exists",
        (toleration(operator="Exists"), toleration(key="gpu", value="yes"), toleration(key="example.org/gpu")),
        (toleration(value="yes"), toleration(operator="Equal")),
    ),
    Case(
        "Camera",
        TOLERATION_AT,
        f"{TOLERATION}.value",
        "value has no meaning with operator Exists; leave it out",
        (toleration(key="gpu", operator="Exists"), toleration(key="gpu", operator="Exists", value="")),
        (toleration(key="gpu", operator="Exists", value="yes"),),
        how=FORBIDDEN,
    ),
)
