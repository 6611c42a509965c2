"""A few hundred hostile files; ``python -m tests.serving.hostile`` sends thousands."""

from __future__ import annotations

import random

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.serving.conftest import Running
from tests.serving.hostile import MUTATIONS, fault, hostile_file, recordings


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
    derandomize=True,
)
@given(rng=st.randoms(use_true_random=False))
def test_no_file_is_a_fault(client: httpx.Client, rng: random.Random) -> None:
    data = hostile_file(rng)
    response = client.post("/v1/gate", content=data, headers={"content-type": "audio/mp4"})
    if response.status_code == 200:
        assert response.json()["notice"] == "research_only_not_a_diagnosis"
    else:
        assert fault(response) is None


def test_cut_at_every_boundary(client: httpx.Client) -> None:
    """Every container, cut within its headers and at round sizes."""
    for data in recordings():
        for n in (1, 4, 8, 12, 16, 32, 44, 64, 100, 512, 1_024, 4_096, len(data) - 1):
            response = client.post("/v1/gate", content=data[:n], headers={"content-type": "audio/mp4"})
            assert response.status_code < 500, (data[:12], n)


def test_no_mutation_is_left_out_and_all_containers_are_there(running: Running) -> None:
    assert len(recordings()) >= 20
    rng = random.Random(1)
    for mutate in MUTATIONS:
        assert any(mutate(data, rng) != data for data in recordings())
