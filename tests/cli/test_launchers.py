"""What JAX finds under the variables of launchers, as the page on launching says."""

import pytest
from jax._src.clusters import ClusterEnv


SLURM = {
    "SLURM_JOB_ID": "5000",
    "SLURM_STEP_NODELIST": "node[007-008],other",
    "SLURM_NTASKS": "4",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
}
OPEN_MPI_4 = {
    "OMPI_MCA_orte_hnp_uri": "1531576320.0;tcp://10.0.0.2,10.0.0.1:34911",
    "OMPI_COMM_WORLD_SIZE": "4",
    "OMPI_COMM_WORLD_RANK": "3",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
}


@pytest.mark.parametrize(
    ("variables", "address"),
    [
        (SLURM, f"node007:{61440 + 5000 % 4096}"),
        (OPEN_MPI_4, f"10.0.0.2:{61440 + 1531576320 // 4096 % 4096}"),
        # Open MPI is looked for first.
        (SLURM | OPEN_MPI_4, f"10.0.0.2:{61440 + 1531576320 // 4096 % 4096}"),
        (SLURM | {"JAX_COORDINATOR_PORT": "6000"}, "node007:6000"),
        (OPEN_MPI_4 | {"JAX_COORDINATOR_PORT": "6000"}, "10.0.0.2:6000"),
    ],
)
def test_jax_reads_the_variables_of_the_table(variables, address, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    detect = ClusterEnv.auto_detect_unset_distributed_params
    assert detect(None, None, None, None, None, 1) == (address, 4, 3, [1])
    # An address that is given stays, and JAX finds the rest.
    found = detect("10.0.0.9:1", None, None, None, None, 1)
    assert found == ("10.0.0.9:1", 4, 3, [1])
