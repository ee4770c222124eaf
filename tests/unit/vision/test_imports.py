import subprocess
import sys

IMPORTS = """
import sys
from vigil_vision import detection, letterbox, triton
from vigil_vision.faces import alignment, quality
print(sorted({"PIL", "cv2", "scipy", "onnxruntime", "tritonclient.grpc._client", "rapidjson"} & set(sys.modules)))
import tritonclient.grpc
print(tritonclient.grpc.InferenceServerClient.__name__)
"""


def test_a_stream_pod_loads_nothing_it_does_not_use_and_the_real_client_still_imports_after_us() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == ["[]", "InferenceServerClient"]
