"""A trial's process sets its variables before it imports TensorFlow."""

import json

from hypothesis import given
from hypothesis import strategies as st

from bench.execution.trial_environment.inherited_environment import THREAD_VARIABLES
from bench.execution.trial_environment.worker_variables import (
    set_worker_variables,
    worker_variables,
)

PEERS = json.dumps({"cluster": {"worker": ["10.0.0.1:4000", "[fd00::2]:4001"]}})
FOREIGN = json.dumps({"cluster": {"worker": ["10.9.9.9:2222"]}, "task": {"index": 3}})
HOSTS = ("10.0.0.1", "fd00::2", "[fd00::2]")
LISTS = st.lists(st.sampled_from(["localhost", ".example.org", "10.1.0.0/16"]), max_size=3)


def test_a_description_of_another_cluster_is_ignored() -> None:
    environ = {"TF_CONFIG": FOREIGN}
    set_worker_variables(environ, 2)
    assert "TF_CONFIG" not in environ
    environ = {"TF_CONFIG": FOREIGN}
    set_worker_variables(environ, 2, PEERS)
    assert environ["TF_CONFIG"] == PEERS


def test_thread_variables_are_set_to_the_trial_s_threads() -> None:
    environ = {"OMP_NUM_THREADS": "64"}
    set_worker_variables(environ, 3)
    assert environ == dict.fromkeys(THREAD_VARIABLES, "3")


def test_without_a_proxy_there_are_no_exemptions() -> None:
    environ = {"http_proxy": ""}
    set_worker_variables(environ, 1, PEERS)
    assert not {"no_proxy", "NO_PROXY", "no_grpc_proxy"} & environ.keys()


@given(
    st.sampled_from(["http_proxy", "https_proxy", "grpc_proxy"]),
    st.dictionaries(st.sampled_from(["no_proxy", "NO_PROXY", "no_grpc_proxy"]), LISTS),
)
def test_peers_and_the_user_s_exemptions_bypass_the_proxy(
    proxy: str, exempted: dict[str, list[str]]
) -> None:
    exemptions = {name: ",".join(hosts) for name, hosts in exempted.items()}
    environ = {proxy: "http://proxy:3128", **exemptions}
    set_worker_variables(environ, 1, PEERS)
    # As gRPC looks: at its own variable first, where there is one.
    heeded = "no_grpc_proxy" if "no_grpc_proxy" in environ else "no_proxy"
    assert {*HOSTS} <= {*environ[heeded].split(",")}
    assert "no_grpc_proxy" not in environ or "no_grpc_proxy" in exemptions
    for name, hosts in exempted.items():
        assert {*hosts} <= {*environ[name].split(",")}
    # As Python looks: small letters first.
    before = exempted.get("no_proxy") or exempted.get("NO_PROXY", [])
    assert {*before} <= {*environ["no_proxy"].split(",")}


def test_a_process_that_continues_gets_its_variables_back() -> None:
    before = {"OMP_NUM_THREADS": "8", "TF_CONFIG": FOREIGN, "HOME": "/"}
    environ = dict(before)
    with worker_variables(environ, 2):
        assert environ == {**dict.fromkeys(THREAD_VARIABLES, "2"), "HOME": "/"}
    assert environ == before
