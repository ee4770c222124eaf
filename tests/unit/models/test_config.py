"""The configurations of both targets are what was reviewed, and what Triton's own schema accepts."""

from pathlib import Path

import pytest
from google.protobuf import text_format
from tests.unit.models import golden
from tritonclient.grpc import model_config_pb2

from vigil_models import catalogue
from vigil_models.repository import config
from vigil_models.repository.config import Target

FILES = golden.configurations()


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(golden.ROOT)) for path in FILES])
def test_the_configuration_is_the_one_that_is_checked_in(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == FILES[path], "make it anew: python -m tests.unit.models.golden"


def test_no_other_golden_file_is_left_over() -> None:
    assert {*golden.GOLDEN.rglob("*.pbtxt"), *golden.REPOSITORY.rglob("*.pbtxt")} == set(FILES)


def _parsed(name: str, target: Target) -> list[model_config_pb2.ModelConfig]:
    models = catalogue.load().pack(name).models
    return [
        text_format.Parse(config.render(model, target, f"{model.name}@{'0' * 12}", 2), model_config_pb2.ModelConfig())
        for model in models
    ]


@pytest.mark.parametrize("target", list(Target))
def test_clients_find_all_they_need_in_the_parameters(target: Target) -> None:
    detector, embedder = _parsed("open", target)
    assert {key: value.string_value for key, value in detector.parameters.items()} == {
        "vigil_model_id": "yunet_2023mar_int8bq@000000000000",
        "score_threshold_permille": "700",
        "enrol_score_threshold_permille": "750",
        "nms_iou_permille": "300",
        "top_k": "128",
        "input_multiple": "32",
    }
    assert {key: value.string_value for key, value in embedder.parameters.items()} == {
        "vigil_model_id": "sface_2021dec_int8bq@000000000000",
        "embedding_size": "128",
        "match_threshold_permille": "420",
        "match_margin_permille": "50",
        "same_person_permille": "480",
        "other_person_permille": "150",
        "alignment_template": "arcface_112",
    }


@pytest.mark.parametrize("target", list(Target))
@pytest.mark.parametrize("pack", ["open", "buffalo_l"])
def test_overload_is_refused_and_both_ends_of_the_batch_are_warm(pack: str, target: Target) -> None:
    for parsed in _parsed(pack, target):
        policy = parsed.dynamic_batching.default_queue_policy
        assert policy.timeout_action == model_config_pb2.ModelQueuePolicy.REJECT
        assert policy.default_timeout_microseconds > 0
        assert policy.max_queue_size > 0
        assert [each.batch_size for each in parsed.model_warmup] == [1, parsed.max_batch_size]
        assert [tensor.data_type for tensor in parsed.input] == [model_config_pb2.TYPE_UINT8]


def test_production_runs_on_gpus_with_tensorrt_in_fp16() -> None:
    for parsed in _parsed("buffalo_l", Target.PRODUCTION):
        (accelerator,) = parsed.optimization.execution_accelerators.gpu_execution_accelerator
        assert parsed.platform == "onnxruntime_onnx"
        assert parsed.instance_group[0].kind == model_config_pb2.ModelInstanceGroup.KIND_GPU
        assert accelerator.name == "tensorrt"
        assert accelerator.parameters["precision_mode"] == "FP16"
        assert accelerator.parameters["trt_engine_cache_enable"] == "true"
        assert list(parsed.dynamic_batching.preferred_batch_size)[-1] == parsed.max_batch_size


def test_a_cpu_gets_one_request_at_a_time_per_instance() -> None:
    for parsed in _parsed("open", Target.CPU_PYTHON):
        assert parsed.backend == "python"
        assert (parsed.instance_group[0].kind, parsed.instance_group[0].count) == (
            model_config_pb2.ModelInstanceGroup.KIND_CPU,
            2,
        )
        assert list(parsed.dynamic_batching.preferred_batch_size) == [1]
        assert parsed.dynamic_batching.max_queue_delay_microseconds == 0


def test_what_was_measured_of_a_detector_is_one_more_parameter() -> None:
    detector, embedder = catalogue.load().pack("open").models
    plain = config.render(detector, Target.CPU_PYTHON, "d@1", 2)
    measured = config.render(detector, Target.CPU_PYTHON, "d@1", 2, reference_ms=9.4704)
    assert measured == plain + 'parameters { key: "vigil_reference_ms" value: { string_value: "9.470" } }\n'
    assert config.render(embedder, Target.CPU_PYTHON, "r@1", 2) == config.render(
        embedder, Target.CPU_PYTHON, "r@1", 2, reference_ms=9.47
    )
