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


def test_imports_stay_small_and_leave_the_real_client_usable() -> None:
    """Importing the vision package loads no unused module, and the real client imports after it."""
    done = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == ["[]", "InferenceServerClient"]
